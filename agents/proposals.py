"""Whole plans worth trying next: small changes of good ones that meet the budgets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rlprune.arrays import BoolArray, FloatArray, IntArray
from rlprune.budgets.completion import FITS
from rlprune.choices.choice import INT8_BITS
from rlprune.evaluation.problem import PruningProblem

Worth = Callable[[IntArray], FloatArray]
PRECISION = 0.1
"""Share of proposals that change the precision of many layers at once: half of them of all, half of a run."""
SETTLING = 8
"""Further changes at most that bring a plan back to the budget after many layers changed their precision."""


class Neighbourhood:
    """Random changes of a plan that keep it within the budgets and use one of them.

    Args:
        problem: says what is decided, what plans cost and what they must use.
        random: where the changes are drawn from.
        rows: changes tried at once.
        most: choices that change at most.
    """

    def __init__(self, problem: PruningProblem, random: np.random.Generator, rows: int = 600, most: int = 4) -> None:
        self._planner, self._space = problem.planner, problem.space
        self._random, self._rows, self._most = random, rows, most
        choices = problem.space.choices
        self._counts = np.array([len(choice.levels) for choice in choices])
        self._levels = np.zeros((len(choices), self._counts.max()), dtype=np.int64)
        self._place = np.zeros((len(choices), int(self._planner.full.max()) + 1), dtype=np.int64)
        for index, choice in enumerate(choices):
            self._levels[index, : len(choice.levels)] = choice.levels
            self._place[index, list(choice.levels)] = np.arange(len(choice.levels))
        self._free = np.flatnonzero(self._counts > 1)
        names = self._space.int8.names
        alike = [
            choice.kind == "bits" and choice.name in names and min(choice.levels) <= INT8_BITS < max(choice.levels)
            for choice in choices
        ]
        self._in_int8 = np.flatnonzero(alike)

    def of(self, plan: IntArray) -> IntArray:
        """Neighbours of ``plan`` (``[K]``) that fit, ``[N, K]``; often fewer than ``rows``, perhaps none."""
        changes = self._random.integers(1, self._most + 1, self._rows)
        places = np.repeat(self._place[np.arange(len(plan)), plan][None], self._rows, axis=0)
        for change in range(self._most):
            rows = np.flatnonzero(changes > change)
            groups = self._random.choice(self._free, len(rows))
            sizes = self._random.geometric(0.5, len(rows)) * self._random.choice([-1, 1], len(rows))
            places[rows, groups] = (places[rows, groups] + sizes).clip(0, self._counts[groups] - 1)
        if len(self._in_int8):
            self._change_precision(places)
        plans = self._plans(places)
        used = self._planner.usage(plans)
        return plans[(used <= FITS) & (used >= self._planner.target)]

    def _change_precision(self, places: IntArray) -> None:
        """In some rows give all layers that may compute in int8, or a run of them, at most 8 bits or full precision."""
        rows = np.flatnonzero(self._random.random(len(places)) < PRECISION)
        low = self._random.random(len(rows)) < 0.5
        own = self._in_int8
        eight = self._counts[own] - 1 - (self._levels[own] > INT8_BITS).sum(axis=1)
        before = places[np.ix_(rows, own)]
        changed = np.where(low[:, None], np.minimum(before, eight), self._counts[own] - 1)
        places[np.ix_(rows, own)] = np.where(self._runs(len(rows)), changed, before)
        places[rows] = self._settled(places[rows])

    def _runs(self, rows: int) -> BoolArray:
        """All layers that may compute in int8, or those from a random one to another, ``[N, L]``."""
        count = len(self._in_int8)
        ends = np.sort(self._random.integers(0, count, (rows, 2)), axis=1)
        ends[self._random.random(rows) < 0.5] = 0, count - 1
        layers = np.arange(count)
        return np.asarray((layers >= ends[:, :1]) & (layers <= ends[:, 1:]))

    def _plans(self, places: IntArray) -> IntArray:
        return self._space.canonical(self._levels[np.arange(places.shape[1]), places])

    def _settled(self, places: IntArray) -> IntArray:
        """Rows that a change of many layers has led over the budget, or far below it, brought back at random."""
        used = self._planner.usage(self._plans(places))
        for _ in range(SETTLING):
            off = np.flatnonzero((used > FITS) | (used < self._planner.target))
            if not len(off):
                break
            over = used[off] > FITS
            choices = self._random.choice(self._free, len(off))
            sizes = self._random.geometric(0.5, len(off)) * np.where(over, -1, 1)
            moved = places[off]
            rows = np.arange(len(off))
            moved[rows, choices] = (moved[rows, choices] + sizes).clip(0, self._counts[choices] - 1)
            usage = self._planner.usage(self._plans(moved))
            taken = over | (usage <= FITS)
            places[off[taken]], used[off[taken]] = moved[taken], usage[taken]
        return places


def climb(
    start: IntArray, neighbourhood: Neighbourhood, loss: Worth, known: set[tuple[int, ...]], rounds: int
) -> IntArray | None:
    """The plan of least expected loss, not known yet, that is met while going downhill from ``start``.

    Args:
        loss: ``[N, G] -> [N]``.
        rounds: steps at most.

    Returns:
        A plan ``[G]``, or None where every plan that was met is known.
    """
    here, here_loss = start, float(loss(start[None])[0])
    best: tuple[float, IntArray] | None = None
    for _ in range(rounds):
        plans = neighbourhood.of(here)
        if not len(plans):
            continue
        losses = loss(plans)
        order = np.argsort(losses)
        fresh = next((row for row in order if tuple(plans[row].tolist()) not in known), None)
        if fresh is not None and (best is None or losses[fresh] < best[0]):
            best = float(losses[fresh]), plans[fresh]
        if losses[order[0]] < here_loss:
            here, here_loss = plans[order[0]], float(losses[order[0]])
        elif best is not None:
            break
    return None if best is None else best[1]
