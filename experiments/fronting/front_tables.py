"""Fronts as tables: of plans, of hypervolumes, and as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlprune.budgets.limits import plain
from rlprune.experiments.fronting.evaluated_plans import EvaluatedPlan
from rlprune.experiments.fronting.front import Front
from rlprune.experiments.fronting.objectives import DIVERGENCE, OBJECTIVES, SCORE
from rlprune.experiments.runs.columns import score_text
from rlprune.experiments.runs.tables import csv_text

Table = tuple[list[str], list[list[str]], list[bool]]


def front_table(front: Front, metric: str, chosen: int | None, most: int, runs: bool = True) -> Table:
    """Heads, cells, and which lines stand out: the plans that no other one beats, least first loss first.

    Args:
        chosen: place of the chosen plan, which is always shown.
        most: lines at most; those that add most to the volume stay.
        runs: whether there is a column for them.
    """
    rows = front.best.tolist()
    shown = sorted(rows, key=lambda row: (row not in (chosen, front.knee.row), -front.contributions.get(row, 0.0)))
    kept = [row for row in rows if row in set(shown[:most])]
    if chosen is not None and chosen not in kept:
        kept.append(chosen)
    heads = ["plan", *(["run"] if runs else []), *(_head(name, metric) for name in front.objectives)]
    heads += ["volume alone", ""]
    cells = [_line(front, row, chosen, runs) for row in kept]
    if len(rows) > len(kept):
        cells.append([f"and {len(rows) - len(kept)} more", *[""] * (len(heads) - 1)])
    return heads, cells, [row == chosen for row in kept] + [False] * (len(cells) - len(kept))


def _head(name: str, metric: str) -> str:
    objective = OBJECTIVES[name]
    return ", ".join(filter(None, [objective.title(metric), objective.unit]))


def _line(front: Front, row: int, chosen: int | None, runs: bool) -> list[str]:
    plan = front.plans[row]
    marks = [word for word, place in (("knee", front.knee.row), ("chosen", chosen)) if place == row]
    alone = front.contributions.get(row)
    values = [_value(plan, name) for name in front.objectives]
    run = [plan.run.path] if runs else []
    return [plan.label, *run, *values, "-" if alone is None else f"{alone:.5f}", ", ".join(marks)]


def _value(plan: EvaluatedPlan, name: str) -> str:
    if name == SCORE:
        return score_text(plan.values[name])
    if name == DIVERGENCE:
        return f"{plan.values[name]:.4f}"
    return f"{plain(plan.values[name] / OBJECTIVES[name].scale, 3)} ({plan.loss(name):.0%})"


def common_objectives(fronts: Sequence[Front]) -> tuple[str, ...]:
    """Those of every front: volumes in different ones cannot stand side by side."""
    return tuple(name for name in fronts[0].objectives if all(name in front.objectives for front in fronts))


def volume_title(fronts: Sequence[Front], metric: str) -> str:
    """What the hypervolumes are in."""
    return f"Hypervolume of {', '.join(metric if name == SCORE else name for name in common_objectives(fronts))}"


def volume_table(fronts: Sequence[Front], runs: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Hypervolume in the common objectives of all plans, of each method's and of each run's; a column a front."""
    columns, shared = [], common_objectives(fronts)
    for front in (one if one.objectives == shared else Front(one.kind, shared, one.plans) for one in fronts):
        parts = {"all": front.volume, **front.volumes(lambda plan: plan.method)}
        columns.append(parts | (front.volumes(lambda plan: plan.run.path) if len(runs) > 1 else {}))
    names = list(dict.fromkeys(name for column in columns for name in column))
    volumes = [[column.get(name) for column in columns] for name in names]
    cells = [["-" if volume is None else f"{volume:.4f}" for volume in line] for line in volumes]
    return ["", *(front.kind for front in fronts)], [[name, *line] for name, line in zip(names, cells, strict=True)]


def as_csv(fronts: Sequence[Front], chosen: Sequence[int | None]) -> str:
    """A line a plan, beaten ones too: where it is from, values, losses, and whether it is on the front."""
    pairs = zip(fronts, chosen, strict=True)
    return csv_text([_record(front, row, place) for front, place in pairs for row in range(len(front.plans))])


def _record(front: Front, row: int, chosen: int | None) -> dict[str, Any]:
    plan = front.plans[row]
    return {
        "front": front.kind,
        "run": plan.run.path,
        "method": plan.method,
        "where": plan.where,
        "latency_measured": plan.timed,
        "best": row in front.best_rows,
        "knee": row == front.knee.row,
        "chosen": row == chosen,
        **{name: plan.values[name] for name in front.objectives},
        **{f"loss_{name}": plan.loss(name) for name in front.objectives},
        "hypervolume_alone": front.contributions.get(row, 0.0),
        "plan": " ".join(map(str, plan.choices)),
    }
