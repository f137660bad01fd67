"""Parameters."""

from __future__ import annotations

from rlprune.arrays import FloatArray, IntArray
from rlprune.choices.space import Space
from rlprune.networks.network import Network


class ParamsCost:
    """Parameters of the whole network, exactly as on the physically pruned network; zeros count."""

    metric = "params"
    unit = "params"

    def __init__(self, subject: Network | Space) -> None:
        self._space = Space.of(subject)

    def __call__(self, levels: IntArray) -> FloatArray:
        return self._space.params(levels)
