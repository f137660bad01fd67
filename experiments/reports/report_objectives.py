"""The part of a report on objectives that are weighed against each other: the run's own front."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rlprune.experiments.fronting.front_tables import front_table, volume_table, volume_title
from rlprune.experiments.fronting.fronts import Fronts
from rlprune.experiments.fronting.objectives import OBJECTIVES
from rlprune.experiments.presenting.document import Block, Bullets, Folded, Picture, Section, Table, Words
from rlprune.experiments.runs.verdict import equals_of_best, ranked, reason

PICTURE = "front-of-objectives"
CAPTIONS = {
    PICTURE: "Every plan of the run; those that no other one beats in any objective are large, their colour tells "
    "something further.",
    "objectives": "The plans of the front, a line each: what they have of every objective.",
}
MOST = 12


def section(fronts: Fronts, pictures: Mapping[str, Path]) -> Section:
    """What the run found between its objectives."""
    names = [OBJECTIVES[name].title(fronts.metric) for name in fronts.objectives]
    blocks: list[Block] = [Picture(pictures[stem], text) for stem, text in CAPTIONS.items() if stem in pictures]
    for front in fronts.fronts:
        heads, cells, bold = front_table(front, fronts.metric, fronts.chosen_row(front), MOST, runs=False)
        blocks += [Words(f"{fronts.title(front)}:"), Table(heads, cells, bold.index(True) if True in bold else None)]
    blocks += [
        Words(f"{volume_title(fronts.fronts, fronts.metric)}:"),
        Table(*volume_table(fronts.fronts, fronts.runs)),
        Words(_more(fronts)),
    ]
    return Section(f"Between {', '.join(names[:-1])} and {names[-1]}", [*blocks, Folded("Notes", [_notes(fronts)])])


def _more(fronts: Fronts) -> str:
    front, chosen = fronts.fronts[0], fronts.chosen
    knee = f"The knee of the measured front: {front.plans[front.knee.row].label}"
    kept = f"`plan.json`, called chosen here, is of {chosen.plan.method}{_reason(fronts)}"
    return (
        f"{f'{knee}, which is `plan.json`' if front.knee.row == chosen.row else f'{knee}. {kept}'}. `rlprune front` "
        "chooses another: within limits, by preferences, or among several runs. All figures: `front.json`."
    )


def _reason(fronts: Fronts) -> str:
    """Why the kept plan is not the knee, where it is for the divergence, which is no objective here."""
    plan = fronts.chosen.plan
    rows = plan.run.result.rows
    of_range = plan.run.result.front is not None  # preferences chose its budget
    by_divergence = ranked(rows)[0].widths == plan.choices and equals_of_best(rows)
    return reason(rows, fronts.metric) if by_divergence and not of_range else ""


def _notes(fronts: Fronts) -> Bullets:
    return Bullets(fronts.all_notes())
