"""Budgets: hard upper limits, used to at least 97% wherever the levels allow.

An agent decides one choice at a time. :class:`BudgetPlanner` tells it, at each, which levels still lead to a plan
within every budget that also makes use of the tightest one. The idea of clipping an action to what the rest of the
network still allows is AMC's (He et al. 2018, algorithm 1); here the clip has two sides and any cost can be limited.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rlprune.arrays import FloatArray, IntArray
from rlprune.budgets.completion import FITS, LevelSearch
from rlprune.budgets.limits import Budget, impossible
from rlprune.choices.choice import Choice
from rlprune.errors import BudgetError

if TYPE_CHECKING:
    from rlprune.costs import CostModel


MIN_USAGE = 0.97
_CACHED_STEPS = 4096
_COUNTED_PREFIXES = 20_000
TOLD = 0.1
"""Share of the least cost from which on its largest choice is named."""


@dataclass(frozen=True)
class Step:
    """What can be decided at one choice: allowed levels, and for each a whole plan that meets the budgets.

    ``cheapest`` and ``dearest``: cost per metric of what is decided, with the rest at its lowest and at full level.
    """

    options: IntArray
    plans: IntArray
    cheapest: dict[str, float]
    dearest: dict[str, float]


class BudgetPlanner:
    """Leads every walk over the choices to a plan that is within all budgets and uses one of them.

    Guaranteed, for costs that never fall when a level rises: no plan of a walk costs more than any limit; and it uses
    at least ``target`` of one limit, where ``target`` is 0.97, or what the filled plan uses if that is less because
    the levels are too coarse. It holds because every option comes with a plan that was costed (a *witness*).

    Args:
        choices: what is decided, in forward order.
        costs: cost models by metric; those with a budget are limited.
        budgets: at most one for a metric; none leaves every level allowed.

    Attributes:
        limits: metric to absolute limit, in the order of ``budgets``.
        dense_costs: metric to the dense network's cost, for every cost model.
        uniform: the largest equal keep ratio that meets the budgets, each level rounded down to an allowed one,
            ``[K]``.
        filled: the most equal keep ratios that meet the budgets, filled up layer by layer until nothing more fits,
            ``[K]``; what walks complete plans by.
        target: the usage that every walk reaches.

    Raises:
        BudgetError: a budget without its cost model, two for one metric, or one that cannot be met.
    """

    def __init__(self, choices: Sequence[Choice], costs: Mapping[str, CostModel], budgets: Sequence[Budget]) -> None:
        self.choices = tuple(choices)
        self.costs = dict(costs)
        self.budgets = tuple(budgets)
        self._search = LevelSearch(self.choices, self.usage)
        self.lowest, self.full = self._search.low, self._search.full
        self.dense_costs = self.costs_of(self.full)
        self.limits = {b.metric: b.limit(self.dense_costs[b.metric]) for b in self._checked(self.budgets)}
        for budget in self.budgets:
            self._refuse_impossible(budget)
        self.filled, used = self._search.filled(MIN_USAGE if self.limits else 0.0)
        self.uniform = self._search.uniform()
        for plan in (self.filled, self.uniform):
            plan.setflags(write=False)
        self.target = min(MIN_USAGE, used)
        self._steps: OrderedDict[tuple[int, ...], Step] = OrderedDict()

    def usage(self, levels: IntArray) -> FloatArray:
        """Share of the tightest budget each plan uses, ``[N, K] -> [N]``: over 1 is too much; 0 without budgets."""
        shares = [self.costs[metric](levels) / limit for metric, limit in self.limits.items()]
        return np.max(shares, axis=0) if shares else np.zeros(len(levels))

    def idle(self) -> list[int]:
        """Choices that change no limited cost, wherever the others stand: lowering them can only harm.

        Tried are all others at their lowest, all untouched, and only those of the same kind at their lowest, because
        layers compute in int8 where their neighbours do. Without budgets none is idle.
        """
        return [place for place in range(len(self.choices)) if self.limits and self._is_idle(place)]

    def _is_idle(self, place: int) -> bool:
        choice = self.choices[place]
        alike = np.array([other.kind == choice.kind for other in self.choices])
        ends = np.repeat(np.stack([self.lowest, self.full, np.where(alike, self.lowest, self.full)]), 2, axis=0)
        ends[:, place] = [choice.levels[0], choice.full] * 3
        used = np.stack([self.costs[metric](ends) for metric in self.limits])
        return bool(np.allclose(used[:, ::2], used[:, 1::2], rtol=1e-12, atol=0))

    def count(self, most: int) -> int | None:
        """How many plans there are that walks can end at; None where it is more than ``most``, or cannot be told.

        Prefixes of plans are put together choice by choice, without those that no rest brings into the budgets or up
        to ``target``.
        """
        heads = np.empty((1, 0), dtype=np.int64)
        for levels in self._search.allowed:
            if len(heads) * len(levels) > _COUNTED_PREFIXES:
                return None
            heads = np.column_stack([np.repeat(heads, len(levels), axis=0), np.tile(levels, len(heads))])
            least, full = (
                self.usage(np.hstack([heads, np.tile(ends[heads.shape[1] :], (len(heads), 1))]))
                for ends in (self.lowest, self.full)
            )
            heads = heads[(least <= FITS) & (full >= self.target)]
        return len(heads) if len(heads) <= most else None

    def start(self) -> BudgetWalk:
        """A new walk, at the first choice, with the filled plan as its witness."""
        return BudgetWalk(self)

    def step(self, decided: tuple[int, ...], witness: IntArray) -> Step:
        """The options behind the decided levels; remembered, because agents come back to the same prefixes."""
        known = self._steps.get(decided)
        if known is None:
            known = self._steps[decided] = self._expand(decided, witness)
            if len(self._steps) > _CACHED_STEPS:
                self._steps.popitem(last=False)
        self._steps.move_to_end(decided)
        return known

    def _expand(self, decided: tuple[int, ...], witness: IntArray) -> Step:
        index = len(decided)
        ends = self._ends(decided)
        if index == len(self.choices):
            return Step(np.empty(0, dtype=np.int64), np.empty((0, index), dtype=np.int64), *ends)
        candidates = self._search.allowed[index]
        heads = np.empty((len(candidates), index + 1), dtype=np.int64)
        heads[:, :index], heads[:, index] = decided, candidates
        plans, used = self._search.complete(heads, self.target)
        own = candidates == witness[index]
        plans[own] = witness
        possible = own | ((used <= FITS) & (used >= self.target))
        options = candidates[possible]
        options.setflags(write=False)
        return Step(options, plans[possible], *ends)

    def _ends(self, decided: tuple[int, ...]) -> tuple[dict[str, float], dict[str, float]]:
        ends = np.stack([self.lowest, self.full])
        ends[:, : len(decided)] = decided
        costs = {metric: cost(ends) for metric, cost in self.costs.items()}
        return {m: float(c[0]) for m, c in costs.items()}, {m: float(c[1]) for m, c in costs.items()}

    def costs_of(self, levels: IntArray) -> dict[str, float]:
        """Cost per metric of one plan, ``[K]``."""
        return {metric: float(cost(levels[None])[0]) for metric, cost in self.costs.items()}

    def _checked(self, budgets: Sequence[Budget]) -> Sequence[Budget]:
        metrics = [budget.metric for budget in budgets]
        for budget in budgets:
            if metrics.count(budget.metric) > 1:
                raise BudgetError(
                    f"Each metric takes one budget; {budget.metric} has {metrics.count(budget.metric)}. Keep one."
                )
            if budget.metric not in self.costs:
                raise BudgetError(
                    f"Budget {budget} needs a cost model for {budget.metric}; "
                    f"there are {', '.join(self.costs) or 'none'}. Latency and energy need a device profile."
                )
        return budgets

    def _refuse_impossible(self, budget: Budget) -> None:
        metric, dense = budget.metric, self.dense_costs[budget.metric]
        needed = float(self.costs[metric](self.lowest[None])[0])
        if needed <= self.limits[metric] * FITS:
            return
        name, share = self._largest_at_minimum(metric, needed)
        largest = f" ({share / needed:.0%} of it in `{name}`)" if share > TOLD * needed else ""
        raise impossible(budget, needed, dense, largest)

    def _largest_at_minimum(self, metric: str, needed: float) -> tuple[str, float]:
        """The choice that costs most at its lowest level: its marginal cost for each unit there, times these."""
        shares = [("", 0.0)]
        for index, choice in enumerate(self.choices):
            if len(choice.levels) > 1:
                raised = self.lowest.copy()
                raised[index] = choice.levels[1]
                slope = (float(self.costs[metric](raised[None])[0]) - needed) / (choice.levels[1] - choice.levels[0])
                shares.append((choice.name, slope * choice.levels[0]))
        return max(shares, key=lambda share: share[1])


class BudgetWalk:
    """The way of one episode through the choices, from which every budget can be met.

    What it offers, and where it leads, depends on what was decided and on nothing else.

    Attributes:
        index: the choice to decide now; the number of choices when the walk is done.
        levels: the decided levels, then the witness: a plan that meets the budgets, ``[K]``.
    """

    def __init__(self, planner: BudgetPlanner) -> None:
        self._planner = planner
        self.index = 0
        self.levels = planner.filled.copy()
        self._step = planner.step((), self.levels)

    @property
    def done(self) -> bool:
        """True when every choice is decided; ``levels`` is then the plan."""
        return self.index == len(self.levels)

    @property
    def cheapest(self) -> dict[str, float]:
        """Cost per metric of the decided levels with the rest at its minimum."""
        return self._step.cheapest

    @property
    def dearest(self) -> dict[str, float]:
        """Cost per metric of the decided levels with the rest at full level."""
        return self._step.dearest

    def options(self) -> IntArray:
        """Levels of the current choice from which the budgets can be met and used, ascending; never empty.

        Raises:
            BudgetError: every choice is decided.
        """
        if self.done:
            raise BudgetError("Every choice of this walk is decided. Start a new one.")
        return self._step.options

    def nearest(self, level: int) -> int:
        """The current choice's option nearest to ``level``; the smaller of two."""
        options = self.options()
        return int(options[np.abs(options - level).argmin()])

    def decide(self, level: int) -> int:
        """Give the current choice the option nearest to ``level`` (the smaller of two) and go to the next.

        Returns:
            The executed level.

        Raises:
            BudgetError: every choice is decided.
        """
        chosen = self.nearest(level)
        self.levels = self._step.plans[int(np.searchsorted(self._step.options, chosen))].copy()
        executed = int(self.levels[self.index])
        self.index += 1
        self._step = self._planner.step(tuple(self.levels[: self.index].tolist()), self.levels)
        return executed
