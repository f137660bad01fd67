"""Prune, measure, move the threshold, again: the loop of articles on multi-objective pruning, with its sign right.

A round prunes by a threshold and measures accuracy P, speed S = 1 / T and energy E = power * T. Below the target
accuracy too much was pruned, so the threshold falls; where accuracy is met and speed, energy or size is not, it rises.
As such loops are often printed, a threshold that removes small weights *rises* when accuracy is too low, which prunes
yet more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from rlprune.errors import ConfigError, unknown_name

STEP_RULES = ("fixed", "proportional")
MET, ROUNDS, STUCK = "targets met", "all rounds done", "threshold cannot move further"
COSTS = {"speed": 1, "energy_mj": -1, "size_bytes": -1}
"""Quantities beside accuracy; 1 where more is better."""
LEAST_GAP = 0.05
"""A proportional step is at least for this gap: it would else creep towards a target and never reach it."""


@dataclass(frozen=True)
class Measurement:
    """What one round measured, or the targets: None where there is none.

    Attributes:
        accuracy: P, in [0, 1].
        speed: S, in samples per second.
        energy_mj: E, of one sample.
        size_bytes: of the stored network.
    """

    accuracy: float | None = None
    speed: float | None = None
    energy_mj: float | None = None
    size_bytes: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.known.items():
            if not 0 <= value < math.inf:
                raise ConfigError(f"{name} must be a number from 0 on; {value!r} came. Measure it again.")

    @classmethod
    def timed(cls, accuracy: float, latency_ms: float, power_w: float, size_bytes: float | None = None) -> Measurement:
        """From the latency of one sample and the mean power: S = 1 / T, E = power * T."""
        if not 0 < latency_ms < math.inf:
            raise ConfigError(f"A latency must be above 0 ms; {latency_ms!r} came. Measure it again.")
        return cls(accuracy, 1000 / latency_ms, power_w * latency_ms, size_bytes)

    @property
    def known(self) -> dict[str, float]:
        """The quantities that have a value."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Round:
    """A round of the loop: its threshold, what was measured, and how far from the targets that is.

    Attributes:
        accuracy_gap, cost_gap: what is lacking, relative to the target, the largest of the costs; 0 where all is met.
    """

    threshold: float
    measured: Measurement
    accuracy_gap: float
    cost_gap: float


class ThresholdLoop:
    """Says which threshold comes next; pruning and measuring are the caller's::

        loop = ThresholdLoop(Measurement(accuracy=0.9, speed=2000), start=0.01, alpha=0.5, scale=0.05, rounds=5)
        while loop.finished is None:
            loop.report(measure(prune(WeightPruningStrategy(loop.threshold))))

    A step is ``alpha * scale`` (``fixed``), or ``alpha * scale * (S1 - S2) / S1`` (``proportional``): S1 is the target
    and S2 the present value of what lacks most, speed or another cost, or accuracy when it is too low. A gap counts as
    at least 0.05, so that it is closed, and as at most 1. Once a threshold met the target accuracy and a higher one
    missed it, the next lies between them: it rises by at most half of the way to the one that missed, and falls half of
    the way to the one that met.

    Args:
        targets: least accuracy and speed, most energy and size; accuracy and at least one other.
        start: first threshold, in the units of what it is compared with.
        alpha: length of a step, without unit.
        scale: what a step of 1 is in the threshold's units, e.g. the root mean square of the weights.
        rounds: at most so many.
        step_rule: ``fixed`` or ``proportional``.
        ceiling: thresholds from here on remove everything; none beyond it is proposed, and ``notes`` tells.

    Attributes:
        threshold: of the next round.
        rounds: what was reported so far.
        finished: why the loop is over; None while it goes on.
        notes: what a user should know.

    Raises:
        ConfigError: a setting is unknown or out of range.
    """

    def __init__(
        self,
        targets: Measurement,
        *,
        start: float,
        alpha: float,
        scale: float = 1.0,
        rounds: int = 5,
        step_rule: str = "fixed",
        ceiling: float = math.inf,
    ) -> None:
        if step_rule not in STEP_RULES:
            raise ConfigError(unknown_name("step rule", step_rule, STEP_RULES))
        rules = (
            ("targets", targets, targets.accuracy is not None and len(targets.known) > 1, "accuracy and another"),
            ("targets", targets, all(value > 0 for value in targets.known.values()), "above 0"),
            ("rounds", rounds, rounds >= 1, "at least 1"),
            ("alpha", alpha, 0 < alpha < math.inf, "above 0 and finite"),
            ("scale", scale, 0 < scale < math.inf, "above 0 and finite"),
            ("start", start, 0 <= start < ceiling, f"at least 0 and below {ceiling:g}, where a layer loses everything"),
        )
        for name, value, fits, rule in rules:
            if not fits:
                raise ConfigError(f"Threshold loop: {name} must be {rule}; {value!r} came.")
        self.targets = targets
        self.threshold = start
        self.rounds: list[Round] = []
        self.finished: str | None = None
        self.notes: list[str] = []
        self._step, self._most_rounds = alpha * scale, rounds
        self._proportional, self._ceiling = step_rule == "proportional", ceiling

    def report(self, measured: Measurement) -> None:
        """Take what the round at ``threshold`` measured, and move on or finish.

        Raises:
            ConfigError: a quantity with a target was not measured, or the loop is over.
        """
        if self.finished is not None:
            raise ConfigError(f"The threshold loop is over ({self.finished}); start a new one.")
        for name in self.targets.known.keys() - measured.known.keys():
            raise ConfigError(f"The threshold loop has a target for {name}; this round did not measure it. Measure it.")
        done = Round(self.threshold, measured, self._gap("accuracy", measured), self._cost_gap(measured))
        self.rounds.append(done)
        if not done.accuracy_gap and not done.cost_gap:
            self.finished = MET
        elif len(self.rounds) == self._most_rounds:
            self.finished = ROUNDS
        elif (following := self._after(done)) == self.threshold:
            self.finished = STUCK
        else:
            self.threshold = following

    @property
    def best(self) -> Round:
        """The round that met the accuracy and lacks least of the costs; where none did, the most accurate one.

        Raises:
            ConfigError: there was no round.
        """
        if not self.rounds:
            raise ConfigError("The threshold loop has no round yet; report one first.")
        return min(self.rounds, key=lambda done: (done.accuracy_gap, done.cost_gap))

    def _gap(self, name: str, measured: Measurement) -> float:
        if name not in self.targets.known:
            return 0.0
        target, present = self.targets.known[name], measured.known[name]
        return max(0.0, COSTS.get(name, 1) * (target - present) / target)

    def _cost_gap(self, measured: Measurement) -> float:
        return max(self._gap(name, measured) for name in COSTS)

    def _after(self, done: Round) -> float:
        gap = done.accuracy_gap or done.cost_gap
        step = self._step * (min(max(gap, LEAST_GAP), 1.0) if self._proportional else 1.0)
        met = [other.threshold for other in self.rounds if not other.accuracy_gap and other.threshold < done.threshold]
        missed = [other.threshold for other in self.rounds if other.accuracy_gap and other.threshold > done.threshold]
        if done.accuracy_gap:
            return (done.threshold + max(met)) / 2 if met else max(0.0, done.threshold - step)
        rise = min(step, (min(missed) - done.threshold) / 2) if missed else step
        return self._below_ceiling(done.threshold + rise)

    def _below_ceiling(self, threshold: float) -> float:
        if threshold < self._ceiling:
            return threshold
        highest = float(np.nextafter(np.float32(self._ceiling), np.float32(0)))  # weights are compared in float32
        if highest != self.threshold:
            self.notes.append(f"A threshold of {threshold:g} would remove everything; {highest:g} is taken.")
        return highest
