"""The plan whose expected losses add up to the least within the budgets: a knapsack with costs that are no sum.

Costs of layers multiply (channels in times channels out), so tables of separate costs do not tell what a plan costs.
They do tell where to look: a bisection on the price of cost (the Lagrange multiplier) gives plans, each of which is
costed as it is, and exchanges of levels, costed as they are too, end the search.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rlprune.arrays import FloatArray, IntArray
from rlprune.budgets.completion import FITS
from rlprune.budgets.planner import BudgetPlanner

BISECTIONS = 20
STARTS = 8
"""Plans that exchanges start from: the best of bisections in which one choice is held at one of its levels."""
MOST_ROUNDS = 4
"""Costs are seen from the best plan so far, as long as that finds a better one."""
MOST_EXCHANGES = 200
TRIED_AT_ONCE = 512
SLACK = 0.02
"""How far the sum of two changes may be over the budget to be costed as it is."""
WIDTH = 16.0
"""How many e-folds below the largest loss differences of losses still decide."""
SWAPS = 5
"""Rounds in which each of many plans takes the best step up, or up and down, that fits."""
HOPES = 3
"""Swaps of a plan that are costed in a round."""


class Knapsack:
    """Finds plans of least additive loss within the budgets of a planner.

    Losses are given as ``[..., K, M]``: of choice k at the m-th of its levels, ascending; what stands behind a choice's
    last level does not count. They fall as levels rise.

    Args:
        planner: says what there is to choose, what plans cost, and what fits.
        canonical: ``[N, K] -> [N, K]``, writes plans that do the same alike.
    """

    def __init__(self, planner: BudgetPlanner, canonical: Callable[[IntArray], IntArray] = np.asarray) -> None:
        self._planner, self._canonical = planner, canonical
        self._count = np.array([len(choice.levels) for choice in planner.choices])
        self._levels = np.zeros((len(self._count), self._count.max()), dtype=np.int64)
        for at, choice in enumerate(planner.choices):
            self._levels[at] = [*choice.levels, *[choice.full] * (self._count.max() - len(choice.levels))]
        self._real = np.arange(self._levels.shape[1]) < self._count[:, None]
        self._every = np.arange(len(self._count))
        self._costs = self._separate_costs(self.places(planner.filled))

    def places(self, plan: IntArray) -> IntArray:
        """Which of its levels each choice has, ``[K] -> [K]``."""
        return np.array(
            [choice.levels.index(int(level)) for choice, level in zip(self._planner.choices, plan, strict=True)]
        )

    def plans(self, places: IntArray) -> IntArray:
        """The plans of places, ``[N, K] -> [N, K]``."""
        return self._canonical(self._levels[self._every, places])

    def solve(self, losses: FloatArray) -> IntArray:
        """The plan of least loss that was found, ``[K, M] -> [K]``; nothing is drawn at random."""
        best = self._exchanged(losses, self.places(self._planner.filled))
        for _ in range(MOST_ROUNDS):
            costs = self._separate_costs(best)
            ends = [self._exchanged(losses, start) for start in self._starts(losses, costs)]
            better = min(ends, key=lambda places: self._loss(losses, places), default=best)
            if self._loss(losses, better) >= self._loss(losses, best):
                break
            best = better
        return np.asarray(self.plans(best[None])[0])

    def _starts(self, losses: FloatArray, costs: FloatArray) -> IntArray:
        """The best of the plans that bisections find while one choice is held at one of its levels, ``[N, K]``."""
        at, to = np.nonzero(self._real)
        held = np.repeat(losses[None], len(at), axis=0)
        held[np.arange(len(at)), at] = np.inf
        held[np.arange(len(at)), at, to] = 0.0
        places = np.unique(self._bisected(held, costs), axis=0)
        places = places[self._used(places) <= FITS]
        order = np.argsort(losses[self._every, places].sum(axis=1), kind="stable")
        return np.asarray(places[order[:STARTS]])

    def solve_many(self, losses: FloatArray) -> IntArray:
        """A good plan for each of many losses, ``[N, K, M] -> [N, K]``, in a few array operations."""
        places = self._bisected(losses, self._costs)
        for _ in range(SWAPS):
            places = self._swapped(losses, places)
        return self.plans(places)

    def _used(self, places: IntArray) -> FloatArray:
        return self._planner.usage(self.plans(places))

    def _loss(self, losses: FloatArray, places: IntArray) -> float:
        return float(losses[self._every, places].sum())

    def _separate_costs(self, places: IntArray) -> FloatArray:
        """What each level of each choice uses of the budgets beside the rest of a plan, ``[K, M]``; never falling."""
        rows = np.repeat(places[None], self._levels.size, axis=0)
        at, level = (axis.reshape(-1) for axis in np.indices(self._levels.shape))
        rows[np.arange(len(rows)), at] = np.minimum(level, self._count[at] - 1)
        return np.asarray(np.maximum.accumulate(self._used(rows).reshape(self._levels.shape), axis=1))

    def _bisected(self, losses: FloatArray, costs: FloatArray) -> IntArray:
        """For each row the places of least loss plus price times cost, at the least price that fits; ``[N, K]``."""
        masked = np.where(self._real, losses, np.inf)
        low, high = self._bracket(losses, costs)
        found = np.zeros((len(losses), len(self._count)), dtype=np.int64)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            places = (masked + np.exp(middle)[:, None, None] * costs).argmin(axis=2)
            fits = self._used(places) <= FITS
            found[fits] = places[fits]
            high, low = np.where(fits, middle, high), np.where(fits, low, middle)
        return found

    def _bracket(self, losses: FloatArray, costs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Logarithms of prices at which cost counts for nothing, and for everything; each ``[N]``."""
        steps = np.abs(np.diff(costs, axis=1))
        steps = steps[(steps > 0) & self._real[:, 1:]]
        if not len(steps):
            return np.zeros(len(losses)), np.ones(len(losses))
        held = np.where(np.isfinite(losses), losses, 0.0)
        most = np.log(held.max(axis=(1, 2)) + 1e-300)
        return most - np.log(steps.max()) - WIDTH, most - np.log(steps.min()) + 1.0

    def _swapped(self, losses: FloatArray, places: IntArray) -> IntArray:
        """Each row with one choice a level higher, and perhaps another a level lower, where that gains and fits."""
        before = self._used(places)
        up, gained, more = self._stepped(losses, places, before, 1)
        down, lost, less = self._stepped(losses, places, before, -1)
        rows, own = np.arange(len(places)), len(self._count)
        none = np.zeros((len(rows), 1))
        gain = gained[:, :, None] + np.concatenate([lost, none], axis=1)[:, None, :]
        used = more[:, :, None] + np.concatenate([less, none], axis=1)[:, None, :]
        room = FITS - before
        hopeful = (gain > 1e-12) & (used <= room[:, None, None])
        hopeful[:, self._every, self._every] = False
        score = np.where(hopeful, gain, -np.inf).reshape(len(rows), -1)
        best = np.argsort(-score, axis=1, kind="stable")[:, :HOPES]
        taken = np.zeros(len(rows), dtype=bool)
        for column in best.T:
            raised, lowered = np.divmod(column, own + 1)
            changed = np.where(lowered[:, None] < own, down[rows, np.minimum(lowered, own - 1)], places)
            changed[rows, raised] = up[rows, raised, raised]
            good = ~taken & np.isfinite(score[rows, column]) & (self._used(changed) <= FITS)
            places = np.where(good[:, None], changed, places)
            taken |= good
        return places

    def _stepped(
        self, losses: FloatArray, places: IntArray, before: FloatArray, step: int
    ) -> tuple[IntArray, FloatArray, FloatArray]:
        """Each row with each choice a level higher or lower, ``[N, K, K]``; what that gains and uses more, ``[N, K]``.

        Where there is no such level nothing is gained, without bounds.
        """
        rows, own = np.arange(len(places))[:, None], len(self._count)
        stepped = np.repeat(places[:, None], own, axis=1)
        to = np.clip(places + step, 0, self._count - 1)
        stepped[:, self._every, self._every] = to
        gained = losses[rows, self._every, places] - losses[rows, self._every, to]
        more = self._used(stepped.reshape(-1, own)).reshape(len(places), own) - before[:, None]
        return stepped, np.where(to == places, -np.inf, gained), more

    def _exchanged(self, losses: FloatArray, places: IntArray) -> IntArray:
        """Change one or two choices as long as that lowers the loss and fits."""
        for _ in range(MOST_EXCHANGES):
            better = self._better(losses, places)
            if better is None:
                break
            places = better
        return places

    def _better(self, losses: FloatArray, places: IntArray) -> IntArray | None:
        """The best plan that differs in one choice, or else in two."""
        at, to = np.nonzero(self._real & (np.arange(self._levels.shape[1]) != places[:, None]))
        single = np.repeat(places[None], len(at), axis=0)
        single[np.arange(len(at)), at] = to
        gained = losses[at, places[at]] - losses[at, to]
        used, before = self._used(single), float(self._used(places[None])[0])
        good = np.flatnonzero((gained > 0) & (used <= FITS))
        if len(good):
            return np.asarray(single[good[gained[good].argmax()]])
        return self._better_pair(single, at, to, gained, used - before, before)

    def _better_pair(
        self, single: IntArray, at: IntArray, to: IntArray, gained: FloatArray, more: FloatArray, before: float
    ) -> IntArray | None:
        up, down = np.flatnonzero(gained > 0), np.flatnonzero(more < 0)
        gain = gained[up][:, None] + gained[down]
        used = before + more[up][:, None] + more[down]
        hopeful = (gain > 1e-12) & (used <= FITS + SLACK) & (at[up][:, None] != at[down])
        pairs = np.argwhere(hopeful)
        pairs = pairs[np.argsort(-gain[hopeful], kind="stable")]
        for start in range(0, min(len(pairs), 4 * TRIED_AT_ONCE), TRIED_AT_ONCE):
            some = pairs[start : start + TRIED_AT_ONCE]
            rows = single[up[some[:, 0]]].copy()
            rows[np.arange(len(rows)), at[down[some[:, 1]]]] = to[down[some[:, 1]]]
            fits = np.flatnonzero(self._used(rows) <= FITS)
            if len(fits):
                return np.asarray(rows[fits[0]])
        return None
