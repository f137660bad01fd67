"""What a comparison answers: on the terminal, as plain values, and in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from rlprune.errors import RunError
from rlprune.experiments.comparing.bootstrap import FEWEST
from rlprune.experiments.comparing.conditions import Conditions, shared, shown, telling
from rlprune.experiments.comparing.figures import draw_fronts, draw_learning_curves, styles_of_lines
from rlprune.experiments.comparing.front import common_fronts
from rlprune.experiments.comparing.sections import Line, Section, of_one_run
from rlprune.experiments.comparing.significance import MEASURES, Trial, method_note, trials_of
from rlprune.experiments.comparing.tables import BRIEF, FULL, as_csv, section_table, trial_table
from rlprune.experiments.presenting.styles import save_figure
from rlprune.experiments.runs.tables import markdown, markdown_mapping, print_table, wrapped
from rlprune.experiments.runs.verdict import listed, reason
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


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several runs side by side.

    Attributes:
        sections: what may be averaged and tried against each other.
        notes: what was left out, counted once, or not averaged, and why.
        out: the folder that was written, if any.
    """

    sections: list[Section]
    notes: list[str]
    out: str | None

    @property
    def common(self) -> Conditions:
        """What all runs have in common."""
        return shared([section.conditions for section in self.sections])

    def title(self, section: Section) -> str:
        """The section's name and what sets it apart."""
        common = self.common
        names = telling(name for name in section.conditions if name not in common)
        apart = [f"{name} {shown(section.conditions[name])}" for name in names]
        level = [] if section.level is None else [f"at {section.level}"]
        return f"{section.name}: {', '.join([*apart, *level, _counted(len(section.runs))])}"

    def headline(self) -> str:
        """What all runs share, in one line."""
        common = self.common
        names = ("network", "task", "budget", "device", "runtime", "energy source", "reward function", "episodes")
        batch = common.get("batch") or 1
        calls = [] if batch == 1 else [f"latency and energy of calls of {batch} samples"]
        return ", ".join([*(f"{name} {shown(common[name])}" for name in names if common.get(name) is not None), *calls])

    def all_notes(self) -> list[str]:
        """The notes, and how intervals and p values came about."""
        trials = sum(trial.tells for section in self.sections for trial in trials_of(section))
        return [*self.notes, SEEDLESS_NOTE, method_note(trials)]

    def as_dict(self) -> dict[str, object]:
        """Plain values."""
        return {
            "schema": SCHEMA,
            "common": self.common,
            "sections": [_section_dict(section) for section in self.sections],
            "fronts": [front.as_dict() for front in common_fronts(self.sections)],
            "notes": self.all_notes(),
            "out": self.out,
        }

    def show(self) -> None:
        """Print the tables and the notes."""
        print(wrapped(f"All runs: {self.headline()}") + "\n")
        for section in self.sections:
            self._show(section)
        for note in self.all_notes():
            print(wrapped(f"- {note}"))
        if self.out is not None:
            print("\nWritten: " + ", ".join(str(Path(self.out) / name) for name in FILES))

    def _show(self, section: Section) -> None:
        heads, cells = section_table(section, BRIEF)
        best = [line.label for line in section.best]
        print_table(self.title(section), heads, cells, bold=[line[0] in best for line in cells], compact=True)
        trials = trials_of(section)
        if any(trial.tells for trial in trials):
            table = trial_table(section, trials, ("score_test", "divergence"))
            print_table("Paired differences", *table, compact=True)
        print(wrapped(best_words(section, trials)) + "\n")

    def as_markdown(self) -> str:
        """The tables, pictures and notes."""
        parts = [f"# {self.headline()}"]
        for section in self.sections:
            parts += [f"## {self.title(section)}", markdown(*section_table(section, FULL))]
            trials = trials_of(section)
            parts.append(best_words(section, trials))
            if any(trial.tells for trial in trials):
                table = trial_table(section, trials, tuple(MEASURES))
                parts += ["### Paired differences", markdown(*table)]
        parts += [f"![{text}]({name}.png)\n\n*{text}*" for name, text in PICTURES.items()]
        parts += ["## Notes", "\n".join(f"- {note}" for note in self.all_notes())]
        parts += [
            "## In common",
            markdown_mapping(("", ""), {name: shown(value) for name, value in self.common.items()}),
        ]
        parts += ["## The runs", markdown(["run", "section"], _places(self.sections))]
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path) -> None:
        """Write tables and pictures."""
        styles = styles_of_lines([line for section in self.sections for line in section.lines])
        save_figure(draw_fronts(common_fronts(self.sections), styles), folder / "front.png")
        save_figure(draw_learning_curves(self.sections, styles), folder / "learning-curves.png")
        write_json(folder / "compare.json", self.as_dict(), RunError)
        write_atomic(folder / "compare.csv", as_csv(self.sections), RunError)
        write_atomic(folder / "compare.md", self.as_markdown(), RunError)


def best_words(section: Section, trials: Sequence[Trial]) -> str:
    """Who is best, by what, and whether that can be told from chance."""
    words = f"Best: {_best_and_why(section)}."
    if not trials or any(trial.tells for trial in trials):
        return words
    return f"{words} Too few common seeds to tell it from chance: {FEWEST} are needed."


def _best_and_why(section: Section) -> str:
    """Of a single run as its verdict says; the noise of means over runs is not known."""
    names, metric = listed([line.label for line in section.best]), section.conditions["metric"]
    if not of_one_run(section.lines):
        noise = "the noise of the samples is weighed in each run's own verdict alone"
        return f"{names} by mean validation {metric}, then divergence; {noise}"
    rows = [replace(line.entries[0].row, name=line.label) for line in section.searched]
    return f"{names}{reason(rows, metric)}"


def _counted(runs: int) -> str:
    return "1 run" if runs == 1 else f"{runs} runs"


def _places(sections: Sequence[Section]) -> list[list[str]]:
    return [[path, section.name] for section in sections for path in section.paths]


def _section_dict(section: Section) -> dict[str, Any]:
    return {
        "name": section.name,
        "conditions": section.conditions,
        "level": section.level,
        "runs": section.paths,
        "costs": {run.path: as_plain(run.result.cost) for run in section.runs},
        "rows": [_line_dict(line) for line in section.lines],
        "differences": [trial.as_dict() for trial in trials_of(section)],
    }


def _line_dict(line: Line) -> dict[str, Any]:
    spreads = {measure.name: line.spread(measure.name) for measure in FULL}
    return {
        "method": line.method,
        "label": line.label,
        "settings": line.settings,
        "seeds": [entry.seed for entry in line.entries],
        "runs": [entry.run for entry in line.entries],
        **{name: None if found is None else asdict(found) for name, found in spreads.items()},
    }
