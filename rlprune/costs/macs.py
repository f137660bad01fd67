"""Multiply-adds."""

from __future__ import annotations

from rlprune.network import FloatArray, IntArray, Network


class MacsCost:
    """Multiply-adds of one sample, exactly as on the physically pruned network."""

    metric = "macs"
    unit = "macs"

    def __init__(self, network: Network) -> None:
        self._network = network

    def __call__(self, widths: IntArray) -> FloatArray:
        return self._network.macs(widths)
