"""Choosing one plan: within limits, then at the knee, by preferences, or for the sake of one objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rlprune.budgets.limits import Budget, format_cost
from rlprune.errors import BudgetError, ConfigError
from rlprune.evaluation.pareto import nearest
from rlprune.experiments.fronting.evaluated_plans import EvaluatedPlan
from rlprune.experiments.fronting.front import Front
from rlprune.experiments.fronting.objectives import DIVERGENCE, OBJECTIVES, SCORE
from rlprune.experiments.runs.columns import in_kilobytes, score_text

KNEE = "knee"
FITS = 1e-9


@dataclass(frozen=True)
class Limit:
    """What a plan must keep to.

    Attributes:
        text: as it was given.
        name: the objective.
        most_loss: of a plan, the greatest loss that will do.
    """

    text: str
    name: str
    most_loss: Callable[[EvaluatedPlan], float]

    def excess(self, plan: EvaluatedPlan) -> float:
        """How far over the limit a plan is, as a share of the dense network's; at most 0 where it keeps to it."""
        return plan.loss(self.name) - self.most_loss(plan) - FITS


def parse_limits(texts: Sequence[str]) -> list[Limit]:
    """Limits from texts: ``latency=0.5``, ``energy=2mJ`` (at most), ``accuracy=0.98``, ``accuracy=90%`` (at least).

    Numbers alone are shares of the dense network, as in :meth:`rlprune.budgets.limits.Budget.parse`.

    Raises:
        ConfigError: a score that does not read so, or an objective that comes twice.
        BudgetError: a cost that does not.
    """
    limits = [_limit(text) for text in texts]
    names = [limit.name for limit in limits]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"--within takes each objective once; {name!r} came again.")
    return limits


def _limit(text: str) -> Limit:
    name, _, value = (part.strip() for part in text.partition("="))
    if name == SCORE:
        return _score_limit(text, value)
    budget = Budget.parse(text)
    if budget.unit is None:
        return Limit(text, name, lambda plan: budget.value)
    return Limit(text, name, lambda plan: budget.value / plan.dense[name])


def _score_limit(text: str, value: str) -> Limit:
    try:
        number = float(value.removesuffix("%"))
    except ValueError:
        number = np.nan
    absolute = value.endswith("%")
    if not 0 < number <= (100 if absolute else 1):
        raise ConfigError(
            f"--within {SCORE} reads {SCORE}=0.98, at least that share of the dense network's, or {SCORE}=90%; "
            f"{text!r} came."
        )
    if absolute:
        return Limit(text, SCORE, lambda plan: OBJECTIVES[SCORE].loss(number / 100, plan.dense[SCORE]))
    return Limit(text, SCORE, lambda plan: 1 - number)


@dataclass(frozen=True, eq=False)
class Chosen:
    """The plan that was chosen.

    Attributes:
        kind: of the front that it is of.
        plan, row: the plan, and its place among the front's plans.
        how: by what it was chosen, in words.
    """

    kind: str
    plan: EvaluatedPlan
    row: int
    how: str


def choose(front: Front, limits: Sequence[Limit], way: str, weights: Mapping[str, float]) -> Chosen:
    """One plan of a front.

    Args:
        limits: plans that do not keep to them are out.
        way: ``knee``, or the objective that the plan must be best in.
        weights: preferences, which come before ``way``: the least weighted Chebyshev distance to the ideal.

    Raises:
        BudgetError: no plan keeps to the limits; the nearest is told.
        ConfigError: a preference or ``way`` that is no objective of the front.
    """
    for name in (*weights, *([] if way == KNEE else [way])):
        if name not in front.objectives:
            raise ConfigError(
                f"What is chosen by must be an objective of the front ({', '.join(front.objectives)}); {name!r} came. "
                f"Add --objective {name}."
            )
    rows = [row for row, plan in enumerate(front.plans) if _keeps_to(plan, limits)]
    if not rows:
        raise BudgetError(_nearest_words(front, limits))
    within = Front(front.kind, front.objectives, [front.plans[row] for row in rows])
    best, how = _choice(within, way, weights)
    bounds = f"within {', '.join(limit.text for limit in limits)}: " if limits else ""
    return Chosen(front.kind, within.plans[best], rows[best], bounds + how)


def _keeps_to(plan: EvaluatedPlan, limits: Sequence[Limit]) -> bool:
    return all(plan.knows(limit.name) and limit.excess(plan) <= 0 for limit in limits)


def _choice(front: Front, way: str, weights: Mapping[str, float]) -> tuple[int, str]:
    if not weights and way == KNEE:
        return front.knee.row, "the knee"
    counts = weights or {way: 1.0}
    place = nearest(front.losses[front.best], [counts.get(name, 0.0) for name in front.objectives])
    words = ", ".join(f"{name}={weight:g}" for name, weight in weights.items())
    return int(front.best[place]), f"nearest to the ideal by {words}" if weights else f"the best {way}"


def _nearest_words(front: Front, limits: Sequence[Limit]) -> str:
    """That nothing keeps to the limits, and how near the nearest plan comes."""
    asked = " and ".join(limit.text for limit in limits)
    known = [plan for plan in front.plans if all(plan.knows(limit.name) for limit in limits)]
    if not known:
        return f"None of the {len(front.plans)} {front.kind} plans tells what {asked} limits. Name another objective."
    plan = min(known, key=lambda one: max(limit.excess(one) for limit in limits))
    broken = [limit for limit in limits if limit.excess(plan) > 0]
    misses = ", ".join(f"{shown_value(plan, limit.name)} where {limit.text} is asked" for limit in broken)
    return (
        f"None of the {len(front.plans)} {front.kind} plans keeps to {asked}. The nearest, {plan.label} of "
        f"{plan.run.path}, has {misses}. Loosen the limit, or search within it."
    )


def shown_value(plan: EvaluatedPlan, name: str) -> str:
    """A value with its unit and as a share of the dense network's."""
    value = plan.values[name]
    if name == DIVERGENCE:
        return f"{name} {value:.4f}"
    if name == SCORE:
        return f"{name} {score_text(value, plan.run.result.metric)} ({1 - plan.loss(name):.1%} of the dense network's)"
    shown = f"{in_kilobytes(value)} kB" if name == "size" else format_cost(name, value)
    return f"{name} {shown} ({plan.loss(name):.1%} of the dense network's)"
