"""How much of the plane of cost and loss a set of plans dominates: one number for a whole front."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rlprune.completion import FITS
from rlprune.problem import Outcome, PruningProblem


@dataclass(frozen=True)
class Corner:
    """Where the plane ends.

    Attributes:
        metric: the cost that counts.
        dense_cost: what the dense network has of it.
        most_cost: the highest budget, as a share of that.
        most_loss: the worst loss of a uniform plan.
    """

    metric: str
    dense_cost: float
    most_cost: float
    most_loss: float

    @classmethod
    def of(cls, problems: Sequence[PruningProblem], metric: str) -> Corner:
        """The corner of several budgets, lowest first."""
        dense = problems[0].dense_costs[metric]
        worst = max(problem.uniform.loss for problem in problems)
        return cls(metric, dense, problems[-1].planner.limits[metric] / dense, worst)

    def volume(self, outcomes: Iterable[Outcome]) -> float:
        """Hypervolume of plans; those without a reward do not count."""
        points = [
            (outcome.costs[self.metric] / self.dense_cost, outcome.loss) for outcome in outcomes if outcome.defined
        ]
        return hypervolume(points, self.most_cost, self.most_loss)

    def undominated(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The plans that make the volume: no other is as cheap and loses as little. The cheapest comes first."""
        front: list[Outcome] = []
        defined = [outcome for outcome in outcomes if outcome.defined]
        for outcome in sorted(defined, key=lambda one: (one.costs[self.metric], one.loss)):
            if not front or outcome.loss < front[-1].loss:
                front.append(outcome)
        return front


def hypervolume(points: Sequence[tuple[float, float]], most_cost: float, most_loss: float) -> float:
    """Area that points of cost and loss dominate up to a corner (Zitzler and Thiele 1998); losses as logarithms.

    Args:
        points: share of the dense cost, and loss over 0.
        most_cost, most_loss: the corner.
    """
    inside = sorted((cost, np.log(most_loss / loss)) for cost, loss in points if cost <= most_cost * FITS)
    area, height = 0.0, 0.0
    for place, (cost, gain) in enumerate(inside):
        height = max(height, gain)
        until = inside[place + 1][0] if place + 1 < len(inside) else max(most_cost, cost)
        area += max(height, 0.0) * (until - cost)
    return float(area)
