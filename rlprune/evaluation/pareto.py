"""Dominance, hypervolume, knees and weighted distances: what tables of losses tell, ``[N, M]``, less being better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlprune.arrays import BoolArray, FloatArray, IntArray

SAME = 1e-6
"""Relative difference below which two columns are one."""
FLAT = 1e-9
"""Distance up to which a front bends nowhere."""


def undominated(losses: FloatArray) -> IntArray:
    """Rows of ``[N, M]`` that no other one beats, least first loss first; of equal rows the first."""
    front: list[int] = []
    for row in np.lexsort(losses.T[::-1]).tolist():  # whatever beats a row comes before it
        if not (losses[front] <= losses[row]).all(axis=1).any():
            front.append(row)
    return np.array(front, dtype=np.int64)


def dominated(losses: FloatArray) -> BoolArray:
    """For each row of ``[N, M]`` whether another one is no worse in any column and better in one, ``[N]``."""
    best = losses[undominated(losses)]
    beaten = [((best <= row).all(axis=1) & (best < row).any(axis=1)).any() for row in losses]
    return np.array(beaten, dtype=np.bool_)


def hypervolume(losses: FloatArray, reference: FloatArray) -> float:
    """What rows of ``[N, M]`` dominate up to ``reference``, ``[M]`` (Zitzler and Thiele 1998).

    Exact, by exclusive volumes: While, Bradstreet and Barone, A fast way of calculating exact hypervolumes, IEEE
    Transactions on Evolutionary Computation 16, 2012. Rows that are not below the reference everywhere add nothing.
    """
    gains: FloatArray = reference - losses
    inside = gains[(gains > 0).all(axis=1)]
    return _union(inside[undominated(-inside)])


def contributions(losses: FloatArray, reference: FloatArray) -> FloatArray:
    """What each row alone dominates, ``[N]``: by so much would the hypervolume fall without it."""
    gains = np.maximum(reference - losses, 0.0)
    alone = [_exclusive(gain, np.delete(gains, row, axis=0)) for row, gain in enumerate(gains)]
    return np.array(alone, dtype=np.float64)


def _union(gains: FloatArray) -> float:
    """Volume of the union of boxes from 0 to each row of ``[N, M]``."""
    if not len(gains):
        return 0.0
    if gains.shape[1] == 1:
        return float(gains.max())
    if gains.shape[1] == 2:
        return _area(gains)
    # Beside boxes that are all as high in the last objective, it is but a factor of what a box has alone.
    ordered = gains[gains[:, -1].argsort()]
    slices = (gain[-1] * _exclusive(gain[:-1], ordered[place + 1 :, :-1]) for place, gain in enumerate(ordered))
    return float(sum(slices))


def _exclusive(gain: FloatArray, others: FloatArray) -> float:
    """What a box has alone: the others count as far as they lie within it."""
    within = np.minimum(others, gain)
    return float(gain.prod()) - _union(within[undominated(-within)] if within.shape[1] > 2 else within)


def _area(gains: FloatArray) -> float:
    """Of the union of rectangles: stairs from the widest to the highest."""
    ordered = gains[np.argsort(-gains[:, 0], kind="stable")]
    heights = np.maximum.accumulate(ordered[:, 1])
    widths = -np.diff(ordered[:, 0], append=0.0)
    return float(widths @ heights)


def scaled(losses: FloatArray) -> FloatArray:
    """Every column from 0, its least value, to 1, its greatest; a column without any difference is 0."""
    least, most = losses.min(axis=0), losses.max(axis=0)
    return np.asarray((losses - least) / np.where(most > least, most - least, 1.0))


def repeated_columns(losses: FloatArray) -> dict[int, int]:
    """Columns that say the same as an earlier one, and which one that is."""
    found: dict[int, int] = {}
    for later in range(1, losses.shape[1]):
        same = [first for first in range(later) if np.allclose(losses[:, first], losses[:, later], rtol=SAME, atol=0)]
        found |= {later: same[0]} if same and len(losses) > 1 else {}
    return found


@dataclass(frozen=True)
class Knee:
    """Where a front bends most.

    Attributes:
        row: of the table.
        distance: to the hyperplane through the extremes, towards the ideal point, of losses scaled to [0, 1].
    """

    row: int
    distance: float


def knee(losses: FloatArray) -> Knee:
    """The row of a front, ``[N, M]``, that lies farthest from the hyperplane through the extremes, on the ideal's side.

    The extreme of an objective is its least row (of several, the one whose other losses are least in sum). Losses are
    scaled to [0, 1] first, and columns that repeat others are left out. Das, On characterizing the "knee" of the
    Pareto curve based on normal-boundary intersection, Structural Optimization 18, 1999.

    Where no row lies on that side, nothing in the front's form tells one from another; then it is that of the least sum
    of losses as they are.
    """
    repeated = repeated_columns(losses)
    own = losses[:, [column for column in range(losses.shape[1]) if column not in repeated]]
    table = scaled(own)
    normal = _normal(table)
    distances = (1 - table @ normal) / np.linalg.norm(normal)
    bends = distances.max() > FLAT
    row = int(np.argmax(distances.round(12)) if bends else np.argmin(own.sum(axis=1).round(12)))
    return Knee(row, float(distances[row]))


def _normal(table: FloatArray) -> FloatArray:
    """``w`` of the hyperplane ``w f = 1`` through the extremes; that through the unit points where they span none."""
    sums = table.sum(axis=1)
    extremes = table[[int(np.lexsort((sums, column))[0]) for column in table.T]]
    ones: FloatArray = np.ones(table.shape[1])
    try:
        normal: FloatArray = np.asarray(np.linalg.solve(extremes, ones), dtype=np.float64)
    except np.linalg.LinAlgError:
        return ones
    faces_the_ideal = np.isfinite(normal).all() and (normal > 0).all() and np.abs(normal).max() < 1 / SAME
    return normal if faces_the_ideal else ones


def nearest(losses: FloatArray, weights: Sequence[float]) -> int:
    """The row of least weighted Chebyshev distance to the ideal point, of losses scaled to [0, 1].

    Every row of a front is the nearest one for some weights, of a front that is not convex too, which a weighted sum
    cannot do (Miettinen, Nonlinear Multiobjective Optimization, 1999, section 3.4). Of equally near rows the one of
    least weighted sum is taken, then that of least sum.

    Args:
        losses: ``[N, M]``.
        weights: one a column, at least 0; a column of weight 0 does not count.
    """
    table = scaled(losses)
    weighted = table * np.asarray(weights, dtype=np.float64)
    keys = (table.sum(axis=1), weighted.sum(axis=1), weighted.max(axis=1))
    return int(np.lexsort([key.round(12) for key in keys])[0])
