"""Energy on the device of a profile."""

from __future__ import annotations

import numpy as np

from rlprune.arrays import FloatArray, IntArray
from rlprune.choices.space import Space
from rlprune.costs.latency import LatencyCost
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.networks.network import Network


class EnergyCost:
    """Predicted millijoules of one inference: the profile's energy model; ``E = P x T`` where the power is stated.

    Raises:
        ProfileError: as for :class:`rlprune.costs.latency.LatencyCost`.
    """

    metric = "energy"
    unit = "mJ"

    def __init__(self, subject: Network | Space, profile: DeviceProfile) -> None:
        self._space = Space.of(subject)
        self._latency = LatencyCost(self._space, profile)
        self._model = profile.energy

    def __call__(self, levels: IntArray) -> FloatArray:
        return np.asarray(self._model(self._latency(levels), self._space.macs(levels)))
