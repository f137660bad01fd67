"""Samples and their targets, and what is refused about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from rlprune.errors import TaskError
from rlprune.networks.inputs import map_tensors

Batch = tuple[torch.Tensor, ...] | dict[str, torch.Tensor]
"""Samples as a network's ``forward`` takes them: positional or keyword (see :func:`rlprune.networks.inputs.call`)."""


@dataclass(frozen=True, eq=False)
class Split:
    """Samples that stay together; ``len()`` is their number.

    Attributes:
        inputs: what the network takes, samples first: one tensor, a tuple of tensors for several positional arguments,
            or a dict of tensors for keyword arguments.
        targets: what is right, samples first; class labels are integers.

    Raises:
        TaskError: there is no sample, or the first dimensions differ.
    """

    inputs: torch.Tensor | tuple[torch.Tensor, ...] | Mapping[str, torch.Tensor]
    targets: torch.Tensor

    def __post_init__(self) -> None:
        named = {f"inputs[{key!r}]": tensor for key, tensor in self._named()} | {"targets": self.targets}
        for name, tensor in named.items():
            if not isinstance(tensor, torch.Tensor) or tensor.ndim == 0:
                raise TaskError(f"A split holds tensors with the samples first; {name} is {tensor_kind(tensor)}.")
        counts = {name: len(tensor) for name, tensor in named.items()}
        if len(set(counts.values())) > 1:
            raise TaskError(f"Inputs and targets of a split must have as many samples as each other; got {counts}.")
        if len(self.targets) == 0 or not self.tensors:
            raise TaskError(
                "A split needs at least one sample and one input; it is empty. Check where the data come from."
            )

    def _named(self) -> list[tuple[Any, torch.Tensor]]:
        arguments = self.arguments
        return list(arguments.items() if isinstance(arguments, dict) else enumerate(arguments))

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def arguments(self) -> Batch:
        """All samples as ``forward`` takes them: a tuple (also of one tensor), or a dict of keyword arguments."""
        if isinstance(self.inputs, Mapping):
            return dict(self.inputs)
        return self.inputs if isinstance(self.inputs, tuple) else (self.inputs,)

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """The inputs without their names, also where there is only one."""
        return tuple(tensor for _, tensor in self._named())

    @property
    def sample_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of one sample of each input."""
        return tuple(tuple(tensor.shape[1:]) for tensor in self.tensors)

    def batch(self, start: int, stop: int) -> Batch:
        """The samples ``start`` to ``stop`` (exclusive) as ``forward`` takes them."""
        part: Batch = map_tensors(lambda tensor: tensor[start:stop], self.arguments)
        return part

    def take(self, count: int) -> Split:
        """The first ``count`` samples, or all where there are fewer (``count`` >= 1)."""
        if count < 1:
            raise TaskError(f"At least one sample must be taken; got {count}.")
        return Split(map_tensors(lambda tensor: tensor[:count], self.inputs), self.targets[:count])

    def skip(self, count: int) -> Split:
        """All but the first ``count`` samples; at least one must be left."""
        if not 0 <= count < len(self):
            raise TaskError(f"Of {len(self)} samples at most {len(self) - 1} can be left out; {count} came.")
        return Split(map_tensors(lambda tensor: tensor[count:], self.inputs), self.targets[count:])


def check_finite(split: Split, where: str) -> None:
    """Refuse inputs and real-valued targets that are NaN or infinite.

    Raises:
        TaskError: it names the first bad sample.
    """
    for tensor in (*split.tensors, split.targets):
        # One reduction finds trouble without a mask as large as the data.
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.sum(dtype=torch.float64))):
            bad = torch.nonzero(~torch.isfinite(tensor.reshape(len(tensor), -1)).all(dim=1))
            raise TaskError(
                f"Data must be finite; sample {int(bad[0])} of the {where} holds NaN or infinity. Clean the data."
            )


def check_labels(labels: torch.Tensor, classes: int, where: str) -> None:
    """Refuse labels that are not integers in [0, classes).

    Raises:
        TaskError: it names the first bad label and its sample.
    """
    if labels.is_floating_point() or labels.is_complex() or labels.dtype is torch.bool:
        raise TaskError(
            f"Labels must be integers in [0, {classes}); the {where} has {labels.dtype}. Convert them with .long()."
        )
    bad = torch.nonzero((labels < 0) | (labels >= classes))
    if len(bad):
        at = tuple(bad[0].tolist())
        raise TaskError(
            f"Labels must be in [0, {classes}); sample {at[0]} of the {where} has label {int(labels[at])}. "
            "Correct the labels or the number of classes."
        )


def tensor_kind(value: object) -> str:
    """Type and shape of a tensor, or the type of anything else, for messages."""
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return type(value).__name__
