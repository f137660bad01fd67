"""Latency on the device of a profile."""

from __future__ import annotations

from rlprune.devices.profile import DeviceProfile
from rlprune.network import FloatArray, IntArray, Network


class LatencyCost:
    """Predicted milliseconds of one inference (``profile.runtime.batch`` samples); ``T`` in ``S = 1/T``.

    Raises:
        ProfileError: the profile is of another network.
    """

    metric = "latency"
    unit = "ms"

    def __init__(self, network: Network, profile: DeviceProfile) -> None:
        profile.check(network)
        self._predict = profile.predictor.bind(network)

    def __call__(self, widths: IntArray) -> FloatArray:
        return self._predict(widths)
