"""A stated power figure, for machines without a meter."""

from __future__ import annotations

import math
import time

from rlprune.devices.meters.base import WINDOW_S, Clock, PowerMeter, Window, Work
from rlprune.errors import DeviceError

ASSUMED_WATTS = {"cpu": 15.0, "cuda": 250.0}
"""Assumptions, not measurements: one busy core of a server or laptop processor with its share of the package, and a
data-centre GPU under a light load. State the watts of your own device instead."""
SHORTEST_S = 1e-9


class PowerModel(PowerMeter):
    """E = P x T with the same stated watts for every plan. Nothing is read, so ``work`` runs once, whatever its length.

    Args:
        watts: power while the network runs.
        assumed: the figure is our assumption, not the user's.
        clock: seconds, for the length of the work.

    Raises:
        DeviceError: watts that are not a positive number.
    """

    measured = False

    def __init__(self, watts: float, *, assumed: bool = False, clock: Clock = time.perf_counter) -> None:
        if not (math.isfinite(watts) and watts > 0):
            raise DeviceError(f"The watts of a power model must be a positive number, not {watts}.")
        self.watts = float(watts)
        self.source = f"power model, {watts:g} W {'assumed' if assumed else 'stated'}"
        self._clock = clock

    def measure(self, work: Work, seconds: float = WINDOW_S) -> Window:
        """Watts times the time of one ``work``; ``seconds`` change nothing."""
        self._check(seconds)
        start = self._clock()
        runs = work()
        elapsed = max(self._clock() - start, SHORTEST_S)
        return Window(elapsed, runs, self.watts * elapsed * 1e3)

    def idle_watts(self, seconds: float = WINDOW_S) -> float | None:
        """None: a stated figure says nothing of an idle device."""
        return None
