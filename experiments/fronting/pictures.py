"""Pictures of fronts: score against cost, and an axis for each objective."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rlprune.arrays import FloatArray
from rlprune.budgets.limits import plain as digits
from rlprune.costs.registry import COUNTED
from rlprune.envs.plan_figure import new_figure, plain
from rlprune.evaluation.pareto import scaled
from rlprune.experiments.fronting.evaluated_plans import SEARCHED, EvaluatedPlan
from rlprune.experiments.fronting.front import Front
from rlprune.experiments.fronting.objectives import OBJECTIVES, SCORE
from rlprune.experiments.presenting.styles import BLACK, BLUE, ORANGE, VERMILION, in_percent, legend_below
from rlprune.experiments.runs.columns import is_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAINT = "#b8b8b8"
TITLES = {"measured": "scored at the end, latency as timed", SEARCHED: "all of the search, costs as promised"}


def draw_front(fronts: Sequence[Front], metric: str, chosen: Sequence[int | None]) -> Figure:
    """A panel a front: its first two objectives, a third one as colour; beaten plans are faint."""
    figure, panels = new_figure(len(fronts), 0.8 + 4.6 * len(fronts), 4.9)
    for axes, front, row in zip(panels, fronts, chosen, strict=True):
        _draw_panel(figure, axes, front, metric, row)
    legend_below(figure, panels, 5 if len(panels) > 1 else 3)
    return figure


def _draw_panel(figure: Figure, axes: Axes, front: Front, metric: str, chosen: int | None) -> None:
    across, up, shade = _places(front)
    points = np.array([[_shown(plan, across), _shown(plan, up)] for plan in front.plans])
    axes.scatter(
        points[:, 0], points[:, 1], s=12, color=FAINT, alpha=0.6, lw=0, label="beaten by another plan", zorder=1
    )
    best = points[front.best]
    if shade is None:
        axes.scatter(best[:, 0], best[:, 1], s=48, color=BLUE, zorder=3, label="beaten by none")
    else:
        shades = [_shown(front.plans[row], shade) for row in front.best.tolist()]
        look = {"s": 48, "cmap": "viridis", "edgecolors": "black", "linewidths": 0.4, "zorder": 3}
        drawn = axes.scatter(best[:, 0], best[:, 1], c=shades, label="beaten by none", **look)  # type: ignore[arg-type]
        figure.colorbar(drawn, ax=axes, label=_axis_label(front, shade, metric))
    _ring(axes, points[front.knee.row], ORANGE, "D", "knee")
    if chosen is not None:
        _ring(axes, points[chosen], VERMILION, "o", "chosen")
    _label(axes, front, (across, up), metric, chosen)


def _ring(axes: Axes, point: FloatArray, colour: str, marker: str, label: str) -> None:
    size = 190 if marker == "D" else 330
    look = {"facecolors": "none", "edgecolors": colour, "lw": 2, "zorder": 4}
    axes.scatter(point[0], point[1], s=size, marker=marker, label=label, **look)  # type: ignore[arg-type]


def _label(axes: Axes, front: Front, names: tuple[str, str], metric: str, chosen: int | None) -> None:
    across, up = names
    axes.set_xlabel(_axis_label(front, across, metric))
    axes.set_ylabel(_axis_label(front, up, metric))
    axes.set_title(f"{front.kind}: {TITLES[front.kind]}", fontsize=10, loc="left")
    if up == SCORE:
        dense = front.plans[0].dense[SCORE]
        axes.axhline(dense, color=BLACK, ls=":", lw=1.2, label="dense")
        _focus(axes, front, dense, chosen)
        if is_share(dense, metric):
            in_percent(axes)


def _focus(axes: Axes, front: Front, dense: float, chosen: int | None) -> None:
    """Beaten plans that are much worse than the whole front may leave the panel, but the chosen one."""
    rows = [*front.best.tolist(), *([] if chosen is None else [chosen])]
    scores = [front.plans[row].values[SCORE] for row in rows] + [dense]
    margin = 0.1 * ((max(scores) - min(scores)) or 0.01)
    axes.set_ylim(min(scores) - margin, max(scores) + margin)


def _places(front: Front) -> tuple[str, str, str | None]:
    """What stands across, upwards, and as colour: something that tells more than the first two, if there is any."""
    names = front.objectives
    up = SCORE if SCORE in names else names[0]
    across, *others = [name for name in names if name != up]
    repeated = {later for later, _ in front.repeated}
    more = [name for name in others if name not in repeated]
    extra = [name for name in COUNTED if name not in names and all(plan.knows(name) for plan in front.plans)]
    return across, up, next(iter([*more, *extra]), None)


def _shown(plan: EvaluatedPlan, name: str) -> float:
    """The score and the divergence as they are, costs in percent of the dense network's."""
    return 100 * plan.loss(name) if OBJECTIVES[name].is_cost else plan.values[name]


def _axis_label(front: Front, name: str, metric: str) -> str:
    objective = OBJECTIVES[name]
    if not objective.is_cost:
        return plain(objective.title(metric))
    dense = float(np.mean([plan.dense[name] for plan in front.plans])) / objective.scale
    return f"{objective.label}, % of the dense network's ({digits(dense, 3)} {objective.unit})"


def draw_objectives(fronts: Sequence[Front], metric: str, chosen: Sequence[int | None]) -> Figure:
    """Parallel coordinates: a line a plan of the front, an axis an objective, better is higher."""
    figure, panels = new_figure(len(fronts), 0.8 + 4.6 * len(fronts), 4.6)
    for axes, front, row in zip(panels, fronts, chosen, strict=True):
        _draw_lines(axes, front, metric, row)
    return figure


def _draw_lines(axes: Axes, front: Front, metric: str, chosen: int | None) -> None:
    rows = front.best.tolist()
    if chosen is not None and chosen not in front.best_rows:
        rows.append(chosen)
    heights: FloatArray = 1 - scaled(front.losses[rows])
    for row, line in zip(rows, heights, strict=True):
        colour, width, order = _line_style(row, front.knee.row, chosen)
        axes.plot(line, color=colour, lw=width, alpha=1.0 if order > 1 else 0.45, zorder=order)
    names = front.objectives
    axes.set_xticks(range(len(names)), [_short_label(name, metric) for name in names])
    axes.set_xlim(-0.3, len(names) - 0.7)
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_title(f"{front.kind}: better is higher; orange: knee, red: chosen", fontsize=10, loc="left")
    for place, name in enumerate(names):
        _scale(axes, place, [front.plans[row] for row in rows], name)


def _line_style(row: int, knee: int, chosen: int | None) -> tuple[str, float, int]:
    if row == chosen:
        return VERMILION, 2.6, 4
    return (ORANGE, 2.6, 3) if row == knee else (BLUE, 1.2, 1)


def _short_label(name: str, metric: str) -> str:
    objective = OBJECTIVES[name]
    return plain(f"{objective.title(metric)}\n{objective.unit}".strip())


def _scale(axes: Axes, place: int, plans: Sequence[EvaluatedPlan], name: str) -> None:
    """An axis with the best value at its top and the worst at its foot."""
    axes.axvline(place, color=BLACK, lw=0.8, zorder=0)
    ordered = sorted(plans, key=lambda plan: plan.loss(name))
    for plan, height in ((ordered[0], 1.0), (ordered[-1], 0.0)):
        value = plan.values[name] / OBJECTIVES[name].scale
        share = name == SCORE and is_share(value, plan.run.result.metric)
        text = f"{100 * value:.1f}%" if share else digits(value, 3)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        at = (0, 8 if height else -14)
        axes.annotate(text, (place, height), at, textcoords="offset points", ha="center", fontsize=8, bbox=box)
