"""What every power meter offers: average watts over a window of at least one second."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from rlprune.errors import DeviceError

MIN_WINDOW_S = 1.0
"""Energy counters update about every 100 ms: over shorter windows the quotient is mostly chance."""

Clock = Callable[[], float]
Work = Callable[[], object]


class PowerMeter(ABC):
    """Power of one device. A meter that is absent says why; it never answers zero.

    Attributes:
        source: what the figure rests on, as it stands in a profile.
        measured: False for a stated figure.
        reason: why this meter cannot be used here, in one line; None where it can.
    """

    source: str
    measured: bool = True
    reason: str | None = None

    def average_watts(self, work: Work, seconds: float = MIN_WINDOW_S) -> float:
        """Repeat ``work`` for ``seconds`` (at least one) and return the average power in watts.

        Raises:
            DeviceError: the meter is absent, or its reading is not a positive number.
        """
        if self.reason is not None:
            raise DeviceError(f"The meter {self.source!r} cannot be read: {self.reason}.")
        watts = self._average_watts(work, max(seconds, MIN_WINDOW_S))
        if not 0 < watts < float("inf"):
            raise DeviceError(f"The meter {self.source!r} must read more than 0 W; it read {watts} W. Choose another.")
        return watts

    @abstractmethod
    def _average_watts(self, work: Work, seconds: float) -> float:
        """Average power in watts while ``work`` is repeated for ``seconds``."""


class EnergyCounter(PowerMeter):
    """A meter that counts energy; power is the energy of a window divided by its length."""

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self.clock = clock

    @abstractmethod
    def energy_mj(self) -> float:
        """Energy in millijoules since an arbitrary start; never falls."""

    def _average_watts(self, work: Work, seconds: float) -> float:
        before, start = self.energy_mj(), self.clock()
        after, elapsed = before, 0.0
        while elapsed < seconds:
            work()
            after = self.energy_mj()  # every time: a counter that wraps around must be read before it does so twice
            elapsed = self.clock() - start
        return (after - before) / 1e3 / elapsed
