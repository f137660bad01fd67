"""Bytes of the stored network."""

from __future__ import annotations

from rlprune.arrays import FloatArray, IntArray
from rlprune.choices.space import Space
from rlprune.costs.stored import WeightCounts
from rlprune.networks.network import Network


class SizeCost:
    """Bytes of all tensors in the compact file (:mod:`rlprune.delivery.compact.file`); its header is not counted."""

    metric = "size"
    unit = "B"

    def __init__(self, subject: Network | Space) -> None:
        self._counts = WeightCounts(Space.of(subject))

    def __call__(self, levels: IntArray) -> FloatArray:
        return self._counts.stored_bytes(levels)
