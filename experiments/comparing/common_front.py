"""Plans of all methods and budgets for one network, data and device, and those of them that no other one beats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np

from rlprune.evaluation.pareto import undominated
from rlprune.experiments.comparing.comparable import ComparableRuns
from rlprune.experiments.runs.conditions import SCENE, key_of
from rlprune.experiments.runs.row import DENSE, Row

COSTS = ("latency_ms", "energy_mj", "macs")


@dataclass(frozen=True)
class PricedPlan:
    """A plan: what found it, what it is worth on all validation samples, and what it costs (latency as measured)."""

    method: str
    score_validation: float
    latency_ms: float | None
    energy_mj: float | None
    macs: float


Priced = list[tuple[float, PricedPlan]]
"""One of the costs of plans, and the plans."""


@dataclass(frozen=True)
class CommonFront:
    """All plans for one network, data and device, whatever their budgets.

    Attributes:
        title, metric, energy_source: for people.
        plans: of all methods, the dense network among them.
    """

    title: str
    metric: str
    energy_source: str
    plans: tuple[PricedPlan, ...]

    def costs(self) -> list[str]:
        """The costs that are known of some plan."""
        return [name for name in COSTS if self.known(name)]

    def known(self, cost: str) -> Priced:
        """The plans whose cost is known."""
        return [(value, plan) for plan in self.plans if (value := getattr(plan, cost)) is not None]

    def best(self, cost: str) -> Priced:
        """The plans that no other one beats, cheapest first: each is worth more than all cheaper ones."""
        known = self.known(cost)
        losses = np.array([(value, -plan.score_validation) for value, plan in known])
        return [known[row] for row in undominated(losses).tolist()]

    def as_dict(self) -> dict[str, Any]:
        """Every plan, and the front for each cost."""
        best = {cost: [asdict(plan) for _, plan in self.best(cost)] for cost in self.costs()}
        return {"title": self.title, "best": best, "points": [asdict(plan) for plan in self.plans]}


def common_fronts(sections: Sequence[ComparableRuns]) -> list[CommonFront]:
    """One for all runs that share network, data, device and the source of energies."""
    groups: dict[str, list[ComparableRuns]] = {}
    for runs in sections:
        scene = {name: runs.conditions[name] for name in SCENE}
        groups.setdefault(key_of(scene), []).append(runs)
    return [_common_front(group) for group in groups.values()]


def _common_front(sections: Sequence[ComparableRuns]) -> CommonFront:
    first = sections[0].conditions
    parts = (f"{first['network']} on {first['task']}", first["device"], first["runtime"])
    title = f"{', '.join(runs.name for runs in sections)}: {', '.join(part for part in parts if part)}"
    plans = dict.fromkeys(plan for runs in sections for plan in _plans(runs))
    dense = _mean([plan for plan in plans if plan.method == DENSE])
    return CommonFront(
        title, first["metric"], first["energy source"], (dense, *(plan for plan in plans if plan.method != DENSE))
    )


def _plans(runs: ComparableRuns) -> Iterator[PricedPlan]:
    for line in runs.lines:
        yield from (_priced(line.label, one.row) for one in line.results)
    for run in runs.runs:
        yield from (_priced(runs.label(point.method, run.settings_of(point.method)), point) for point in run.points)


def _priced(label: str, row: Row) -> PricedPlan:
    return PricedPlan(label, row.score_validation, row.latency_ms, row.energy_mj, row.macs)


def _mean(plans: Sequence[PricedPlan]) -> PricedPlan:
    """One plan that was measured again in every run."""
    costs = {name: [cost for plan in plans if (cost := getattr(plan, name)) is not None] for name in COSTS}
    means = {name: fmean(values) if values else None for name, values in costs.items()}
    return replace(plans[0], **means)  # type: ignore[arg-type]
