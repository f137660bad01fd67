"""What is told of fronts: on the terminal, as plain values, and in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlprune.errors import RunError
from rlprune.experiments.fronting.choosing import Chosen, shown_value
from rlprune.experiments.fronting.figures import draw_front, draw_objectives
from rlprune.experiments.fronting.front import Front, plan_dict
from rlprune.experiments.fronting.objectives import OBJECTIVES, REFERENCE, REFERENCE_NOTE, SCORE
from rlprune.experiments.fronting.plans import MEASURED, SEARCHED
from rlprune.experiments.fronting.tables import as_csv, front_table, volume_table, volume_title
from rlprune.experiments.presenting.styles import save_figure
from rlprune.experiments.runs.tables import markdown, print_table, wrapped
from rlprune.support.files import write_atomic, write_json

SCHEMA = "rlprune-front/1"
ON_TERMINAL, IN_MARKDOWN = 20, 100
KINDS = {
    MEASURED: "scored on all validation samples; latency as timed, where it was",
    SEARCHED: "every plan of the search, scored on its samples; costs as promised",
}


@dataclass(frozen=True, eq=False)
class Fronts:
    """The fronts of one or several runs.

    Attributes:
        network, metric: of the runs.
        runs: their folders.
        fronts: the measured one first, then the searched one, where there is one.
        chosen: the plan that was chosen, and the kind of the front that it is of.
        notes: what a reader must know.
        out: the folder that was written, if any.
    """

    network: str
    metric: str
    runs: list[str]
    fronts: list[Front]
    chosen: tuple[str, Chosen]
    notes: list[str]
    out: str | None = None

    @property
    def objectives(self) -> tuple[str, ...]:
        """Their names."""
        return self.fronts[0].objectives

    def all_notes(self) -> list[str]:
        """The notes of each front among them."""
        own = dict.fromkeys(note for front in self.fronts for note in front.notes())
        return [*self.notes, *own, REFERENCE_NOTE]

    def chosen_row(self, front: Front) -> int | None:
        """Place of the chosen plan in a front's plans."""
        kind, chosen = self.chosen
        return chosen.row if kind == front.kind else None

    def _front(self, kind: str) -> Front:
        return next(front for front in self.fronts if front.kind == kind)

    def chosen_words(self) -> str:
        """Which plan was chosen, and how."""
        kind, chosen = self.chosen
        values = ", ".join(shown_value(chosen.plan, name) for name in self._front(kind).objectives)
        words = f"Chosen ({chosen.how}) among {kind} plans: {chosen.plan.label} of {chosen.plan.source.path}: {values}."
        return words.replace(SCORE, self.metric)

    def as_dict(self) -> dict[str, object]:
        """Plain values: ``docs/fronts.md`` tells the names."""
        kind, chosen = self.chosen
        return {
            "schema": SCHEMA,
            "network": self.network,
            "metric": self.metric,
            "runs": self.runs,
            "objectives": [_objective_dict(name) for name in self.objectives],
            "fronts": {front.kind: front.as_dict() for front in self.fronts},
            "chosen": {"among": kind, "how": chosen.how, **plan_dict(chosen.plan)},
            "notes": self.all_notes(),
            "out": self.out,
        }

    def show(self) -> None:
        """Print tables, choice and notes."""
        for front in self.fronts:
            table = front_table(front, self.metric, self.chosen_row(front), ON_TERMINAL)
            print_table(self.title(front), *table[:2], bold=table[2], compact=True)
        print_table(volume_title(self.fronts, self.metric), *volume_table(self.fronts, self.runs), compact=True)
        print(wrapped(self.chosen_words()) + "\n")
        for note in self.all_notes():
            print(wrapped(f"- {note}"))
        if self.out is not None:
            print(f"\nWritten: {self.out} (plan.json is the chosen plan)")

    def title(self, front: Front) -> str:
        """Kind and size of a front."""
        return f"{front.kind}: {len(front.best)} of {len(front.plans)} plans, {KINDS[front.kind]}"

    def as_markdown(self) -> str:
        """Tables, pictures and notes."""
        parts = [f"# {self.network}: {', '.join(self.objectives)}", self.chosen_words(), "![The fronts](front.png)"]
        if self._has_lines:
            parts.append("![Every plan of the fronts, an axis for each objective](objectives.png)")
        for front in self.fronts:
            heads, cells, _ = front_table(front, self.metric, self.chosen_row(front), IN_MARKDOWN)
            parts += [f"## {self.title(front).capitalize()}", markdown(heads, cells)]
        parts += [f"## {volume_title(self.fronts, self.metric)}", markdown(*volume_table(self.fronts, self.runs))]
        parts += ["## Notes", "\n".join(f"- {note}" for note in self.all_notes())]
        return "\n\n".join(parts) + "\n"

    @property
    def _has_lines(self) -> bool:
        """Whether a line for each plan tells more than the first picture: of three objectives, and of several plans."""
        return len(self.objectives) > 2 and any(len(front.best) > 1 for front in self.fronts)

    def draw(self, folder: Path, front: str = "front") -> list[Path]:
        """Write the pictures; ``front`` is the name of the first."""
        rows = [self.chosen_row(one) for one in self.fronts]
        figures = {front: draw_front(self.fronts, self.metric, rows)}
        if self._has_lines:
            figures["objectives"] = draw_objectives(self.fronts, self.metric, rows)
        return [save_figure(figure, folder / f"{name}.png") for name, figure in figures.items()]

    def write(self, folder: Path) -> None:
        """Write tables, pictures and the chosen plan."""
        self.chosen[1].plan.load().save(folder / "plan.json")
        self.draw(folder)
        write_atomic(folder / "front.csv", as_csv(self.fronts, [self.chosen_row(one) for one in self.fronts]), RunError)
        write_atomic(folder / "front.md", self.as_markdown(), RunError)
        write_json(folder / "front.json", self.as_dict(), RunError)


def _objective_dict(name: str) -> dict[str, Any]:
    unit = {"latency": "ms", "latency_p99": "ms", "energy": "mJ", "size": "bytes"}.get(name)
    better = "more" if not OBJECTIVES[name].is_cost and name == SCORE else "less"
    return {"name": name, "unit": unit, "better": better, "reference_loss": REFERENCE}
