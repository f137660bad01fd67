"""Times plans and puts them under a meter; what was measured is kept whatever happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from rlprune.arrays import FloatArray, IntArray
from rlprune.devices.host import LoadWatch
from rlprune.devices.meters.base import PowerMeter
from rlprune.devices.profiles.records import EnergyReading
from rlprune.devices.profiling.energy import WINDOW_S, read_energy
from rlprune.devices.profiling.partial import DECIMALS, PartialProfile
from rlprune.devices.profiling.timing import REPEATS, SETTLED, minima, rounds_for, spread, time_round, wants_more
from rlprune.devices.runtimes.base import Inference, Runtime
from rlprune.errors import DeviceError
from rlprune.networks.network import Network
from rlprune.support.progress import Bar

LEAST_PLANS = 8
STORE_EVERY_S = 5.0
Load = Callable[[IntArray], Inference]
PROBE_TIME = 1 / 3
"""Share of the time limit after which probing stops."""


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        plans: the predictor is fitted to.
        checks: further plans that it never sees, for its stated error. Networks with few plans get fewer of both.
        samples: of each plan, at least; more while two halves of the measurement disagree by more than ``bound``.
        bound: of the spread; see :func:`rlprune.devices.profiling.timing.spread`.
        limit_s: seconds after which no further round begins; without one, three times ``samples`` are the most.
        window_s: of a reading of energy.
        seed: of the choice and the order of plans.

    Raises:
        DeviceError: a number is too small.
    """

    plans: int = 64
    checks: int = 16
    samples: int = 300
    bound: float = SETTLED
    limit_s: float | None = None
    window_s: float = WINDOW_S
    seed: int = 0

    def __post_init__(self) -> None:
        if self.plans < LEAST_PLANS or self.checks < 1 or self.samples < REPEATS:
            raise DeviceError(
                f"A profile needs at least {LEAST_PLANS} plans, 1 check and {REPEATS} samples; "
                f"{self.plans}, {self.checks} and {self.samples} came."
            )
        if not 0 < self.bound < 1 or not self.window_s > 0 or not (self.limit_s is None or self.limit_s > 0):
            raise DeviceError(
                "The bound of a profile must lie between 0 and 1, its window and its time limit above 0 seconds; "
                f"{self.bound}, {self.window_s} and {self.limit_s} came."
            )

    def key(self) -> list[float]:
        """What decides which plans are measured and when measuring may end."""
        return [self.plans, self.checks, self.samples, self.bound, self.seed]


@dataclass(frozen=True)
class Timed:
    """Plans that were timed.

    Attributes:
        plans: ``[P, G]``, dense first.
        cube: milliseconds ``[R, P, repeats]``.
        other_load: cores that other programs kept busy meanwhile; None where it cannot be told.
    """

    plans: IntArray
    cube: FloatArray
    other_load: float | None

    @property
    def latency_ms(self) -> FloatArray:
        """By the estimator, ``[P]``."""
        return minima(self.cube.min(axis=2))

    @property
    def samples(self) -> FloatArray:
        """All samples of each plan, ``[P, R * repeats]``."""
        return self.cube.transpose(1, 0, 2).reshape(len(self.plans), -1)

    @property
    def spread(self) -> float:
        """How far two halves disagree."""
        return spread(self.cube.min(axis=2))


class Stage:
    """Loads plans and times them round by round, going on from what is stored.

    Args:
        stored: keeps every finished round and reading.
        progress: show bars on stderr.
    """

    def __init__(
        self, network: Network, runtime: Runtime, stored: PartialProfile, effort: Effort, progress: bool
    ) -> None:
        self._network, self._runtime, self._stored = network, runtime, stored
        self._effort, self._progress = effort, progress
        self._start = time.monotonic()

    def measure(self, phase: str, plans: IntArray, share: float = 1.0, load: Load | None = None) -> Timed:
        """Time ``plans`` ``[P, G]``, dense first, within ``share`` of the time limit.

        Args:
            load: makes a row ready to run; where nothing is said, a row is the widths of the network.

        Raises:
            DeviceError: the device stopped answering; finished rounds are kept.
            NetworkError: a plan cannot be exported.
        """
        least = rounds_for(self._effort.samples)
        rounds = self._stored.rounds(phase, (len(plans), REPEATS))
        with LoadWatch() as watch:
            if self._wants_more(rounds, least, share):
                self._stored.store(phase, rounds)  # a folder that cannot be written is told before anything is loaded
                inferences = [(load or self._load)(row) for row in self._loading(plans, phase)]
                bar = self._bar(f"{phase}: time {len(plans)} plans", least, len(rounds), "rounds")
                with bar, self._keeping():
                    self._time(phase, inferences, rounds, lambda: self._wants_more(rounds, least, share), bar)
        return Timed(plans, np.array(rounds), watch.other_load)

    def _time(
        self,
        phase: str,
        inferences: list[Inference],
        rounds: list[FloatArray],
        wants_more: Callable[[], bool],
        bar: Bar,
    ) -> None:
        """Add rounds; they are stored every few seconds, and however it ends."""
        stored = time.monotonic()
        try:
            while wants_more():
                timed = time_round(self._runtime, inferences, len(rounds), self._effort.seed)
                rounds.append(np.round(timed, DECIMALS))
                if time.monotonic() - stored > STORE_EVERY_S:
                    self._stored.store(phase, rounds)
                    stored = time.monotonic()
                bar.step(self._agreement(rounds))
        finally:
            self._stored.store(phase, rounds)

    def read(self, meter: PowerMeter, plans: IntArray, latency_ms: FloatArray) -> list[EnergyReading]:
        """Put ``plans`` ``[P, G]``, which take ``latency_ms`` ``[P]``, under the meter.

        Raises:
            DeviceError: the meter or the device stopped answering; finished readings are kept.
        """
        readings = self._stored.readings()
        with self._bar(f"energy of {len(plans)} plans", len(plans), len(readings)) as bar, self._keeping():
            for widths, expected_ms in list(zip(plans, latency_ms, strict=True))[len(readings) :]:
                seconds = self._effort.window_s
                window = read_energy(self._runtime, self._load(widths), float(expected_ms), meter, seconds)
                plan = tuple(int(width) for width in widths)
                readings.append(EnergyReading(plan, window.mj_per_run, window.ms_per_run, window.seconds))
                self._stored.store_readings(readings)
                bar.step()
        return readings

    def _wants_more(self, rounds: list[FloatArray], least: int, share: float) -> bool:
        limit = self._effort.limit_s
        deadline = None if limit is None else self._start + share * limit
        return wants_more([timed.min(axis=1) for timed in rounds], least, self._effort.bound, deadline)

    @contextmanager
    def _keeping(self) -> Iterator[None]:
        """A device that fails in the middle: what was measured is kept, and the message says where."""
        try:
            yield
        except DeviceError as reason:
            if self._stored.path is None:
                raise
            raise DeviceError(
                f"{reason} What was measured is kept in {self._stored.path}: the same command goes on from there."
            ) from reason

    def _loading(self, plans: IntArray, phase: str) -> Iterator[IntArray]:
        with self._bar(f"{phase}: load {len(plans)} plans", len(plans), 0) as bar:
            for widths in plans:
                yield widths
                bar.step()

    def _load(self, widths: IntArray) -> Inference:
        return self._runtime.load(self._network, widths)

    def _agreement(self, rounds: list[FloatArray]) -> str:
        """Why there are more rounds than were asked for."""
        if len(rounds) < rounds_for(self._effort.samples):
            return ""
        differ = spread(np.array([timed.min(axis=1) for timed in rounds]))
        return f"two halves differ by {differ:.1%}, {self._effort.bound:.1%} wanted"

    def _bar(self, text: str, total: int, done: int, unit: str = "") -> Bar:
        return Bar(text, total, done=done, unit=unit, hidden=not self._progress)
