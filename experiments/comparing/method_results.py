"""What each method found in one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rlprune.arrays import FloatArray
from rlprune.errors import RunError
from rlprune.experiments.runs.episodes import EpisodeTable
from rlprune.experiments.runs.finished import FinishedRun
from rlprune.experiments.runs.row import FILLED, POLICY_ALONE, Row


@dataclass(frozen=True, eq=False)
class MethodResult:
    """What one method found in one run.

    Attributes:
        run: the folder.
        method, seed, settings: what was searched with.
        row: the plan that was chosen.
        searched: evaluations, evaluations_to_best, search_seconds and hypervolume, as far as there was a search.
        curve: best reward after each evaluation, ``[last]``; None without a search.
    """

    run: str
    method: str
    seed: int
    settings: dict[str, Any]
    row: Row
    searched: dict[str, float]
    curve: FloatArray | None = None

    def value(self, name: str) -> float | None:
        """A measure, as the search or the row tells it."""
        found = self.searched.get(name, self.row.value(name))
        return None if found is None else float(found)


def method_results(run: FinishedRun, level: str | None) -> list[MethodResult]:
    """Every method of a run.

    Args:
        level: of a range, the budget whose plans are taken.

    Raises:
        RunError: the run has no plan there.
    """
    return [_of_row(run, row) for row in _rows(run, level)]


def _rows(run: FinishedRun, level: str | None) -> list[Row]:
    front = run.result.front
    if level is None or (front is not None and level == front.chosen):
        return run.result.rows  # of a range those at the budget that was chosen: points tell nothing of the noise
    at_level = [point.row for point in run.points if point.budget == level and point.method != POLICY_ALONE]
    if not at_level:
        raise RunError(f"The run in {run.path} has no plan at {level}. Compare it apart from the others.")
    return [run.dense, *at_level]


def _of_row(run: FinishedRun, row: Row) -> MethodResult:
    table, method = run.tables.get(row.name), FILLED if row.role == FILLED else row.name  # older runs call it uniform
    curve = None if table is None else best_so_far(table["evaluations"], table["reward"])
    searched = _searched(run, method, row, table)
    return MethodResult(run.path, method, run.result.seed, run.settings_of(method), row, searched, curve)


def _searched(run: FinishedRun, method: str, row: Row, table: EpisodeTable | None) -> dict[str, float]:
    volumes = {} if run.result.front is None else run.result.front.hypervolume
    found: dict[str, float | None] = {"hypervolume": volumes.get(method)}
    if table is not None:
        counts = run.result.searches[method]
        found |= {"evaluations": counts.evaluations, "search_seconds": counts.seconds}
        found["evaluations_to_best"] = evaluations_until(table, row)
    return {name: float(value) for name, value in found.items() if value is not None}


def best_so_far(evaluations: FloatArray, rewards: FloatArray) -> FloatArray:
    """The best reward after 1, 2, ... evaluations, ``[last]``; -inf before the first plan was finished."""
    best = np.full(max(int(evaluations.max()), 1), -np.inf)
    np.maximum.at(best, np.maximum(evaluations.astype(np.int64), 1) - 1, rewards)
    return np.asarray(np.maximum.accumulate(best))


def evaluations_until(table: EpisodeTable, row: Row) -> float | None:
    """Evaluations that were made when the plan of ``row`` first came up."""
    place = table.place_of(row.widths)
    return None if place is None else float(table["evaluations"][place])
