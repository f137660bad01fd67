"""Finished runs, read from disk, for whoever puts them side by side."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rlprune.agents import AGENTS
from rlprune.errors import ConfigError, RlpruneError, RunError
from rlprune.experiments.runs.conditions import Conditions, conditions_of, settings_of
from rlprune.experiments.runs.episodes import EpisodeTable
from rlprune.experiments.runs.free_folder import STATUS, check_free
from rlprune.experiments.runs.result import MALFORMED, Result
from rlprune.experiments.runs.row import DENSE, Row, StatedPoint
from rlprune.experiments.runs.run_folder import RESULT, RunFolder
from rlprune.experiments.settings.verb_configs import TrainConfig


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """A run that is complete.

    Attributes:
        path: the folder, as it is told.
        config: its settings.
        result: what it found.
        tables: method to its episodes.
    """

    path: str
    config: TrainConfig
    result: Result
    tables: Mapping[str, EpisodeTable]

    @classmethod
    def read(cls, path: str | Path) -> FinishedRun:
        """The run in a folder.

        Raises:
            RunError: it is not finished, a file is missing or malformed, or it pruned nothing.
        """
        run = RunFolder.open(path, RESULT)
        result = run.result()
        if all(row.role == DENSE for row in result.rows):
            raise RunError(f"The run in {path} has no pruned network in its table. Train again.")
        try:
            return cls(str(path), run.config(), result, run.episode_tables(result.searches))
        except RlpruneError as reason:
            raise RunError(f"The run in {path} cannot be read: {reason}") from reason

    @cached_property
    def conditions(self) -> Conditions:
        """What it must share with other runs to be averaged with them."""
        return conditions_of(self.config, self.result, self.dense)

    @property
    def dense(self) -> Row:
        """The dense network in the table."""
        return next(row for row in self.result.rows if row.role == DENSE)

    def settings_of(self, method: str) -> dict[str, Any]:
        """The settings that make it another method; none of what was not searched."""
        return settings_of(self.config, method in AGENTS) if method in self.result.searches else {}

    @property
    def points(self) -> Sequence[StatedPoint]:
        """Every method at every budget of a range; of a run of one budget nothing."""
        return [] if self.result.front is None else self.result.front.points


def read_runs(paths: Sequence[str], out: str | None = None) -> tuple[list[FinishedRun], list[str]]:
    """The finished runs among folders and parents of folders, and notes on what was left out, which are told at once.

    Args:
        paths: the folders.
        out: where something will be written of them.

    Raises:
        ConfigError: no folder came.
        RunError: a folder that was named is no finished run and holds none, or ``out`` cannot be written.
    """
    if out is not None:
        check_free(out)
    if not paths:
        raise ConfigError("There is nothing to compare: no run came. Name run folders, or a folder of runs.")
    runs: dict[Path, FinishedRun] = {}
    notes: list[str] = []
    for path in map(Path, paths):
        inside = _runs_inside(path)
        for folder in inside or [path]:
            try:
                if folder.resolve() in runs:
                    notes.append(f"{folder} came twice and counts once.")
                else:
                    runs[folder.resolve()] = FinishedRun.read(folder)
            except RlpruneError as reason:
                if not inside:
                    raise
                notes.append(f"Left out: {reason}")
    if not runs:
        raise RunError(f"There is nothing to compare: {' '.join(notes)}")
    for note in notes:
        print(f"rlprune: {note}", file=sys.stderr)
    return list(runs.values()), notes


def _runs_inside(path: Path) -> list[Path]:
    """The run folders in a folder that is none itself."""
    if (path / STATUS).is_file() or not path.is_dir():
        return []
    seen = (folder for folder in path.iterdir() if not folder.name.startswith("."))
    return sorted(folder for folder in seen if (folder / STATUS).is_file())


@contextmanager
def told_as_malformed(runs: Sequence[FinishedRun], what_it_cannot: str) -> Iterator[None]:
    """Turns what values that do not belong together lead to into one error.

    Raises:
        RunError: it names the runs, and ``what_it_cannot``: "cannot be compared".
    """
    try:
        yield
    except RlpruneError:
        raise
    except MALFORMED as reason:
        where = f"The run in {runs[0].path}" if len(runs) == 1 else f"A run among {', '.join(run.path for run in runs)}"
        raise RunError(f"{where} holds a result that {what_it_cannot} ({reason!r}). Train again.") from reason
