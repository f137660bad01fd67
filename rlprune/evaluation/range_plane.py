"""The plane of cost and loss that the plans of a range of budgets lie in, and how much of it they dominate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rlprune.evaluation.pareto import hypervolume, undominated
from rlprune.evaluation.problem import Outcome, PruningProblem


@dataclass(frozen=True)
class RangePlane:
    """A plane of costs and of losses as logarithms, and the reference point where it ends.

    Attributes:
        metric: the cost that counts.
        dense_cost: what the dense network has of it.
        most_cost: the highest budget, as a share of that.
        most_loss: the worst loss of a filled uniform plan.
    """

    metric: str
    dense_cost: float
    most_cost: float
    most_loss: float

    @classmethod
    def of(cls, problems: Sequence[PruningProblem], metric: str) -> RangePlane:
        """The plane of several budgets, lowest first."""
        dense = problems[0].dense_costs[metric]
        worst = max(problem.filled.loss for problem in problems)
        return cls(metric, dense, problems[-1].planner.limits[metric] / dense, worst)

    def hypervolume(self, outcomes: Iterable[Outcome]) -> float:
        """How much of the plane these plans dominate; those without a reward do not count."""
        points = [
            (outcome.costs[self.metric] / self.dense_cost, np.log(outcome.loss / self.most_loss))
            for outcome in outcomes
            if outcome.defined
        ]
        return hypervolume(np.array(points).reshape(-1, 2), np.array([self.most_cost, 0.0]))

    def undominated(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The plans that make the volume: no other is as cheap and loses as little. The cheapest comes first."""
        defined = [outcome for outcome in outcomes if outcome.defined]
        losses = np.array([(outcome.costs[self.metric], outcome.loss) for outcome in defined]).reshape(-1, 2)
        return [defined[row] for row in undominated(losses).tolist()]


def hypervolumes(
    problems: Sequence[PruningProblem], metric: str, found: Mapping[str, Sequence[Outcome]]
) -> dict[str, float]:
    """Hypervolume of each method's outcomes; of those that search nothing the plans of all budgets.

    Args:
        problems: one a budget, lowest first.
        metric: the cost that counts.
    """
    plane = RangePlane.of(problems, metric)
    plain = {name: [problem.unsearched[name] for problem in problems] for name in problems[0].unsearched}
    every = {**plain, **found}
    return {name: plane.hypervolume(outcomes) for name, outcomes in every.items()}
