"""Runs from disk: which folders are meant, and what each method found in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlprune.agents import AGENTS
from rlprune.arrays import FloatArray
from rlprune.errors import ConfigError, RlpruneError, RunError
from rlprune.experiments.comparing.conditions import Conditions, conditions_of, settings_of
from rlprune.experiments.runs.episodes import EpisodeTable
from rlprune.experiments.runs.free_folder import STATUS
from rlprune.experiments.runs.result import MALFORMED, Result
from rlprune.experiments.runs.row import DENSE, FILLED, POLICY_ALONE, UNSEARCHED, Row
from rlprune.experiments.runs.run_folder import RESULT, RunFolder

SEEDLESS = (DENSE, *UNSEARCHED)
"""Methods that search nothing, and so need no word when they stand in several runs."""
MOST_EVALUATIONS = 10_000_000


@dataclass(frozen=True, eq=False)
class Entry:
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


@dataclass(frozen=True, eq=False)
class Read:
    """One finished run.

    Attributes:
        path: the folder.
        conditions: what it must share with others to be averaged with them.
        tables: method to its episodes.
        result, settings: as the run holds them; settings by method.
        layered: whether more than channels is decided.
    """

    path: str
    conditions: Conditions
    result: Result
    settings: Mapping[str, dict[str, Any]]
    tables: Mapping[str, EpisodeTable]
    layered: bool = False

    def entries(self, level: str | None) -> list[Entry]:
        """Every method of the run.

        Args:
            level: of a range, the budget whose plans are taken.
        """
        return [self._entry(row) for row in self._rows(level)]

    def _rows(self, level: str | None) -> list[Row]:
        rows, front = self.result.rows, self.result.front
        if level is None or (front is not None and level == front.chosen):
            return rows  # of a range those at the budget that was chosen: points alone tell nothing of the noise
        at_level = [row for budget, row in self.front() if budget == level and row.name != POLICY_ALONE]
        if not at_level:
            raise ValueError(f"no plan at {level}")
        return [row for row in rows if row.role == DENSE] + at_level

    def front(self) -> list[tuple[str, Row]]:
        """Budget and plan at each point of the front of a range, named by their methods; else nothing."""
        points = [] if self.result.front is None else self.result.front.points
        return [(point.budget, point.row) for point in points]

    def _entry(self, row: Row) -> Entry:
        table = self.tables.get(row.name)
        curve = None if table is None else best_so_far(table["evaluations"], table["reward"])
        method = FILLED if row.role == FILLED else row.name  # older runs call it uniform
        settings = self.settings.get(method, {})
        return Entry(self.path, method, self.result.seed, settings, row, self._searched(method, row, table), curve)

    def _searched(self, method: str, row: Row, table: EpisodeTable | None) -> dict[str, float]:
        volumes = {} if self.result.front is None else self.result.front.hypervolume
        found: dict[str, float | None] = {"hypervolume": volumes.get(method)}
        if table is not None:
            counts = self.result.searches[method]
            found |= {"evaluations": counts.evaluations, "search_seconds": counts.seconds}
            found["evaluations_to_best"] = evaluations_until(table, row)
        return {name: float(value) for name, value in found.items() if value is not None}


def best_so_far(evaluations: FloatArray, rewards: FloatArray) -> FloatArray:
    """The best reward after 1, 2, ... evaluations, ``[last]``; -inf before the first plan was finished.

    Raises:
        ValueError: there are more evaluations than a search can make.
    """
    if not evaluations.max() <= MOST_EVALUATIONS:
        raise ValueError(f"{evaluations.max()} evaluations")
    best = np.full(max(int(evaluations.max()), 1), -np.inf)
    np.maximum.at(best, np.maximum(evaluations.astype(np.int64), 1) - 1, rewards)
    return np.asarray(np.maximum.accumulate(best))


def evaluations_until(table: EpisodeTable, row: Row) -> float | None:
    """Evaluations that were made when the plan of ``row`` first came up."""
    same = (table.widths == np.array(row.widths)).all(axis=1)
    return float(table["evaluations"][np.argmax(same)]) if same.any() else None


def read_runs(paths: Sequence[str]) -> tuple[list[Read], list[str]]:
    """The finished runs among folders and parents of folders, and notes on what was left out.

    Raises:
        ConfigError: no folder came.
        RunError: a folder that was named is no finished run and holds none.
    """
    if not paths:
        raise ConfigError("There is nothing to compare: no run came. Name run folders, or a folder of runs.")
    runs: dict[Path, Read] = {}
    notes: list[str] = []
    for path in map(Path, paths):
        inside = _runs_inside(path)
        for folder in inside or [path]:
            try:
                if folder.resolve() in runs:
                    notes.append(f"{folder} came twice and counts once.")
                else:
                    runs[folder.resolve()] = read_run(folder)
            except RlpruneError as reason:
                if not inside:
                    raise
                notes.append(f"Left out: {reason}")
    if not runs:
        raise RunError(f"There is nothing to compare: {' '.join(notes)}")
    return list(runs.values()), notes


def _runs_inside(path: Path) -> list[Path]:
    """The run folders in a folder that is none itself."""
    if (path / STATUS).is_file() or not path.is_dir():
        return []
    seen = (folder for folder in path.iterdir() if not folder.name.startswith("."))
    return sorted(folder for folder in seen if (folder / STATUS).is_file())


def read_run(path: str | Path) -> Read:
    """One finished run.

    Raises:
        RunError: it is not finished, or a file is missing or malformed.
    """
    run = RunFolder.open(path, RESULT)
    result = run.result()
    try:
        config = run.config()
        rows = result.rows
        dense, *_ = [row for row in rows if row.role == DENSE]
        if len(rows) < 2:
            raise ValueError("a pruned network is needed")
        return Read(
            str(path),
            conditions_of(config, result, dense),
            result,
            {name: settings_of(config, name in AGENTS) for name in result.searches},
            run.episode_tables(result.searches),
            set(config.decisions().kinds) != {"channels"},
        )
    except RlpruneError as reason:
        raise RunError(f"The run in {path} cannot be read: {reason}") from reason
    except MALFORMED as reason:
        raise malformed(path, reason) from reason


def malformed(path: str | Path, reason: Exception) -> RunError:
    """For a result in which something is missing or of another kind."""
    return RunError(f"The run in {path} holds a result that cannot be compared ({reason!r}). Train again.")
