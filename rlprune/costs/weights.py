"""Weights that remain."""

from __future__ import annotations

from rlprune.arrays import FloatArray, IntArray
from rlprune.choices.space import Space
from rlprune.costs.stored import WeightCounts
from rlprune.networks.network import Network


class WeightsCost:
    """Entries of all weights that remain: those that no pruning removed. Biases and norms do not count."""

    metric = "weights"
    unit = "weights"

    def __init__(self, subject: Network | Space) -> None:
        self._counts = WeightCounts(Space.of(subject))

    def __call__(self, levels: IntArray) -> FloatArray:
        return self._counts.remaining(levels)
