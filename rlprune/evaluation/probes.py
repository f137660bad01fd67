"""What each choice loses alone, measured: the cheapest knowledge about a network that finds good plans.

Every choice is set to two of its levels, all else untouched, and the divergence on calibration samples is measured: two
forward passes for each choice, once per network for all budgets. Its error curve, which says how the loss rises but not
how much it matters to the outputs, is bent so that it passes through both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rlprune.arrays import FloatArray, IntArray
from rlprune.choices.choice import Choice
from rlprune.evaluation.quality import WORST_DIVERGENCE, Quality

PROBED = (0.5, 0.25)
"""Shares of a choice at which it is measured; the nearest of its levels count."""
PROBE_SAMPLES = 256
"""Calibration samples that are run for each; 64 are slightly too few."""
SHRINKAGE = 0.2
"""Power by which losses are drawn towards their geometric mean: what matters most alone matters less among others."""
LEAST = 1e-7
EXPONENTS = (0.25, 4.0)
"""Between which the power lies that bends an error curve."""


@dataclass(frozen=True)
class LossTables:
    """Losses of single choices, which add up to what is expected of a plan.

    Attributes:
        losses: of choice k at level l, 0 at its full level and above, ``[K, full + 1]``; between a choice's levels
            they are interpolated.
        measured: geometric mean of the losses that were measured of each choice, ``[K]``.
    """

    losses: FloatArray
    measured: FloatArray

    def __call__(self, plans: IntArray) -> FloatArray:
        """The sum over a plan's choices, ``[N, K] -> [N]``."""
        return np.asarray(self.losses[np.arange(len(self.losses)), plans].sum(axis=1))

    def of(self, choices: Sequence[Choice]) -> FloatArray:
        """The loss of each choice at each of its levels, ``[K, M]``, as :class:`Knapsack` reads it."""
        table = np.zeros((len(choices), max(len(choice.levels) for choice in choices)))
        for row, losses, choice in zip(table, self.losses, choices, strict=True):
            row[: len(choice.levels)] = losses[list(choice.levels)]
        return table

    def shrunk(self, power: float = SHRINKAGE) -> LossTables:
        """Tables in which choices that lose much alone count less, and others more."""
        logs = np.log(self.measured)
        return LossTables(self.losses * np.exp(-power * (logs - logs.mean()))[:, None], self.measured)


def error_tables(choices: Sequence[Choice], error_curve: Callable[[Choice], FloatArray]) -> LossTables:
    """Tables of the error curves as they are, known before anything is measured."""
    curves = [error_curve(choice) for choice in choices]
    return LossTables(_by_level(choices, curves), np.ones(len(choices)))


def probed_tables(
    measure: Callable[[Sequence[IntArray]], Sequence[Quality]],
    choices: Sequence[Choice],
    error_curve: Callable[[Choice], FloatArray],
) -> LossTables:
    """Tables of error curves that pass through what each choice was measured to lose alone; see the module.

    Args:
        measure: the qualities of plans ``[K]``.
        error_curve: what each level of a choice is expected to lose, on a scale of the choice's own.
    """
    full = np.array([choice.full for choice in choices], dtype=np.int64)
    probed = [_probed_levels(choice) for choice in choices]
    rows = [_alone(full, at, level) for at, levels in enumerate(probed) for level in levels]
    found = iter([_known(quality.divergence) for quality in measure(rows)])
    curves, means = [], []
    for choice, levels in zip(choices, probed, strict=True):
        losses = np.array([next(found) for _ in levels])
        curves.append(_bent(error_curve(choice), [choice.levels.index(level) for level in levels], losses))
        means.append(float(np.exp(np.log(losses).mean())) if len(losses) else LEAST)
    return LossTables(_by_level(choices, curves), np.array(means))


def _probed_levels(choice: Choice) -> list[int]:
    """The levels nearest to the probed shares, without the one that changes nothing; ascending."""
    lower = np.array(choice.levels[:-1], dtype=np.int64)
    return sorted({int(lower[np.abs(lower / choice.full - share).argmin()]) for share in PROBED}) if len(lower) else []


def _known(divergence: float) -> float:
    """A divergence of which logarithms exist; one that is no number is the worst."""
    return max(divergence, LEAST) if math.isfinite(divergence) else WORST_DIVERGENCE


def _alone(full: IntArray, at: int, level: int) -> IntArray:
    row = full.copy()
    row[at] = level
    return row


def _bent(curve: FloatArray, at: list[int], losses: FloatArray) -> FloatArray:
    """``scale * curve ** power`` through the measured losses at some places; its last entry is 0."""
    if not at:
        return np.zeros(len(curve))
    logs = np.log(np.maximum(curve, LEAST))
    power = 1.0
    if len(at) == 2 and abs(logs[at[0]] - logs[at[1]]) > 1e-6:
        power = float(np.clip(np.log(losses[0] / losses[1]) / (logs[at[0]] - logs[at[1]]), *EXPONENTS))
    scale = float((np.log(losses) - power * logs[at]).mean())
    bent = np.exp(scale + power * logs)
    bent[-1] = 0.0
    return np.asarray(np.maximum.accumulate(bent[::-1])[::-1])


def _by_level(choices: Sequence[Choice], curves: Sequence[FloatArray]) -> FloatArray:
    table = np.zeros((len(choices), max(choice.full for choice in choices) + 1))
    for row, choice, curve in zip(table, choices, curves, strict=True):
        row[: choice.full + 1] = np.interp(np.arange(choice.full + 1), choice.levels, curve)
    return table
