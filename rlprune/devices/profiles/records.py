"""The small records a device profile is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta

from rlprune.arrays import FloatArray
from rlprune.support.records import Count, NotNegative, Positive, Whole

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
"""Tail latencies that a profile promises: name -> share of inferences that are at least as fast."""
Widths = Annotated[tuple[Count, ...], Meta(min_length=1)]
Tails = Annotated[tuple[NotNegative, ...], Meta(min_length=len(QUANTILES), max_length=len(QUANTILES))]
WORST_TAIL = 0.5
"""Median error of a tail latency up to which it is promised."""


@dataclass(frozen=True)
class ErrorSummary:
    """Relative errors of predictions: ``|predicted - measured| / measured`` over ``plans`` plans."""

    median: NotNegative
    p90: NotNegative
    worst: NotNegative
    plans: Whole

    @classmethod
    def of(cls, errors: FloatArray) -> ErrorSummary:
        """Summary of relative errors ``[P]``; of none at all it is zero plans."""
        if not len(errors):
            return cls(0.0, 0.0, 0.0, 0)
        sizes = np.abs(errors)
        return cls(float(np.median(sizes)), float(np.quantile(sizes, 0.9)), float(sizes.max()), len(errors))

    def __str__(self) -> str:
        """For people: ``median 1.6%, p90 3.9%, worst 6.0%``."""
        return f"median {self.median:.1%}, p90 {self.p90:.1%}, worst {self.worst:.1%}"


@dataclass(frozen=True)
class EnergyModel:
    """Energy of one inference of ``batch`` samples in millijoules: ``base + watts * T + mj_per_mmac * MACs``.

    A stated power has no other term: ``E = P x T``. Where a meter was read, all three are fitted (not negative, so the
    energy never falls when a width rises): what one call costs, what the device draws whatever it computes, and what
    arithmetic adds.

    Attributes:
        watts: milliwatts per microsecond and the like: watts times milliseconds are millijoules.
        source: meter or model it rests on.
        measured: False for a stated figure.
        base_mj: of each inference.
        mj_per_mmac: of a million multiply-adds of one sample.
        idle_watts: power while nothing runs, where it was measured; contained in the energy, never subtracted.
        error: on measured plans, each left out in turn; of no plans where nothing was measured.
    """

    watts: NotNegative
    source: str
    measured: bool
    base_mj: NotNegative = 0.0
    mj_per_mmac: NotNegative = 0.0
    idle_watts: NotNegative | None = None
    error: ErrorSummary = ErrorSummary(0.0, 0.0, 0.0, 0)

    def __call__(self, latency_ms: FloatArray, macs: FloatArray) -> FloatArray:
        """Millijoules, ``[N]``, of inferences that take ``latency_ms`` ``[N]`` for ``macs`` ``[N]``."""
        return np.asarray(self.base_mj + self.watts * latency_ms + self.mj_per_mmac * macs / 1e6)

    def above_idle(self, energy_mj: float, latency_ms: float) -> float | None:
        """What an inference costs beyond an idle device, in millijoules; None where the idle power is not known."""
        return None if self.idle_watts is None else energy_mj - self.idle_watts * latency_ms

    @classmethod
    def stated(cls, watts: float, source: str) -> EnergyModel:
        """The model of a stated power, ``E = P x T``."""
        return cls(watts, source, measured=False)


@dataclass(frozen=True)
class EnergyReading:
    """What a meter read while one plan ran.

    Attributes:
        widths: channel count of each group.
        energy_mj: of one inference, idle power included.
        latency_ms: mean of the inferences in the window.
        seconds: length of the window.
    """

    widths: Widths
    energy_mj: Positive
    latency_ms: Positive
    seconds: Positive


@dataclass(frozen=True)
class TailModel:
    """A quantile of latency from the latency itself: ``offset + factor * T``, both not negative.

    What slows an inference down (other programs, clocks, interrupts) strikes every plan alike, partly for a fixed time
    and partly in proportion; so the samples of all plans together say what no plan's own few hundred could.

    Attributes:
        offset_ms, factor: the line; it never falls when the latency rises.
        error: against the quantiles that the plans which were not fitted showed themselves.
    """

    offset_ms: NotNegative
    factor: NotNegative
    error: ErrorSummary

    @property
    def holds(self) -> bool:
        """Whether the line is good enough to promise anything."""
        return self.error.median <= WORST_TAIL

    @property
    def refusal(self) -> str:
        """Why nothing is promised, where it is not."""
        return (
            f"not promised: a line through the latency is {self.error.median:.0%} off in the median, as on a machine "
            "that other programs disturb"
        )

    def __call__(self, latency_ms: FloatArray) -> FloatArray:
        """Milliseconds of the quantile, ``[N]``."""
        return np.asarray(self.offset_ms + self.factor * latency_ms)


@dataclass(frozen=True)
class MeasuredPlan:
    """A plan that was timed, and its latency.

    Attributes:
        widths: channel count of each group.
        latency_ms: of the estimator.
        tails_ms: quantiles of all its samples, in the order of :data:`QUANTILES`.
        held_out: the fit never saw it.
        session: number of the pass in which it was measured.
    """

    widths: Widths
    latency_ms: Positive
    tails_ms: Tails
    held_out: bool
    session: Whole = 0


@dataclass(frozen=True)
class MeasuringPass:
    """A pass of measuring: what was timed from its beginning to its end.

    Attributes:
        created: ISO 8601, UTC, when it ended.
        plans: that were timed, the dense one among them.
        samples: of each plan.
        dense_latency_ms: of the dense network in this pass; latencies of later passes are scaled by it.
        spread: how far two halves of the pass disagree: 95 of 100 plans agree better.
        bound: that the spread was to reach; measuring stopped there, or when the time was up.
        other_load: cores that other programs kept busy meanwhile, on average; None where it cannot be told.
    """

    created: str
    plans: Whole
    samples: Whole
    dense_latency_ms: Positive
    spread: NotNegative
    bound: NotNegative
    other_load: NotNegative | None = None

    @property
    def settled(self) -> bool:
        """Whether the spread reached its bound."""
        return self.spread <= self.bound
