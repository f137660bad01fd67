"""What every power meter offers: the energy of a window in which inferences ran, or nothing did."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from rlprune.errors import DeviceError

MIN_WINDOW_S = 1.0
WINDOW_S = 5.0
UPDATES = 10
"""A window must see its counter change so often: a counter that moves every 100 ms tells nothing of 50 ms."""
EDGE_UPDATES = 3
"""Update periods that are waited for a counter to change."""
NAP_S = 0.01

Clock = Callable[[], float]
Work = Callable[[], int]
"""Runs some inferences and returns how many."""


@dataclass(frozen=True)
class Window:
    """What a meter read while inferences ran back to back.

    Attributes:
        seconds: length of the window.
        runs: inferences in it.
        energy_mj: of the whole window, idle power included.

    Raises:
        DeviceError: a number that is not finite and above 0.
    """

    seconds: float
    runs: int
    energy_mj: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) and value > 0 for value in (self.seconds, self.runs, self.energy_mj)):
            raise DeviceError(
                f"A window must have taken time, runs and energy; {self.seconds} s, {self.runs} runs and "
                f"{self.energy_mj} mJ came. Measure again, with work that returns how many inferences it ran."
            )

    @property
    def watts(self) -> float:
        """Average power."""
        return self.energy_mj / 1e3 / self.seconds

    @property
    def mj_per_run(self) -> float:
        """Millijoules of one inference."""
        return self.energy_mj / self.runs

    @property
    def ms_per_run(self) -> float:
        """Milliseconds of one inference, the gaps between them included."""
        return self.seconds * 1e3 / self.runs


class PowerMeter(ABC):
    """Energy of one device. A meter that is absent says why; it never answers zero.

    Attributes:
        source: what the figure rests on, as it stands in a profile.
        measured: False for a stated figure or a formula.
        reason: why this meter cannot be used here, in one line; None where it can.
        remedy: how to get it where it is absent, in one line; None where nothing is missing.
        update_s: seconds between two values of its counter; 0 where it has none.
    """

    source: str
    measured: bool = True
    reason: str | None = None
    remedy: str | None = None
    update_s: float = 0.0

    @property
    def least_s(self) -> float:
        """The shortest window this meter can tell, in seconds."""
        return max(MIN_WINDOW_S, UPDATES * self.update_s)

    @abstractmethod
    def measure(self, work: Work, seconds: float = WINDOW_S) -> Window:
        """Repeat ``work`` for ``seconds`` and read the energy meanwhile; windows below ``least_s`` are lengthened.

        Raises:
            DeviceError: the meter is absent, stops answering or stands still, or the window is not above 0 s.
        """

    @abstractmethod
    def idle_watts(self, seconds: float = WINDOW_S) -> float | None:
        """Average power while nothing runs; None where the meter cannot know it. Raises as :meth:`measure`."""

    def describe(self) -> str:
        """The meter for people, in one line: what it is, or why it is absent and how to get it."""
        if self.reason is None:
            return f"{self.source} ({'measured' if self.measured else 'not measured'})"
        return f"{self.source}: {self.reason}" + (f"; to get it: {self.remedy}" if self.remedy else "")

    def _check(self, seconds: float) -> None:
        if self.reason is not None:
            raise DeviceError(f"The meter {self.source!r} cannot be read: {self.reason}.")
        if not (math.isfinite(seconds) and seconds > 0):
            raise DeviceError(f"A window must last more than 0 seconds; {seconds} came. {WINDOW_S:g} is usual.")


class EnergyCounter(PowerMeter):
    """A meter that counts energy. Windows begin and end where the counter has just changed.

    Work goes on while the counter is awaited: before a window this warms the device up, and at its end the inferences
    belong to it. So a window may be a little longer than asked for.
    """

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self.clock = clock

    @abstractmethod
    def energy_mj(self) -> float:
        """Energy in millijoules since an arbitrary start; never falls."""

    def measure(self, work: Work, seconds: float = WINDOW_S) -> Window:
        self._check(seconds)
        elapsed, runs, energy = self._window(work, max(seconds, self.least_s))
        if not (math.isfinite(energy) and energy > 0):
            raise DeviceError(
                f"The meter {self.source!r} must count more than 0 mJ; it counted {energy:g} mJ in {elapsed:.3g} s: it "
                "does not count. Choose another meter, or state the watts."
            )
        return Window(elapsed, runs, energy)

    def idle_watts(self, seconds: float = WINDOW_S) -> float | None:
        return self.measure(_nap, seconds).watts

    def _window(self, work: Work, seconds: float) -> tuple[float, int, float]:
        """Seconds, runs and millijoules of a window."""
        _, before, start = self._until_edge(work, None, self.clock())
        runs, after, now = self._until_edge(work, before, start + seconds)
        return now - start, runs, after - before

    def _until_edge(self, work: Work, reading: float | None, moment: float) -> tuple[int, float, float]:
        """Work until ``moment``, and on until the counter leaves ``reading``: the runs, its value, and the time."""
        runs, give_up = 0, moment + EDGE_UPDATES * self.update_s
        while True:
            runs += work()
            # After every piece of work: a counter that wraps around must be read before it does so twice.
            last, reading, now = reading, self.energy_mj(), self.clock()
            if now >= give_up or (now >= moment and last is not None and reading != last):
                return runs, reading, now


def _nap() -> int:
    time.sleep(NAP_S)
    return 1
