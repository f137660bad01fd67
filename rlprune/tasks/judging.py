"""What a task says of a network's answers, as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from rlprune.errors import TaskError
from rlprune.networks.inputs import call
from rlprune.tasks.answers import rows_of
from rlprune.tasks.base import Task
from rlprune.tasks.split import Batch


def scored_rows(task: Task, model: nn.Module, batches: Iterable[Batch]) -> torch.Tensor:
    """What a task scores of the answers to all batches together, ``[samples, ...]``."""
    with torch.inference_mode():
        return torch.cat([rows_of(task.outputs(call(model, batch)), batch) for batch in batches])


def divergence_of(task: Task, outputs: torch.Tensor, dense_outputs: torch.Tensor, targets: torch.Tensor) -> float:
    """A task's divergence of what counts of both outputs, ``[samples, ...]``; see :meth:`Task.counted`."""
    targets = targets.to(outputs.device)
    return task.divergence(task.counted(outputs, targets), task.counted(dense_outputs, targets))


def as_number(value: object, what: str, task: str, strict: bool) -> float:
    """A score or divergence of a task; NaN where it is none and ``strict`` does not hold.

    Raises:
        TaskError: it is no finite number, and ``strict``.
    """
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if strict and not math.isfinite(number):
        raise TaskError(f"The {what} of task {task!r} must be a finite number; {value!r} came. Correct Task.{what}.")
    return number if math.isfinite(number) else math.nan
