"""The fronts of runs and the plan that is chosen: on the terminal, as plain values, and in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rlprune.errors import RunError
from rlprune.experiments.fronting.choosing import Chosen, shown_value
from rlprune.experiments.fronting.evaluated_plans import MEASURED, SEARCHED
from rlprune.experiments.fronting.front import Front
from rlprune.experiments.fronting.front_tables import as_csv, front_table, volume_table, volume_title
from rlprune.experiments.fronting.objectives import OBJECTIVES, REFERENCE_NOTE, SCORE
from rlprune.experiments.fronting.pictures import draw_front, draw_objectives
from rlprune.experiments.presenting.document import Bullets, Document, Picture, Section, Table, Words, to_markdown
from rlprune.experiments.presenting.styles import save_figure
from rlprune.experiments.runs.tables import print_table, wrapped
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
        chosen: the plan that was chosen.
        notes: what a reader must know.
        out: the folder that was written, if any.
    """

    network: str
    metric: str
    runs: list[str]
    fronts: list[Front]
    chosen: Chosen
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
        return self.chosen.row if self.chosen.kind == front.kind else None

    @property
    def chosen_rows(self) -> list[int | None]:
        """The same of every front."""
        return [self.chosen_row(front) for front in self.fronts]

    def chosen_words(self) -> str:
        """Which plan was chosen, and how."""
        plan, kind = self.chosen.plan, self.chosen.kind
        objectives = next(front.objectives for front in self.fronts if front.kind == kind)
        values = ", ".join(shown_value(plan, name) for name in objectives)
        words = f"Chosen ({self.chosen.how}) among {kind} plans: {plan.label} of {plan.run.path}: {values}."
        return words.replace(SCORE, self.metric)

    def as_dict(self) -> dict[str, object]:
        """Plain values, as ``front.json`` holds them."""
        return {
            "schema": SCHEMA,
            "network": self.network,
            "metric": self.metric,
            "runs": self.runs,
            "objectives": [OBJECTIVES[name].as_dict() for name in self.objectives],
            "fronts": {front.kind: front.as_dict() for front in self.fronts},
            "chosen": {"among": self.chosen.kind, "how": self.chosen.how, **self.chosen.plan.as_dict()},
            "notes": self.all_notes(),
            "out": self.out,
        }

    def show(self) -> None:
        """Print tables, choice and notes."""
        for front in self.fronts:
            heads, cells, bold = front_table(front, self.metric, self.chosen_row(front), ON_TERMINAL)
            print_table(self.title(front), heads, cells, bold=bold, compact=True)
        print_table(volume_title(self.fronts, self.metric), *volume_table(self.fronts, self.runs), compact=True)
        print(wrapped(self.chosen_words()) + "\n")
        for note in self.all_notes():
            print(wrapped(f"- {note}"))
        if self.out is not None:
            print(f"\nWritten: {self.out} (plan.json is the chosen plan)")

    def title(self, front: Front) -> str:
        """Kind and size of a front."""
        return f"{front.kind}: {len(front.best)} of {len(front.plans)} plans, {KINDS[front.kind]}"

    def document(self) -> Document:
        """Tables, pictures and notes."""
        pictures = [Picture(Path("front.png"), "The fronts")]
        if self._has_lines:
            pictures.append(Picture(Path("objectives.png"), "Every plan of the fronts, an axis for each objective"))
        volumes = Table(*volume_table(self.fronts, self.runs))
        return Document(
            f"{self.network}: {', '.join(self.objectives)}",
            [Words(self.chosen_words()), *pictures],
            [
                *(Section(self.title(front).capitalize(), [self._table(front)]) for front in self.fronts),
                Section(volume_title(self.fronts, self.metric), [volumes]),
                Section("Notes", [Bullets(self.all_notes())]),
            ],
        )

    def _table(self, front: Front) -> Table:
        heads, cells, bold = front_table(front, self.metric, self.chosen_row(front), IN_MARKDOWN)
        return Table(heads, cells, bold.index(True) if True in bold else None)

    @property
    def _has_lines(self) -> bool:
        """Whether a line for each plan tells more than the first picture: of three objectives, and of several plans."""
        return len(self.objectives) > 2 and any(len(front.best) > 1 for front in self.fronts)

    def draw(self, folder: Path, front: str = "front") -> list[Path]:
        """Write the pictures; ``front`` is the name of the first."""
        figures = {front: draw_front(self.fronts, self.metric, self.chosen_rows)}
        if self._has_lines:
            figures["objectives"] = draw_objectives(self.fronts, self.metric, self.chosen_rows)
        return [save_figure(figure, folder / f"{name}.png") for name, figure in figures.items()]

    def write(self, folder: Path) -> None:
        """Write tables, pictures and the chosen plan."""
        self.chosen.plan.load().save(folder / "plan.json")
        self.draw(folder)
        write_atomic(folder / "front.csv", as_csv(self.fronts, self.chosen_rows), RunError)
        write_atomic(folder / "front.md", to_markdown(self.document()), RunError)
        write_json(folder / "front.json", self.as_dict(), RunError)
