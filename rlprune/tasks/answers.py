"""Which tensor of a network's answer is scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from rlprune.errors import NetworkError, TaskError
from rlprune.networks.inputs import batch_size, named_parts
from rlprune.tasks.split import Batch, tensor_kind

LOGITS = "logits"


def scored_tensor(answer: Any) -> torch.Tensor:
    """The tensor of an answer that says what the network thinks.

    In this order: the answer itself, its ``logits``, its only floating-point tensor, the first of a tuple or list. An
    answer may be a tensor, a tuple, a list, a dict, or an output class such as those of transformers.

    Raises:
        NetworkError: none of these is there; it tells what came.
    """
    if isinstance(answer, torch.Tensor):
        return answer
    parts = named_parts(answer)
    floating = [value for value in parts.values() if isinstance(value, torch.Tensor) and value.is_floating_point()]
    if isinstance(parts.get(LOGITS), torch.Tensor):
        return parts[LOGITS]  # type: ignore[no-any-return]
    if len(floating) == 1:
        return floating[0]
    if isinstance(answer, tuple | list) and answer and isinstance(answer[0], torch.Tensor):
        return answer[0]
    raise NetworkError(
        f"The network must answer with one tensor, samples first, or with something that has `{LOGITS}`; it returned "
        f"{type(answer).__name__}{_listed(parts)}. Override Task.outputs to choose the tensor that is scored."
    )


def _listed(parts: Mapping[str, Any]) -> str:
    return f" with {', '.join(f'{name} ({type(part).__name__})' for name, part in parts.items())}" if parts else ""


def rows_of(outputs: Any, batch: Batch) -> torch.Tensor:
    """The outputs, one row for each sample of the batch, or an error."""
    if not isinstance(outputs, torch.Tensor):
        raise TaskError(f"Task.outputs must return a tensor; it returned {type(outputs).__name__}.")
    samples = batch_size(batch)
    if outputs.dim() == 0 or len(outputs) != samples:
        raise NetworkError(
            f"The network must answer with one row for each sample, samples first; {tensor_kind(outputs)} came for "
            f"{samples} samples. Wrap it in a module that transposes, or override Task.outputs."
        )
    return outputs
