"""The pruning problem: what every searcher is given, whatever way it searches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from rlprune.arrays import IntArray
from rlprune.budgets.knapsack import Knapsack
from rlprune.budgets.limits import Budget
from rlprune.budgets.planner import BudgetPlanner
from rlprune.choices.space import Space
from rlprune.errors import ConfigError, RewardError, unknown_name
from rlprune.evaluation.rewards import RewardFunction, Yardstick, reward_function

if TYPE_CHECKING:
    from rlprune.costs import CostModel
    from rlprune.evaluation.evaluator import Evaluator
    from rlprune.evaluation.quality import Quality
    from rlprune.networks.network import Network

ON_NAN = ("stop", "skip")
WORST_REWARD = -1e6


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a plan does: its costs, quality and reward.

    Attributes:
        levels: of every choice, ``int64 [K]``; see :class:`rlprune.choices.space.Space`.
        quality: validation score and divergence from the dense network.
        costs: metric to cost, in the metric's unit (macs, params, ms, mJ).
        reward: what is maximised.
        terms: what the reward is made of.
        loss: see :class:`rlprune.evaluation.rewards.Reward`; NaN where the reward was none.
    """

    levels: IntArray
    quality: Quality
    costs: dict[str, float]
    reward: float
    terms: dict[str, float]
    loss: float

    @property
    def defined(self) -> bool:
        """Whether the plan has a reward; where not, ``reward`` is the worst there is."""
        return math.isfinite(self.loss)


class PruningProblem:
    """Network, evaluator, costs, budgets and reward together.

    >>> problem = PruningProblem(network, evaluator, {"macs": MacsCost(network)}, [Budget.parse("macs=0.5")])
    >>> problem.filled.costs["macs"] <= 0.5 * problem.dense_costs["macs"]
    True

    Args:
        subject: the network whose channels are pruned, or the space of all that may be decided about one.
        evaluator: quality of a plan; its cache keeps a plan from being evaluated twice. What its BatchNorms are
            normalised with is settled on the filled plan, where that is open.
        costs: cost models by metric.
        budgets: hard limits, at most one a metric.
        reward: a name of :data:`rlprune.evaluation.rewards.REWARDS`, or a function like them.
        on_nan: what a plan does whose reward is NaN or infinite: ``stop`` raises; ``skip`` counts it as the worst.

    Attributes:
        space: what is decided; of several kinds, choices that change no limited cost stay untouched.
        planner: keeps plans within the budgets.
        dense_costs: metric to the dense network's cost.
        filled: outcome of the filled uniform plan at these budgets; evaluated once, here.

    Raises:
        BudgetError: a budget that cannot be met.
        ConfigError: an unknown reward or ``on_nan``, or a reward that needs a cost that is not there.
        RewardError: the reward of the filled uniform plan is NaN or infinite.
    """

    def __init__(
        self,
        subject: Network | Space,
        evaluator: Evaluator,
        costs: Mapping[str, CostModel],
        budgets: Sequence[Budget],
        reward: str | RewardFunction = "agreement",
        on_nan: str = "stop",
    ) -> None:
        if on_nan not in ON_NAN:
            raise ConfigError(unknown_name("answer to NaN", on_nan, ON_NAN))
        self.on_nan = on_nan
        self.reward: RewardFunction = reward_function(reward) if isinstance(reward, str) else reward
        self.space = Space.of(subject)
        self.network = self.space.network
        self.evaluator = evaluator.deciding(self.space)
        self.costs = dict(costs)
        self.planner = BudgetPlanner(self.space.choices, costs, budgets)
        self._asked = self.space
        if self.space.layered and (idle := self.planner.idle()):
            self.space = self.space.fixing(idle)
            self.planner = BudgetPlanner(self.space.choices, costs, budgets)
        self.dense_costs = self.planner.dense_costs
        metric = next(iter(self.planner.limits), "macs")
        self.evaluator.settle(self.planner.filled)
        quality = self.evaluator(self.planner.filled)
        self._yardstick = Yardstick(quality, self.dense_costs, metric)
        self.filled = self._outcome(self.planner.filled, quality)
        if not self.filled.defined:
            raise RewardError(f"The reward of the filled uniform plan must be a finite number. {_told(self.filled)}")

    def within(self, budgets: Sequence[Budget]) -> PruningProblem:
        """This problem at other budgets; what was evaluated stays known.

        Raises:
            BudgetError: a budget that cannot be met.
        """
        return PruningProblem(self._asked, self.evaluator, self.costs, budgets, self.reward, self.on_nan)

    def fresh(self) -> PruningProblem:
        """This problem with nothing evaluated yet, so that no method profits from what another one tried."""
        evaluator = self.evaluator.fresh()
        return PruningProblem(self._asked, evaluator, self.costs, self.planner.budgets, self.reward, self.on_nan)

    @cached_property
    def probe(self) -> IntArray:
        """The plan ``[K]`` of least loss by what each choice loses alone: found without an evaluation of any plan."""
        knapsack = Knapsack(self.planner, self.space.canonical)
        return knapsack.solve(self.evaluator.loss_tables.of(self.space.choices))

    @property
    def uniform(self) -> Outcome:
        """What the plain uniform plan does at these budgets; evaluated when it is first asked for."""
        return self.outcome(self.planner.uniform)

    @property
    def unsearched(self) -> dict[str, Outcome]:
        """The plans that need no search, by the name of their method."""
        return {"uniform": self.uniform, "filled": self.filled, "probe": self.outcome(self.probe)}

    def outcome(self, levels: IntArray) -> Outcome:
        """Quality, costs and reward of a plan, ``[K]``. Nothing is evaluated twice.

        Raises:
            RewardError: the reward is NaN or infinite, and ``on_nan`` is ``stop``.
        """
        return self.judged(levels, self.evaluator(levels))

    def judged(self, levels: IntArray, quality: Quality) -> Outcome:
        """What :meth:`outcome` gives, where the quality is known already."""
        outcome = self._outcome(self.space.canonical(self.space.as_matrix(levels))[0], quality)
        if self.on_nan == "stop" and not outcome.defined:
            raise RewardError(f"The reward must be a finite number. {_told(outcome)}")
        return outcome

    def _outcome(self, levels: IntArray, quality: Quality) -> Outcome:
        costs = self.planner.costs_of(levels)
        reward = self.reward(quality, costs, self._yardstick)
        if all(map(math.isfinite, (quality.score, quality.divergence, reward.total, reward.loss))):
            return Outcome(levels, quality, costs, reward.total, reward.terms, reward.loss)
        return Outcome(levels, quality, costs, WORST_REWARD, reward.terms, math.nan)

    @property
    def evaluations(self) -> int:
        """How many plans were evaluated so far."""
        return self.evaluator.evaluations

    @property
    def cache_hits(self) -> int:
        """Plans asked for again and answered from the cache."""
        return self.evaluator.cache_hits


def _told(outcome: Outcome) -> str:
    terms = ", ".join(f"{name} {value:g}" for name, value in outcome.terms.items())
    return (
        f"The plan {outcome.levels.tolist()} has {terms}. Correct the task or the reward, or count such plans as the "
        "worst: --on-nan skip."
    )
