"""Finished runs side by side: means over seeds, paired differences, and the fronts that runs share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from rlprune.errors import RunError
from rlprune.experiments.comparing.bootstrap import FEWEST
from rlprune.experiments.comparing.common_front import common_fronts
from rlprune.experiments.comparing.comparable import ComparableRuns, Line, comparable_runs, of_one_run
from rlprune.experiments.comparing.measures import MEASURES, as_csv, measure_table
from rlprune.experiments.comparing.pictures import draw_fronts, draw_learning_curves, styles_of_lines
from rlprune.experiments.comparing.significance import Trial, method_note, trial_table, trials_of
from rlprune.experiments.presenting.document import (
    Block,
    Bullets,
    Document,
    Folded,
    Picture,
    Section,
    Table,
    Words,
    to_markdown,
)
from rlprune.experiments.presenting.styles import save_figure
from rlprune.experiments.runs.conditions import Conditions, shared, shown, telling
from rlprune.experiments.runs.finished import read_runs, told_as_malformed
from rlprune.experiments.runs.tables import print_table, wrapped
from rlprune.experiments.runs.verdict import listed, reason
from rlprune.experiments.settings.result_configs import CompareConfig
from rlprune.support.files import write_atomic, write_json
from rlprune.support.records import as_plain

SCHEMA = "rlprune-comparison/2"
PICTURES = {
    "front": "Plans of all methods and budgets; those that no other one beats are large and joined. The star is dense.",
    "learning-curves": "Best reward so far against plans evaluated: mean and range over seeds.",
}
FILES = ("compare.md", "compare.json", "compare.csv", *(f"{name}.png" for name in PICTURES))
SEEDLESS_NOTE = (
    "The dense network and the uniform plans do not depend on the seed; the samples on which they are repaired "
    "may. Where nothing of a line was drawn, it has no number of seeds and no interval."
)


def compare_runs(config: CompareConfig) -> Comparison:
    """Read finished runs and put them beside each other; what is not comparable stands apart.

    Raises:
        ConfigError: no run was given.
        RunError: a folder that was named is no finished run, a result is malformed, or ``out`` cannot be written.
    """
    runs, left_out = read_runs(config.runs, config.out)
    with told_as_malformed(runs, "cannot be compared"):
        sections, notes = comparable_runs(runs)
        found = Comparison(sections, [*left_out, *notes], config.out)
        # What cannot be written is refused before any file is.
        to_markdown(found.document())
        json.dumps(found.as_dict(), allow_nan=False)
    if config.out is not None:
        found.write(Path(config.out))
    return found


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several runs side by side.

    Attributes:
        sections: what may be averaged and tried against each other.
        notes: what was left out, counted once, or not averaged, and why.
        out: the folder that was written, if any.
    """

    sections: list[ComparableRuns]
    notes: list[str]
    out: str | None

    @property
    def common(self) -> Conditions:
        """What all runs have in common."""
        return shared([runs.conditions for runs in self.sections])

    def title(self, runs: ComparableRuns) -> str:
        """The section's name and what sets it apart."""
        common = self.common
        names = telling(name for name in runs.conditions if name not in common)
        apart = [f"{name} {shown(runs.conditions[name])}" for name in names]
        level = [] if runs.level is None else [f"at {runs.level}"]
        count = "1 run" if len(runs.runs) == 1 else f"{len(runs.runs)} runs"
        return f"{runs.name}: {', '.join([*apart, *level, count])}"

    def headline(self) -> str:
        """What all runs share, in one line."""
        common = self.common
        names = ("network", "task", "budget", "device", "runtime", "energy source", "reward function", "episodes")
        batch = common.get("batch") or 1
        calls = [] if batch == 1 else [f"latency and energy of calls of {batch} samples"]
        return ", ".join([*(f"{name} {shown(common[name])}" for name in names if common.get(name) is not None), *calls])

    def all_notes(self) -> list[str]:
        """The notes, and how intervals and p values came about."""
        trials = sum(trial.tells for runs in self.sections for trial in trials_of(runs))
        return [*self.notes, SEEDLESS_NOTE, method_note(trials)]

    def as_dict(self) -> dict[str, object]:
        """Plain values."""
        return {
            "schema": SCHEMA,
            "common": self.common,
            "sections": [_section_dict(runs) for runs in self.sections],
            "fronts": [front.as_dict() for front in common_fronts(self.sections)],
            "notes": self.all_notes(),
            "out": self.out,
        }

    def show(self) -> None:
        """Print the tables and the notes."""
        print(wrapped(f"All runs: {self.headline()}") + "\n")
        for runs in self.sections:
            self._show(runs)
        for note in self.all_notes():
            print(wrapped(f"- {note}"))
        if self.out is not None:
            print("\nWritten: " + ", ".join(str(Path(self.out) / name) for name in FILES))

    def _show(self, runs: ComparableRuns) -> None:
        heads, cells = measure_table(runs, brief=True)
        best = [line.label for line in runs.best]
        print_table(self.title(runs), heads, cells, bold=[line[0] in best for line in cells], compact=True)
        trials = trials_of(runs)
        if any(trial.tells for trial in trials):
            table = trial_table(runs, trials, ("score_test", "divergence"))
            print_table("Paired differences", *table, compact=True)
        print(wrapped(best_words(runs, trials)) + "\n")

    def document(self) -> Document:
        """The tables, pictures and notes."""
        places = [[path, runs.name] for runs in self.sections for path in runs.paths]
        common = [[name, shown(value)] for name, value in self.common.items()]
        return Document(
            self.headline(),
            [],
            [
                *(Section(self.title(runs), self._blocks(runs)) for runs in self.sections),
                Section("Pictures", [Picture(Path(f"{name}.png"), text) for name, text in PICTURES.items()]),
                Section("Notes", [Bullets(self.all_notes())]),
                Section("In common", [Table(["", ""], common, numbers=False)]),
                Section("The runs", [Table(["run", "section"], places, numbers=False)]),
            ],
        )

    def _blocks(self, runs: ComparableRuns) -> list[Block]:
        trials = trials_of(runs)
        blocks: list[Block] = [Table(*measure_table(runs)), Words(best_words(runs, trials))]
        if any(trial.tells for trial in trials):
            blocks.append(Folded("Paired differences", [Table(*trial_table(runs, trials))]))
        return blocks

    def write(self, folder: Path) -> None:
        """Write tables and pictures."""
        styles = styles_of_lines([line for runs in self.sections for line in runs.lines])
        save_figure(draw_fronts(common_fronts(self.sections), styles), folder / "front.png")
        save_figure(draw_learning_curves(self.sections, styles), folder / "learning-curves.png")
        write_json(folder / "compare.json", self.as_dict(), RunError)
        write_atomic(folder / "compare.csv", as_csv(self.sections), RunError)
        write_atomic(folder / "compare.md", to_markdown(self.document()), RunError)


def best_words(runs: ComparableRuns, trials: Sequence[Trial]) -> str:
    """Who is best, by what, and whether that can be told from chance."""
    words = f"Best: {_best_and_why(runs)}."
    if not trials or any(trial.tells for trial in trials):
        return words
    return f"{words} Too few common seeds to tell it from chance: {FEWEST} are needed."


def _best_and_why(runs: ComparableRuns) -> str:
    """Of a single run as its verdict says; the noise of means over runs is not known."""
    names, metric = listed([line.label for line in runs.best]), runs.conditions["metric"]
    if not of_one_run(runs.lines):
        noise = "the noise of the samples is weighed in each run's own verdict alone"
        return f"{names} by mean validation {metric}, then divergence; {noise}"
    rows = [replace(line.results[0].row, name=line.label) for line in runs.searched]
    return f"{names}{reason(rows, metric)}"


def _section_dict(runs: ComparableRuns) -> dict[str, Any]:
    return {
        "name": runs.name,
        "conditions": runs.conditions,
        "level": runs.level,
        "runs": runs.paths,
        "costs": {run.path: as_plain(run.result.cost) for run in runs.runs},
        "rows": [_line_dict(line) for line in runs.lines],
        "differences": [trial.as_dict() for trial in trials_of(runs)],
    }


def _line_dict(line: Line) -> dict[str, Any]:
    spreads = {measure.name: line.spread(measure.name) for measure in MEASURES}
    return {
        "method": line.method,
        "label": line.label,
        "settings": line.settings,
        "seeds": [one.seed for one in line.results],
        "runs": [one.run for one in line.results],
        **{name: None if found is None else asdict(found) for name, found in spreads.items()},
    }
