"""Energy on the device of a profile."""

from __future__ import annotations

import numpy as np

from rlprune.costs.latency import LatencyCost
from rlprune.devices.profile import DeviceProfile
from rlprune.network import FloatArray, IntArray, Network


class EnergyCost:
    """Predicted millijoules of one inference: the profile's energy model; ``E = P x T`` where the power is stated.

    Raises:
        ProfileError: as for :class:`rlprune.costs.latency.LatencyCost`.
    """

    metric = "energy"
    unit = "mJ"

    def __init__(self, network: Network, profile: DeviceProfile) -> None:
        self._latency = LatencyCost(network, profile)
        self._model = profile.energy
        self._network = network

    def __call__(self, widths: IntArray) -> FloatArray:
        return np.asarray(self._model(self._latency(widths), self._network.macs(widths)))
