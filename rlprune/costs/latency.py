"""Latency on the device of a profile."""

from __future__ import annotations

import numpy as np

from rlprune.devices.profile import DeviceProfile
from rlprune.devices.records import QUANTILES
from rlprune.errors import ProfileError, unknown_name
from rlprune.network import FloatArray, IntArray, Network


class LatencyCost:
    """Predicted milliseconds of one inference (``profile.runtime.batch`` samples); ``T`` in ``S = 1/T``.

    Raises:
        ProfileError: the profile is of another network; or, when called, a width lies below all that were measured.
    """

    metric = "latency"
    unit = "ms"

    def __init__(self, network: Network, profile: DeviceProfile) -> None:
        profile.check(network)
        self._predict = profile.predictor.bind(network)
        self._lowest = profile.lowest()
        self._names = [group.name for group in network.groups]

    def __call__(self, widths: IntArray) -> FloatArray:
        self._refuse_extrapolation(np.atleast_2d(widths))
        return self._predict(widths)

    def _refuse_extrapolation(self, widths: IntArray) -> None:
        below = widths < self._lowest
        if below.any():
            plan, group = np.argwhere(below)[0]
            raise ProfileError(
                f"The profile measured {self._names[group]!r} down to {self._lowest[group]} channels; "
                f"{widths[plan, group]} came. Measure a profile of a network that allows so few: rlprune profile."
            )


class TailCost:
    """Predicted milliseconds within which a share of all inferences ends: ``latency_p99`` and the like.

    Args:
        quantile: a name of :data:`rlprune.devices.records.QUANTILES`.

    Raises:
        ProfileError: as for :class:`LatencyCost`, or an unknown quantile.
    """

    unit = "ms"

    def __init__(self, network: Network, profile: DeviceProfile, quantile: str) -> None:
        if quantile not in profile.tails:
            raise ProfileError(unknown_name("quantile", quantile, QUANTILES))
        self.metric = f"latency_{quantile}"
        self._latency = LatencyCost(network, profile)
        self._tail = profile.tails[quantile]

    def __call__(self, widths: IntArray) -> FloatArray:
        return self._tail(self._latency(widths))
