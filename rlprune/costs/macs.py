"""Multiply-adds."""

from __future__ import annotations

from rlprune.arrays import FloatArray, IntArray
from rlprune.choices.space import Space
from rlprune.networks.network import Network


class MacsCost:
    """Multiply-adds of one sample, exactly as on the physically pruned network.

    Zeros among the weights are multiplied too, and an integer counts like a float.
    """

    metric = "macs"
    unit = "macs"

    def __init__(self, subject: Network | Space) -> None:
        self._space = Space.of(subject)

    def __call__(self, levels: IntArray) -> FloatArray:
        return self._space.macs(levels)
