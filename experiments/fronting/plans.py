"""The plans of a run as points between its objectives: those scored and measured at the end, and all of the search."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rlprune.errors import RunError
from rlprune.experiments.fronting.objectives import DIVERGENCE, OBJECTIVES, SCORE, TIMED, loss_of
from rlprune.experiments.runs.episodes import EpisodeTable
from rlprune.experiments.runs.result import Result
from rlprune.experiments.runs.row import DENSE, UNSEARCHED, Row, StatedPoint, finalist_name
from rlprune.plans.decision import Decision
from rlprune.plans.plan import PruningPlan

MEASURED, SEARCHED = "measured", "searched"
FINAL = "final plan"
"""Where a row of the table was found."""


@dataclass(frozen=True)
class Source:
    """A finished run.

    Attributes:
        path: the folder.
        result: the content of ``result.json``.
        tables: method to its episodes.
        layered: whether more than channels is decided.
    """

    path: str
    result: Result
    tables: Mapping[str, EpisodeTable]
    layered: bool = False


@dataclass(frozen=True, eq=False)
class Plan:
    """A plan that was evaluated.

    Attributes:
        source: the run.
        method: what found it.
        choices: the plan itself, a whole number for each thing that was decided.
        values: objective to value, as far as they are known.
        dense: the same of the dense network, in the same run and as the values came about.
        where: which of the method's plans it is: the final one, a finalist, that at a budget of a range, or an episode.
        timed: whether its latency was measured; else promised.
    """

    source: Source
    method: str
    choices: tuple[int, ...]
    values: Mapping[str, float]
    dense: Mapping[str, float]
    where: str
    timed: bool

    @property
    def label(self) -> str:
        """Method and place, for people."""
        return f"{self.method}, {self.where}"

    def loss(self, name: str) -> float:
        """See :func:`rlprune.experiments.fronting.objectives.loss_of`."""
        return loss_of(name, self.values[name], self.dense[name])

    def knows(self, name: str) -> bool:
        """Whether an objective is known of the plan and of the dense network."""
        return name in self.values and name in self.dense

    def load(self) -> PruningPlan:
        """The plan to apply: the file that the run keeps of it, else made again of its channels.

        Raises:
            RunError: the result does not tell what network the plan is for, or all that it decides.
            PlanError: the run's file is no plan.
        """
        path = _kept_file(self.source, self.choices)
        plan = _rebuilt(self.source, self.choices) if path is None else PruningPlan.load(path)
        return replace(plan, notes={**plan.notes, **self._notes()})

    def _notes(self) -> dict[str, Any]:
        return {"method": self.method, "run": self.source.path, "found": self.where, "objectives": dict(self.values)}


def measured_plans(source: Source) -> list[Plan]:
    """The plans that were scored on all validation samples: rows, points of a range, finalists; each once a method.

    Finalists were not timed: their costs are those that the search was promised.
    """
    found: dict[tuple[str, tuple[int, ...]], Plan] = {}
    for plan in (*_rows(source), *_points(source), *_finalists(source)):
        found.setdefault((plan.method, plan.choices), plan)
    return list(found.values())


def comparable(plans: Sequence[Plan], names: Collection[str]) -> list[Plan]:
    """Of plans that are compared in what is timed, those that were; where none was, promises are held to promises."""
    timed = [plan for plan in plans if plan.timed]
    return timed if timed and any(name in TIMED for name in names) else list(plans)


def searched_plans(source: Source) -> list[Plan]:
    """Every plan that was evaluated in the search, on its samples and with promised costs; each once a method."""
    found: dict[tuple[str, tuple[int, ...]], Plan] = {}
    for plan in (*_unsearched(source), *_episodes(source)):
        found.setdefault((plan.method, plan.choices), plan)
    return list(found.values())


def _rows(source: Source) -> Iterator[Plan]:
    for row in source.result.rows:
        if row.role != DENSE:
            yield _of_row(source, row, FINAL)


def _points(source: Source) -> Iterator[Plan]:
    for point in _front(source.result):
        yield _of_row(source, point.row, f"at {point.budget}")


def _front(result: Result) -> list[StatedPoint]:
    return [] if result.front is None else result.front.points


def _of_row(source: Source, row: Row, where: str) -> Plan:
    timed = row.latency_measured_ms is not None
    return Plan(source, row.name, row.widths, _row_values(row), _dense_values(source), where, timed)


def _row_values(row: Row) -> dict[str, float]:
    values = {name: objective.of_row(row) for name, objective in OBJECTIVES.items()}
    return {name: float(value) for name, value in values.items() if value is not None}


def _dense_values(source: Source) -> dict[str, float]:
    """Of the final table; a cost that is 0 is none to compare with."""
    dense = next(row for row in source.result.rows if row.role == DENSE)
    return {name: value for name, value in _row_values(dense).items() if value > 0 or not OBJECTIVES[name].is_cost}


def _finalists(source: Source) -> Iterator[Plan]:
    dense = _promised_dense(source) | {SCORE: _dense_values(source)[SCORE]}
    for method, listed in source.result.finalists.items():
        table = source.tables.get(method)
        for item in listed:
            place = None if table is None else _place(table, item.widths)
            if table is not None and place is not None:
                values = {name: value for name, value in _costs_at(table, place).items() if name in dense}
                values |= {SCORE: item.score_validation, DIVERGENCE: item.divergence}
                yield Plan(source, method, item.widths, values, dense, "finalist", False)


def _place(table: EpisodeTable, choices: tuple[int, ...]) -> int | None:
    """The first episode of a plan."""
    same = (table.widths == np.array(choices)).all(axis=1)
    return int(np.argmax(same)) if same.any() else None


def _costs_at(table: EpisodeTable, place: int) -> dict[str, float]:
    columns = {name: objective.column for name, objective in OBJECTIVES.items() if objective.is_cost}
    return {name: float(table[column][place]) for name, column in columns.items() if column in table.columns}


def _promised_of(source: Source, name: str) -> dict[str, float]:
    """What the search itself saw of a row: score and divergence on its samples, promised costs."""
    mark = source.result.marks[name]
    seen = {"score": mark.score, "divergence": mark.divergence, **mark.costs}
    return {name: float(seen[one.column]) for name, one in OBJECTIVES.items() if one.column in seen}


def _promised_dense(source: Source) -> dict[str, float]:
    return {
        name: value for name, value in _promised_of(source, DENSE).items() if value > 0 or not OBJECTIVES[name].is_cost
    }


def _unsearched(source: Source) -> Iterator[Plan]:
    for row in source.result.rows:
        if row.role in UNSEARCHED:
            values = _promised_of(source, row.name)
            yield Plan(source, row.name, row.widths, values, _promised_dense(source), "searched", False)


def _episodes(source: Source) -> Iterator[Plan]:
    dense = _promised_dense(source)
    for method, table in source.tables.items():
        known = {name: table[one.column] for name, one in OBJECTIVES.items() if one.column in table.columns}
        defined = np.isfinite(list(known.values())).all(axis=0)
        for place in np.flatnonzero(defined).tolist():
            values = {name: float(column[place]) for name, column in known.items()}
            choices = tuple(table.widths[place].tolist())
            yield Plan(source, method, choices, values, dense, f"episode {int(table['number'][place])}", False)


def _kept_file(source: Source, choices: tuple[int, ...]) -> Path | None:
    """The file that a run keeps of a plan: of a row, a point of a range, or a finalist."""
    folder, result = Path(source.path) / "plans", source.result
    named = {row.name: row.widths for row in result.rows if row.role != DENSE}
    for point in _front(result):
        named[f"{point.method}-{point.budget.replace('=', '')}"] = point.widths
    for method, listed in result.finalists.items():
        named |= {finalist_name(method, number): item.widths for number, item in enumerate(listed, start=1)}
    same = [folder / f"{name}.json" for name, widths in named.items() if widths == choices]
    return next((path for path in same if path.is_file()), None)


def _rebuilt(source: Source, choices: tuple[int, ...]) -> PruningPlan:
    if source.layered:
        raise RunError(
            f"Of plans that decide more than channels only those in files can be applied; {source.path} keeps none of "
            "this one. Choose among those: --among measured."
        )
    groups, fingerprint = source.result.groups, source.result.fingerprint
    if fingerprint is None or len(groups) != len(choices):
        raise RunError(
            f"A plan of the search needs the network's fingerprint and a number for each group; {source.path} does "
            "not hold them. Choose among the plans that the run keeps: --among measured."
        )
    pairs = zip(groups, choices, strict=True)
    return PruningPlan(fingerprint, {group.name: Decision(width / group.width) for group, width in pairs})
