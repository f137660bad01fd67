"""Intervals and paired differences by the bootstrap over seeds.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993.

A run is drawn as a whole, with its seed; images are not. So an interval tells how far another seed would go, not how
far another test set would: the binomial error of the test set is another matter and is not mixed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlprune.network import FloatArray

DRAWS = 10_000
FEWEST = 3
"""Below this many seeds nothing is drawn."""
LEVEL = 0.95


@dataclass(frozen=True)
class Spread:
    """A mean over seeds and how far it can be trusted.

    Attributes:
        mean: over ``values``.
        values: one a seed.
        kind: of the interval: "bootstrap" (95%, percentiles), "range" (two seeds), "none" (one seed), or "constant"
            (what does not depend on the seed).
        low, high: the interval, where there is one.
    """

    mean: float
    values: tuple[float, ...]
    kind: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Difference:
    """A paired difference: first minus second, seed by seed.

    Attributes:
        seeds: that both have.
        mean: of the differences; None without a common seed.
        low, high: 95% interval; None below three seeds.
        p: two-sided; None below three seeds.
        least_p: the least p that so many seeds are allowed to tell.
    """

    seeds: int
    mean: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    least_p: float | None = None


def spread(values: Sequence[float], constant: bool = False) -> Spread:
    """Mean and interval of ``values``, one a seed: percentile bootstrap (chapter 13) from three seeds on.

    Args:
        constant: the values are no draws, so they have no interval.
    """
    mean, kept = float(np.mean(values)), tuple(float(value) for value in values)
    if constant:
        return Spread(mean, kept, "constant")
    if len(kept) < 2:
        return Spread(mean, kept, "none")
    if len(kept) < FEWEST:
        return Spread(mean, kept, "range", min(kept), max(kept))
    return Spread(mean, kept, "bootstrap", *_percentiles(_drawn_means(np.array(kept))))


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Whether two methods differ, from one value of each for every common seed.

    The interval is that of the mean difference. p is twice the smaller share of drawn means on either side of zero
    (section 15.4: the level at which the interval just reaches zero), but never below 2^(1-n). That is the chance that
    n differences which mean nothing all have one sign, in which case every draw has it too.
    """
    differences = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    count = len(differences)
    if count == 0:
        return Difference(0, None)
    mean = float(differences.mean())
    if count < FEWEST:
        return Difference(count, mean)
    drawn = _drawn_means(differences)
    # Means of values that cancel differ from zero in the last digits.
    drawn[np.abs(drawn) <= 1e-12 * np.abs(differences).max()] = 0.0
    least = max(2.0 ** (1 - count), 2 / (DRAWS + 1))
    tail = min((drawn <= 0).mean(), (drawn >= 0).mean())
    return Difference(count, mean, *_percentiles(drawn), p=min(1.0, max(2 * float(tail), least)), least_p=least)


def _drawn_means(values: FloatArray) -> FloatArray:
    """Means of values drawn with replacement, ``[DRAWS]``; the same draws every time."""
    chosen = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
    return np.asarray(values[chosen].mean(axis=1))


def _percentiles(drawn: FloatArray) -> tuple[float, float]:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
