"""Exact hypervolume in any number of objectives: how much of the space up to a reference point is dominated."""

from __future__ import annotations

import numpy as np

from rlprune.arrays import FloatArray
from rlprune.experiments.fronting.pareto import undominated


def hypervolume(losses: FloatArray, reference: FloatArray) -> float:
    """What rows of ``[N, M]`` dominate up to ``reference``, ``[M]`` (Zitzler and Thiele 1998).

    Exact, by exclusive volumes: While, Bradstreet and Barone, A fast way of calculating exact hypervolumes, IEEE
    Transactions on Evolutionary Computation 16, 2012. Rows that are not below the reference everywhere add nothing.
    """
    return _volume(_gains(losses, reference))


def contributions(losses: FloatArray, reference: FloatArray) -> FloatArray:
    """What each row alone dominates, ``[N]``: by so much would the hypervolume fall without it."""
    gains = np.maximum(reference - losses, 0.0)
    alone = [_exclusive(gain, np.delete(gains, row, axis=0)) for row, gain in enumerate(gains)]
    return np.array(alone, dtype=np.float64)


def _gains(losses: FloatArray, reference: FloatArray) -> FloatArray:
    """By how much rows are better than the reference: each dominates the box from 0 to there."""
    gains: FloatArray = reference - losses
    inside = gains[(gains > 0).all(axis=1)]
    return inside[undominated(-inside)]


def _volume(gains: FloatArray) -> float:
    """Volume of the union of boxes from 0, ``[N, M]``."""
    if not len(gains):
        return 0.0
    if gains.shape[1] == 1:
        return float(gains.max())
    if gains.shape[1] == 2:
        return _area(gains)
    ordered = gains[gains[:, -1].argsort()]
    return float(sum(_of_slice(gain, ordered[place + 1 :]) for place, gain in enumerate(ordered)))


def _of_slice(gain: FloatArray, higher: FloatArray) -> float:
    """What a box has alone beside boxes that are all as high in the last objective, which is thus but a factor."""
    return float(gain[-1]) * _exclusive(gain[:-1], higher[:, :-1])


def _exclusive(gain: FloatArray, others: FloatArray) -> float:
    """What a box has alone: the others count as far as they lie within it."""
    within = np.minimum(others, gain)
    return float(gain.prod()) - _volume(within[undominated(-within)] if within.shape[1] > 2 else within)


def _area(gains: FloatArray) -> float:
    """Of rectangles: stairs from the widest to the highest."""
    ordered = gains[np.argsort(-gains[:, 0], kind="stable")]
    heights = np.maximum.accumulate(ordered[:, 1])
    widths = -np.diff(ordered[:, 0], append=0.0)
    return float(widths @ heights)
