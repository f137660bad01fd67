"""The pruning problem: what every searcher is given, whatever way it searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rlprune.budget import Budget, BudgetPlanner
from rlprune.completion import IntArray
from rlprune.rewards import Reference, RewardFunction, reward_function

if TYPE_CHECKING:
    from rlprune.costs import CostModel
    from rlprune.evaluation import Evaluator, Quality
    from rlprune.network import Network


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a plan does.

    Attributes:
        widths: channels kept in each group, ``int64 [G]``.
        quality: validation score and divergence from the dense network.
        costs: metric to cost, in the metric's unit (macs, params, ms, mJ).
        reward: what is maximised.
        terms: what the reward is made of.
    """

    widths: IntArray
    quality: Quality
    costs: dict[str, float]
    reward: float
    terms: dict[str, float]


class PruningProblem:
    """Network, evaluator, costs, budgets and reward together.

    Args:
        network: what is pruned.
        evaluator: quality of a plan; its cache keeps a plan from being evaluated twice.
        costs: cost models by metric.
        budgets: hard limits, at most one a metric.
        reward: a name of :data:`rlprune.rewards.REWARDS`, or a function like them.

    Attributes:
        planner: keeps plans within the budgets.
        dense_costs: metric to the dense network's cost.
        uniform: outcome of the uniform plan at these budgets; evaluated once, here.

    Raises:
        BudgetError: a budget that cannot be met.
        ConfigError: an unknown reward, or one that needs a cost that is not there.
    """

    def __init__(
        self,
        network: Network,
        evaluator: Evaluator,
        costs: Mapping[str, CostModel],
        budgets: Sequence[Budget],
        reward: str | RewardFunction = "agreement",
    ) -> None:
        self.reward: RewardFunction = reward_function(reward) if isinstance(reward, str) else reward
        self.network = network
        self.evaluator = evaluator
        self.costs = dict(costs)
        self.planner = BudgetPlanner(network.groups, costs, budgets)
        self.dense_costs = self.planner.dense_costs
        metric = next(iter(self.planner.limits), "macs")
        quality = evaluator(self.planner.uniform)
        self._reference = Reference(quality, self.dense_costs, metric)
        self.uniform = self._outcome(self.planner.uniform, quality)

    def outcome(self, widths: IntArray) -> Outcome:
        """Quality, costs and reward of a plan, ``[G]``. Nothing is evaluated twice."""
        widths = np.array(widths, dtype=np.int64)
        return self._outcome(widths, self.evaluator(widths))

    def _outcome(self, widths: IntArray, quality: Quality) -> Outcome:
        costs = self.planner.costs_of(widths)
        reward = self.reward(quality, costs, self._reference)
        return Outcome(widths, quality, costs, reward.total, reward.terms)

    @property
    def evaluations(self) -> int:
        """Plans evaluated so far."""
        return self.evaluator.evaluations

    @property
    def cache_hits(self) -> int:
        """Plans asked for again and answered from the cache."""
        return self.evaluator.cache_hits
