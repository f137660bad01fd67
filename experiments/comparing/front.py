"""The common front: plans of all methods and budgets that no other one beats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np

from rlprune.evaluation.pareto import undominated
from rlprune.experiments.comparing.conditions import SCENE, key_of
from rlprune.experiments.comparing.sections import Section
from rlprune.experiments.runs.row import DENSE, Row

COSTS = ("latency_ms", "energy_mj", "macs")


@dataclass(frozen=True)
class Point:
    """A plan: what found it, what it is worth on all validation samples, and what it costs (latency as measured)."""

    method: str
    score_validation: float
    latency_ms: float | None
    energy_mj: float | None
    macs: float

    def cost(self, name: str) -> float | None:
        """One of ``COSTS``."""
        found: float | None = getattr(self, name)
        return found


@dataclass(frozen=True)
class CommonFront:
    """All plans for one network, data and device, whatever their budgets.

    Attributes:
        title, metric, energy_source: for people.
        points: of all methods, the dense network among them.
    """

    title: str
    metric: str
    energy_source: str
    points: tuple[Point, ...]

    def costs(self) -> list[str]:
        """The costs that are known of some plan."""
        return [name for name in COSTS if self.known(name)]

    def known(self, cost: str) -> list[tuple[float, Point]]:
        """The plans whose cost is known, with it."""
        found = [(point.cost(cost), point) for point in self.points]
        return [(value, point) for value, point in found if value is not None]

    def best(self, cost: str) -> list[tuple[float, Point]]:
        """The plans that no other one beats, cheapest first: each is worth more than all cheaper ones."""
        known = self.known(cost)
        losses = np.array([(value, -point.score_validation) for value, point in known])
        return [known[row] for row in undominated(losses).tolist()]

    def as_dict(self) -> dict[str, Any]:
        """Every point, and the front for each cost."""
        best = {cost: [asdict(point) for _, point in self.best(cost)] for cost in self.costs()}
        return {"title": self.title, "best": best, "points": [asdict(point) for point in self.points]}


def common_fronts(sections: Sequence[Section]) -> list[CommonFront]:
    """One for all sections that share network, data, device and the source of energies."""
    groups: dict[str, list[Section]] = {}
    for section in sections:
        scene = {name: section.conditions[name] for name in SCENE}
        groups.setdefault(key_of(scene), []).append(section)
    return [_common_front(group) for group in groups.values()]


def _common_front(sections: Sequence[Section]) -> CommonFront:
    first = sections[0].conditions
    parts = (f"{first['network']} on {first['task']}", first["device"], first["runtime"])
    names = ", ".join(section.name for section in sections)
    title = f"{names}: {', '.join(part for part in parts if part)}"
    points = dict.fromkeys(point for section in sections for point in _points(section))
    dense = _mean([point for point in points if point.method == DENSE])
    pruned = [point for point in points if point.method != DENSE]
    return CommonFront(title, first["metric"], first["energy source"], (dense, *pruned))


def _points(section: Section) -> Iterator[Point]:
    for line in section.lines:
        yield from (_point(line.label, entry.row) for entry in line.entries)
    for run in section.runs:
        for _, row in run.front():
            yield _point(section.label(row.name, run.settings.get(row.name, {})), row)


def _point(label: str, row: Row) -> Point:
    return Point(label, row.score_validation, row.latency_ms, row.energy_mj, row.macs)


def _mean(points: Sequence[Point]) -> Point:
    """One plan that was measured again in every run."""
    costs = {name: [cost for point in points if (cost := point.cost(name)) is not None] for name in COSTS}
    means = {name: fmean(values) if values else None for name, values in costs.items()}
    return replace(points[0], **means)  # type: ignore[arg-type]
