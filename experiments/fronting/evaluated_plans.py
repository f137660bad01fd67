"""The plans of a run as points between its objectives: those scored and measured at the end, and all of the search."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rlprune.errors import RunError
from rlprune.experiments.fronting.objectives import DIVERGENCE, OBJECTIVES, SCORE, TIMED
from rlprune.experiments.runs.finished import FinishedRun
from rlprune.experiments.runs.row import DENSE, UNSEARCHED, Row, finalist_name
from rlprune.plans.decision import Decision
from rlprune.plans.plan import PruningPlan

MEASURED, SEARCHED = "measured", "searched"
FINAL = "final plan"
"""Where a row of the table was found."""
Values = Mapping[str, float]
"""Objective to value."""


@dataclass(frozen=True, eq=False)
class EvaluatedPlan:
    """A plan that was evaluated.

    Attributes:
        run: where.
        method: what found it.
        choices: the plan itself, a whole number for each thing that was decided.
        values: of the objectives, as far as they are known.
        dense: the same of the dense network, in the same run and as the values came about.
        where: which of the method's plans it is: the final one, a finalist, that at a budget of a range, or an episode.
        timed: whether its latency was measured; else promised.
    """

    run: FinishedRun
    method: str
    choices: tuple[int, ...]
    values: Values
    dense: Values
    where: str
    timed: bool = False

    @property
    def label(self) -> str:
        """Method and place, for people."""
        return f"{self.method}, {self.where}"

    def loss(self, name: str) -> float:
        """See :meth:`rlprune.experiments.fronting.objectives.Objective.loss`."""
        return OBJECTIVES[name].loss(self.values[name], self.dense[name])

    def knows(self, name: str) -> bool:
        """Whether an objective is known of the plan and of the dense network."""
        return name in self.values and name in self.dense

    def as_dict(self) -> dict[str, Any]:
        """Plain values: where it is from, what it is worth, and as a share of the dense network's."""
        return {
            "run": self.run.path,
            "method": self.method,
            "where": self.where,
            "latency_measured": self.timed,
            "plan": list(self.choices),
            "values": dict(self.values),
            "losses": {name: self.loss(name) for name in self.values if self.knows(name)},
        }

    def load(self) -> PruningPlan:
        """The plan to apply: the file that the run keeps of it, else made again of its channels.

        Raises:
            RunError: the result does not tell what network the plan is for, or all that it decides.
            PlanError: the run's file is no plan.
        """
        path = _kept_file(self.run, self.choices)
        plan = _rebuilt(self.run, self.choices) if path is None else PruningPlan.load(path)
        notes = {"method": self.method, "run": self.run.path, "found": self.where, "objectives": dict(self.values)}
        return replace(plan, notes={**plan.notes, **notes})


def measured_plans(run: FinishedRun) -> list[EvaluatedPlan]:
    """The plans that were scored on all validation samples: rows, points of a range, finalists; each once a method.

    Finalists were not timed: their costs are those that the search was promised.
    """
    dense = _comparable(_row_values(run.dense))
    rows = [(row, row.name, FINAL) for row in run.result.rows if row.role != DENSE]
    points = [(point, point.method, f"at {point.budget}") for point in run.points]
    scored = (
        EvaluatedPlan(run, method, row.widths, _row_values(row), dense, where, row.latency_measured_ms is not None)
        for row, method, where in (*rows, *points)
    )
    return _once([*scored, *_finalists(run, dense[SCORE])])


def searched_plans(run: FinishedRun) -> list[EvaluatedPlan]:
    """Every plan that was evaluated in the search, on its samples and with promised costs; each once a method."""
    return _once([*_unsearched(run), *_episodes(run)])


def comparable(plans: Collection[EvaluatedPlan], names: Collection[str]) -> list[EvaluatedPlan]:
    """Of plans that are compared in what is timed, those that were; where none was, promises are held to promises."""
    timed = [plan for plan in plans if plan.timed]
    return timed if timed and any(name in TIMED for name in names) else list(plans)


def _once(plans: Iterable[EvaluatedPlan]) -> list[EvaluatedPlan]:
    found: dict[tuple[str, tuple[int, ...]], EvaluatedPlan] = {}
    for plan in plans:
        found.setdefault((plan.method, plan.choices), plan)
    return list(found.values())


def _row_values(row: Row) -> dict[str, float]:
    return {name: value for name, one in OBJECTIVES.items() if (value := one.of_row(row)) is not None}


def _comparable(dense: Values) -> dict[str, float]:
    """A cost of the dense network that is 0 is none to compare with."""
    return {name: value for name, value in dense.items() if value > 0 or not OBJECTIVES[name].is_cost}


def _finalists(run: FinishedRun, dense_score: float) -> Iterator[EvaluatedPlan]:
    dense = _promised(run, DENSE) | {SCORE: dense_score}
    costs = {name: objective.column for name, objective in OBJECTIVES.items() if objective.is_cost and name in dense}
    for method, listed in run.result.finalists.items():
        if (table := run.tables.get(method)) is None:
            continue
        known = {name: table[column] for name, column in costs.items() if column in table.columns}
        for item in listed:
            if (place := table.place_of(item.widths)) is not None:
                values = {name: float(column[place]) for name, column in known.items()}
                values |= {SCORE: item.score_validation, DIVERGENCE: item.divergence}
                yield EvaluatedPlan(run, method, item.widths, values, dense, "finalist")


def _promised(run: FinishedRun, name: str) -> dict[str, float]:
    """What the search itself saw of a row: score and divergence on its samples, promised costs."""
    mark = run.result.marks[name]
    seen = {"score": mark.score, "divergence": mark.divergence, **mark.costs}
    found = {name: float(seen[one.column]) for name, one in OBJECTIVES.items() if one.column in seen}
    return _comparable(found) if name == DENSE else found


def _unsearched(run: FinishedRun) -> Iterator[EvaluatedPlan]:
    for row in run.result.rows:
        if row.role in UNSEARCHED:
            yield EvaluatedPlan(run, row.name, row.widths, _promised(run, row.name), _promised(run, DENSE), "searched")


def _episodes(run: FinishedRun) -> Iterator[EvaluatedPlan]:
    dense = _promised(run, DENSE)
    for method, table in run.tables.items():
        known = {name: table[one.column] for name, one in OBJECTIVES.items() if one.column in table.columns}
        defined = np.isfinite(list(known.values())).all(axis=0)
        for place in np.flatnonzero(defined).tolist():
            values = {name: float(column[place]) for name, column in known.items()}
            choices = tuple(table.widths[place].tolist())
            yield EvaluatedPlan(run, method, choices, values, dense, f"episode {int(table['number'][place])}")


def _kept_file(run: FinishedRun, choices: tuple[int, ...]) -> Path | None:
    """The file that a run keeps of a plan: of a row, a point of a range, or a finalist."""
    named = {row.name: row.widths for row in run.result.rows if row.role != DENSE}
    named |= {f"{point.method}-{point.budget.replace('=', '')}": point.widths for point in run.points}
    for method, listed in run.result.finalists.items():
        named |= {finalist_name(method, number): item.widths for number, item in enumerate(listed, start=1)}
    same = [Path(run.path) / "plans" / f"{name}.json" for name, widths in named.items() if widths == choices]
    return next((path for path in same if path.is_file()), None)


def _rebuilt(run: FinishedRun, choices: tuple[int, ...]) -> PruningPlan:
    groups, fingerprint = run.result.groups, run.result.fingerprint
    if any(group.kind is not None for group in groups):
        raise RunError(
            f"Of plans that decide more than channels only those in files can be applied; {run.path} keeps none of "
            "this one. Choose among those: --among measured."
        )
    if fingerprint is None or len(groups) != len(choices):
        raise RunError(
            f"A plan of the search needs the network's fingerprint and a number for each group; {run.path} does "
            "not hold them. Choose among the plans that the run keeps: --among measured."
        )
    pairs = zip(groups, choices, strict=True)
    return PruningPlan(fingerprint, {group.name: Decision(width / group.width) for group, width in pairs})
