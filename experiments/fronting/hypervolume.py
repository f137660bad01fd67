"""How much of the plane of cost and loss a set of plans dominates: one number for a whole front."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rlprune.evaluation.problem import Outcome, PruningProblem
from rlprune.experiments.fronting.pareto import undominated
from rlprune.experiments.fronting.volume import hypervolume


@dataclass(frozen=True)
class Corner:
    """Where the plane ends.

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
    def of(cls, problems: Sequence[PruningProblem], metric: str) -> Corner:
        """The corner of several budgets, lowest first."""
        dense = problems[0].dense_costs[metric]
        worst = max(problem.filled.loss for problem in problems)
        return cls(metric, dense, problems[-1].planner.limits[metric] / dense, worst)

    def volume(self, outcomes: Iterable[Outcome]) -> float:
        """Hypervolume of plans; those without a reward do not count."""
        points = [
            (outcome.costs[self.metric] / self.dense_cost, outcome.loss) for outcome in outcomes if outcome.defined
        ]
        return area(points, self.most_cost, self.most_loss)

    def undominated(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The plans that make the volume: no other is as cheap and loses as little. The cheapest comes first."""
        defined = [outcome for outcome in outcomes if outcome.defined]
        losses = np.array([(outcome.costs[self.metric], outcome.loss) for outcome in defined]).reshape(-1, 2)
        return [defined[row] for row in undominated(losses).tolist()]


def area(points: Sequence[tuple[float, float]], most_cost: float, most_loss: float) -> float:
    """Hypervolume of points of cost and loss up to a corner; losses as logarithms.

    Args:
        points: share of the dense cost, and loss over 0.
        most_cost, most_loss: the corner.
    """
    losses = np.array([(cost, np.log(loss / most_loss)) for cost, loss in points]).reshape(-1, 2)
    return hypervolume(losses, np.array([most_cost, 0.0]))
