"""Energy on the device of a profile."""

from __future__ import annotations

from rlprune.costs.latency import LatencyCost
from rlprune.devices.profile import DeviceProfile
from rlprune.network import FloatArray, IntArray, Network


class EnergyCost:
    """Predicted millijoules of one inference: ``E = P x T``, the profile's watts times predicted milliseconds.

    Raises:
        ProfileError: the profile is of another network.
    """

    metric = "energy"
    unit = "mJ"

    def __init__(self, network: Network, profile: DeviceProfile) -> None:
        self._latency = LatencyCost(network, profile)
        self.watts = profile.power.watts

    def __call__(self, widths: IntArray) -> FloatArray:
        return self._latency(widths) * self.watts
