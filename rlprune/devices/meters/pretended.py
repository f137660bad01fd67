"""A meter for devices that only pretend to run: it knows what an inference costs, and no time passes."""

from __future__ import annotations

from abc import abstractmethod

from rlprune.devices.meters.base import WINDOW_S, PowerMeter, Window, Work


class PretendedMeter(PowerMeter):
    """Windows of whatever plan ran last, as long as was asked for; ``work`` runs once, to say which plan it is."""

    @abstractmethod
    def last_run(self) -> tuple[float, float]:
        """Milliseconds and millijoules of one inference of the plan that ran last.

        Raises:
            DeviceError: no plan ran, or its energy is not known.
        """

    def measure(self, work: Work, seconds: float = WINDOW_S) -> Window:
        self._check(seconds)
        done = work()
        milliseconds, millijoules = self.last_run()
        length = max(seconds, self.least_s)
        runs = max(done, round(length * 1e3 / milliseconds)) if done > 0 else 0
        return Window(runs * milliseconds / 1e3, runs, runs * millijoules, lengthened=seconds < self.least_s)
