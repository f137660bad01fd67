"""The small records a device profile is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rlprune.network import FloatArray


@dataclass(frozen=True)
class ErrorSummary:
    """Relative errors of predicted latencies: ``|predicted - measured| / measured`` over ``plans`` plans."""

    median: float
    p90: float
    worst: float
    plans: int

    @classmethod
    def of(cls, errors: FloatArray) -> ErrorSummary:
        """Summary of relative errors ``[P]``; of none at all it is zero plans."""
        if not len(errors):
            return cls(0.0, 0.0, 0.0, 0)
        sizes = np.abs(errors)
        return cls(float(np.median(sizes)), float(np.quantile(sizes, 0.9)), float(sizes.max()), len(errors))


@dataclass(frozen=True)
class Power:
    """Average power while the network runs.

    Attributes:
        watts: mean over the dense and the narrowest plan where it was measured, else the stated figure.
        source: meter or model it rests on.
        measured: False for a stated figure.
        idle_watts: power while nothing runs, where it was measured; contained in ``watts``, never subtracted.
    """

    watts: float
    source: str
    measured: bool
    idle_watts: float | None = None


@dataclass(frozen=True)
class MeasuredPlan:
    """One plan that was timed: channel count of each group, milliseconds, and whether the fit never saw it."""

    widths: tuple[int, ...]
    latency_ms: float
    held_out: bool
