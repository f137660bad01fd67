"""Samples of a split in batches, as a network takes them (see :func:`rlprune.networks.inputs.call`)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import torch

from rlprune.networks import layout
from rlprune.networks.inputs import map_tensors
from rlprune.tasks.split import Batch, Split


def batches(split: Split, size: int, device: torch.device, channels_last: bool = False) -> Iterator[Batch]:
    """Inputs of a split, ``size`` samples at a time."""
    edges = [*range(0, len(split), size), len(split)]
    return _slices(split, edges, device, channels_last)


def even_batches(split: Split, most: int, device: torch.device, channels_last: bool = False) -> Iterator[Batch]:
    """Inputs of a split in batches of at most ``most`` samples whose sizes differ by one at the most.

    For BatchNorm statistics: a short last batch would count as much as a full one, and one of one sample has no
    variance.
    """
    count = math.ceil(len(split) / most)
    edges = [len(split) * number // count for number in range(count + 1)]
    return _slices(split, edges, device, channels_last)


def _slices(split: Split, edges: Sequence[int], device: torch.device, channels_last: bool) -> Iterator[Batch]:
    def placed(tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor.to(device)
        return layout.as_channels_last(tensor) if channels_last else tensor

    for start, stop in itertools.pairwise(edges):
        batch: Batch = map_tensors(placed, split.batch(start, stop))
        yield batch
