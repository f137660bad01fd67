"""Parameters."""

from __future__ import annotations

from rlprune.network import FloatArray, IntArray, Network


class ParamsCost:
    """Parameters of the whole network, exactly as on the physically pruned network."""

    metric = "params"
    unit = "params"

    def __init__(self, network: Network) -> None:
        self._network = network

    def __call__(self, widths: IntArray) -> FloatArray:
        return self._network.params(widths)
