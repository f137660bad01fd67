"""Whole plans worth trying next: small changes of good ones that meet the budgets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rlprune.budget import BudgetPlanner
from rlprune.completion import FITS, FloatArray, IntArray

Worth = Callable[[IntArray], FloatArray]


class Neighbourhood:
    """Random changes of a plan that keep it within the budgets and use one of them.

    Args:
        planner: says what plans cost and what they must use.
        random: where the changes are drawn from.
        rows: changes tried at once.
        most: groups that change at most.
    """

    def __init__(self, planner: BudgetPlanner, random: np.random.Generator, rows: int = 600, most: int = 4) -> None:
        self._planner, self._random, self._rows, self._most = planner, random, rows, most
        self._counts = np.array([len(group.widths) for group in planner.groups])
        self._widths = np.zeros((len(planner.groups), self._counts.max()), dtype=np.int64)
        self._place = np.zeros((len(planner.groups), int(planner.full.max()) + 1), dtype=np.int64)
        for index, group in enumerate(planner.groups):
            self._widths[index, : len(group.widths)] = group.widths
            self._place[index, list(group.widths)] = np.arange(len(group.widths))
        self._free = np.flatnonzero(self._counts > 1)

    def of(self, plan: IntArray) -> IntArray:
        """Neighbours of ``plan`` (``[G]``) that fit, ``[N, G]``; often fewer than ``rows``, perhaps none."""
        changes = self._random.integers(1, self._most + 1, self._rows)
        places = np.repeat(self._place[np.arange(len(plan)), plan][None], self._rows, axis=0)
        for change in range(self._most):
            rows = np.flatnonzero(changes > change)
            groups = self._random.choice(self._free, len(rows))
            sizes = self._random.geometric(0.5, len(rows)) * self._random.choice([-1, 1], len(rows))
            places[rows, groups] = (places[rows, groups] + sizes).clip(0, self._counts[groups] - 1)
        plans = self._widths[np.arange(len(plan)), places]
        used = self._planner.usage(plans)
        return plans[(used <= FITS) & (used >= self._planner.target)]


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
