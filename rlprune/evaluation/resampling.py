"""How much of a difference between two networks is chance: a paired bootstrap over samples.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. The score is computed anew on samples drawn
with replacement, the same draws for every network, so that what is hard for all of them cancels in a difference.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

from rlprune.arrays import FloatArray
from rlprune.tasks.judging import as_number

if TYPE_CHECKING:
    from rlprune.tasks.base import Task

SEED = 0
LEVEL = 0.95
FEWEST = 200
SAMPLES = 1_000_000
"""Samples in all draws together on which a score is computed anew: of many samples there are fewer draws."""
OF_SUMS = 10_000
"""Draws of a score that is a ratio of sums: quick, and so many that the ends of an interval hardly depend on them."""

Interval = tuple[float, float]


def draws_of(task: Task, samples: int) -> int:
    """How often so many samples are drawn again."""
    if task.is_ratio:
        return OF_SUMS if task.resamples else 0
    return min(task.resamples, max(FEWEST, SAMPLES // max(samples, 1)))


def resampled_scores(task: Task, outputs: torch.Tensor, targets: torch.Tensor) -> FloatArray:
    """The task's score on every draw, ``[draws]``; NaN where it is not defined on a draw, such as an AUC of one class.

    Args:
        outputs, targets: of all samples, as :meth:`rlprune.tasks.base.Task.score` takes them.
    """
    count, random = len(outputs), np.random.default_rng(SEED)
    rows = (random.integers(0, count, count) for _ in range(draws_of(task, count)))
    terms = task.terms_of(outputs, targets)
    if terms is not None:
        sums = np.array([np.bincount(row, minlength=count) @ terms for row in rows]).reshape(-1, 2)
        return np.asarray(sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], np.nan))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a score says of odd draws, a thousand times
        return np.array([_score(task, outputs, targets, torch.from_numpy(row)) for row in rows])


def _score(task: Task, outputs: torch.Tensor, targets: torch.Tensor, row: torch.Tensor) -> float:
    try:
        score = task.score(outputs[row.to(outputs.device)], targets[row.to(targets.device)])
        return as_number(score, "score", task.name, strict=False)
    except Exception:  # anybody's score; on the samples themselves it was computed without one
        return float("nan")


def paired_interval(first: FloatArray | None, second: FloatArray | None) -> Interval | None:
    """Where 95% of the differences ``first - second`` lie; None where they are unknown in more than half of the draws.

    Args:
        first, second: :func:`resampled_scores` of two networks on the same samples.
    """
    if first is None or second is None or first.shape != second.shape:
        return None
    differences = (first - second)[np.isfinite(first) & np.isfinite(second)]
    if 2 * len(differences) < max(len(first), 1):
        return None
    low, high = np.quantile(differences, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
