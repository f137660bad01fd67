"""Latency on the device of a profile."""

from __future__ import annotations

import numpy as np

from rlprune.arrays import BoolArray, FloatArray, IntArray
from rlprune.choices.space import Space
from rlprune.devices.profiles.mixed import NO_MIXES
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.profiles.records import QUANTILES
from rlprune.errors import ProfileError, unknown_name
from rlprune.networks.network import Network


class LatencyCost:
    """Predicted milliseconds of one inference (``profile.runtime.batch`` samples); ``T`` in ``S = 1/T``.

    Weights that are zero, or stored in fewer bits, save no time; layers that compute in int8 do where the profile has
    measured it. What a dropped block saves is measured too, or else taken to be the time of its layers.

    Raises:
        ProfileError: the profile is of another network; or, when called, a width lies below all that were measured.
    """

    metric = "latency"
    unit = "ms"

    def __init__(self, subject: Network | Space, profile: DeviceProfile) -> None:
        self._space = Space.of(subject)
        profile.check(self._space.network)
        self._predict = profile.predictor.bind(self._space.network)
        self._lowest = profile.lowest()
        self._names = [group.name for group in self._space.network.groups]
        mixed = profile.mixed or NO_MIXES
        self._dropped_ms = mixed.dropped_ms(self._space, profile.predictor)
        self._int8 = mixed.rule(self._space, profile.predictor)
        self._is_chosen_by_it = self._space.int8 == self._int8

    def __call__(self, levels: IntArray) -> FloatArray:
        space = self._space
        widths = space.widths(np.atleast_2d(levels))
        self._refuse_extrapolation(widths)
        if not space.layered:
            return self._predict(widths)
        if space.blocks:
            widths = space.effective_widths(widths, space.kept(levels))
        latency = self._predict(widths)
        if space.blocks:
            latency = latency - (self._dropped_ms(widths) * ~space.kept(levels)).sum(axis=1)
        permitted = space.permitted_in_int8(levels)
        return latency - self._saved(widths, permitted, space.present(levels)) if permitted.any() else latency

    def _saved(self, widths: IntArray, permitted: BoolArray, present: BoolArray) -> FloatArray:
        """Milliseconds that int8 saves, ``[N]``."""
        if self._is_chosen_by_it:
            return self._int8.best(widths, permitted, present)[1]
        return self._int8.savings(widths, self._space.int8.chosen(widths, permitted, present), present)

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
        quantile: a name of :data:`rlprune.devices.profiles.records.QUANTILES`.

    Raises:
        ProfileError: as for :class:`LatencyCost`, an unknown quantile, or one of which nothing is promised.
    """

    unit = "ms"

    def __init__(self, subject: Network | Space, profile: DeviceProfile, quantile: str) -> None:
        if quantile not in profile.tails:
            raise ProfileError(unknown_name("quantile", quantile, QUANTILES))
        self.metric = f"latency_{quantile}"
        self._latency = LatencyCost(subject, profile)
        self._tail = profile.tails[quantile]
        if not self._tail.holds:
            raise ProfileError(
                f"A budget on {self.metric} needs a profile that promises it; it is {self._tail.refusal}. Measure the "
                "profile again on a quieter machine, or limit latency."
            )

    def __call__(self, levels: IntArray) -> FloatArray:
        return self._tail(self._latency(levels))
