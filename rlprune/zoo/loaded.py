"""A network and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

ExampleInputs = tuple[Any, ...] | dict[str, Any]


@dataclass(frozen=True, eq=False)
class LoadedNetwork:
    """A network and what is known about it.

    Attributes:
        name: as it was asked for.
        model: in eval mode.
        example_inputs: what ``forward`` takes, batch first: a tuple of arguments or a dict of keyword arguments. None:
            not known; take the first samples of the task's calibration split.
        task: name of the task it was trained for, where known.
    """

    name: str
    model: nn.Module
    example_inputs: ExampleInputs | None = None
    task: str | None = None
