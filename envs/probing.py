"""The slots of observations that tell what was measured of each choice alone (:mod:`rlprune.evaluation.probes`)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlprune.arrays import FloatArray
from rlprune.envs.slots import probe_slots
from rlprune.evaluation.probes import PROBED
from rlprune.evaluation.problem import PruningProblem

LEAST = 1e-12
NOWHERE = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
"""Slots where a unit has no choice of a kind."""


def probe_rows(problem: PruningProblem) -> npt.NDArray[np.float32]:
    """Slots of every unit, and of the end of the walk, ``[U + 1, 6 * kinds]``."""
    space = problem.space
    entries = _entries(problem)
    rows = np.zeros((len(space.units) + 1, len(probe_slots(space.kinds))))
    for row, unit in zip(rows, space.units, strict=False):
        places = [unit.places.get(kind) for kind in space.kinds]
        row[:] = np.concatenate([NOWHERE if place is None else entries[place] for place in places])
    return rows.astype(np.float32)


def _entries(problem: PruningProblem) -> FloatArray:
    """The slots of each choice, ``[K, 6]``."""
    choices, tables, reference = problem.space.choices, problem.evaluator.loss_tables, problem.probe
    every = np.arange(len(choices))
    half, quarter = (tables.losses[every, [round(share * c.full) for c in choices]] for share in PROBED)
    lost = tables.losses[every, reference]
    shares = np.array([choice.share(level) for choice, level in zip(choices, reference, strict=True)])
    columns = [
        _centred(half),
        np.log10((quarter + LEAST) / (half + LEAST)) / 4,
        lost / max(lost.sum(), LEAST),
        shares,
        _centred(_gains(problem, 1)),
        _centred(_gains(problem, -1)),
    ]
    return np.asarray(np.clip(np.stack(columns, axis=1), -1.0, 1.0))


def _gains(problem: PruningProblem, step: int) -> FloatArray:
    """Loss for each share of the budget that a level more or less of each choice changes, ``[K]``; 0 at its end."""
    choices, tables, reference = problem.space.choices, problem.evaluator.loss_tables, problem.probe
    rows = np.repeat(reference[None], len(choices), axis=0)
    for at, choice in enumerate(choices):
        place = choice.levels.index(int(reference[at])) + step
        rows[at, at] = choice.levels[min(max(place, 0), len(choice.levels) - 1)]
    cost = np.abs(problem.planner.usage(rows) - problem.planner.usage(reference[None])[0])
    every = np.arange(len(choices))
    lost = np.abs(tables.losses[every, rows[every, every]] - tables.losses[every, reference])
    return np.where(lost > 0, lost / np.maximum(cost, 1e-6), 0.0)


def _centred(values: FloatArray) -> FloatArray:
    """Decimal logarithms less their mean, a fourth of them; 0 where there is no value."""
    logs = np.log10(np.maximum(values, LEAST))
    known = values > 0
    return np.asarray(np.where(known, logs - (logs[known].mean() if known.any() else 0.0), 0.0) / 4)
