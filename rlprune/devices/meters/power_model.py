"""A stated power figure, for machines without a meter."""

from __future__ import annotations

import math

from rlprune.devices.meters.base import PowerMeter, Work
from rlprune.errors import DeviceError

ASSUMED_WATTS = {"cpu": 15.0, "cuda": 250.0}
"""Assumptions, not measurements: one busy core of a server or laptop processor with its share of the package, and a
data-centre GPU under a light load. State the watts of your own device instead."""


class PowerModel(PowerMeter):
    """The same stated watts for every plan, so energy is proportional to latency.

    Args:
        watts: power while the network runs.
        assumed: the figure is our assumption, not the user's.

    Raises:
        DeviceError: watts that are not a positive number.
    """

    measured = False

    def __init__(self, watts: float, *, assumed: bool = False) -> None:
        if not (math.isfinite(watts) and watts > 0):
            raise DeviceError(f"The watts of a power model must be a positive number, not {watts}.")
        self.watts = float(watts)
        self.source = f"power model, {watts:g} W {'assumed' if assumed else 'stated'}"

    def _average_watts(self, work: Work, seconds: float) -> float:
        return self.watts
