"""Pictures of several runs: the common front, and learning curves over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rlprune.agents import AGENTS
from rlprune.arrays import FloatArray
from rlprune.envs.plan_figure import new_figure
from rlprune.experiments.comparing.common_front import CommonFront, PricedPlan
from rlprune.experiments.comparing.comparable import ComparableRuns, Line
from rlprune.experiments.presenting.styles import FIXED, Style, cost_axis, in_percent, legend_below, styles_of
from rlprune.experiments.runs.row import DENSE, POLICY_ALONE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL, LARGE, STAR = 24, 60, 130
"""Areas of markers, in points squared."""
ACROSS = 2
"""Panels of learning curves side by side."""
COLUMNS = 5
"""Of legends."""
Styles = Mapping[str, Style]


def styles_of_lines(lines: Iterable[Line]) -> Styles:
    """Label to look, the same in every picture; agents first."""
    return styles_of(line.label for line in sorted(lines, key=lambda line: line.method not in AGENTS))


def draw_fronts(fronts: Sequence[CommonFront], styles: Styles) -> Figure:
    """A line of panels for each front, a panel for each cost."""
    across = max(len(front.costs()) for front in fronts)
    figure, panels = new_figure(across, 1.5 + 4.4 * across, 0.8 + 4.2 * len(fronts), rows=len(fronts))
    for place, front in enumerate(fronts):
        line = panels[place * across : (place + 1) * across]
        for axes in line[len(front.costs()) :]:
            axes.set_visible(False)
        for axes, cost in zip(line, front.costs(), strict=False):
            _draw_front(axes, front, cost, styles)
        line[0].set_ylabel(f"{front.metric}, all validation samples")
        line[0].set_title(front.title, loc="left", fontsize=10)
    legend_below(figure, panels, COLUMNS)
    return figure


def _draw_front(axes: Axes, front: CommonFront, cost: str, styles: Styles) -> None:
    (label, unit), known, best = cost_axis(cost), front.known(cost), front.best(cost)
    ends = [*best, (max(value for value, _ in known), best[-1][1])]
    steps = [value / unit for value, _ in ends], [plan.score_validation for _, plan in ends]
    axes.step(*steps, where="post", color="#9a9a9a", lw=1.2, zorder=1, label="best for that cost or less")
    for value, plan in known:
        _draw_plan(axes, value / unit, plan, styles.get(plan.method, FIXED[POLICY_ALONE]), (value, plan) in best)
    if all(0 <= plan.score_validation <= 1 for _, plan in known):
        in_percent(axes)
    more = {
        "latency_ms": ", measured\n(promised where it was not)",
        "energy_mj": f", of one inference\n({front.energy_source})",
    }
    axes.set_xlabel(label + more.get(cost, ""))


def _draw_plan(axes: Axes, cost: float, plan: PricedPlan, style: Style, on_front: bool) -> None:
    size = STAR if plan.method == DENSE else LARGE if on_front else SMALL
    axes.scatter(
        cost,
        plan.score_validation,
        s=size,
        color=style.colour,
        marker=style.marker,
        alpha=1.0 if size > SMALL else 0.5,
        zorder=2 + on_front,
        label="policy alone, no search" if plan.method == POLICY_ALONE else plan.method,
    )


def draw_learning_curves(sections: Sequence[ComparableRuns], styles: Styles) -> Figure:
    """Best reward against evaluations, a panel for each section: mean and range over seeds; uniform plans are lines."""
    across = min(ACROSS, len(sections))
    down = math.ceil(len(sections) / across)
    figure, panels = new_figure(across, 2.0 + 5.2 * across, 0.8 + 3.9 * down, rows=down)
    for axes, runs in zip(panels, sections, strict=False):
        _draw_curves(axes, runs, styles)
    for axes in panels[len(sections) :]:
        axes.set_visible(False)
    legend_below(figure, panels, COLUMNS)
    return figure


def _draw_curves(axes: Axes, runs: ComparableRuns, styles: Styles) -> None:
    means = []
    for line in runs.searched:
        style = styles[line.label]
        table = curves(line)
        if table is not None:
            steps, mean = np.arange(1, table.shape[1] + 1), table.mean(axis=0)
            axes.plot(
                steps, mean, color=style.colour, marker=style.marker, ms=4, markevery=0.12, lw=1.6, label=line.label
            )
            axes.fill_between(steps, table.min(axis=0), table.max(axis=0), color=style.colour, alpha=0.13, lw=0)
            means.append(mean)
        elif (level := line.mean("reward")) is not None:
            axes.axhline(level, color=style.colour, ls=style.line, lw=1.2, label=line.label)
    _limit(axes, means)
    axes.set_xlabel("evaluations")
    axes.set_ylabel(f"best reward so far ({runs.conditions['reward function']})")
    axes.set_title(_title(runs), fontsize=10, loc="left")


def _limit(axes: Axes, means: Sequence[FloatArray]) -> None:
    """Means fill the panel; the range of a bad start may leave it."""
    known = np.concatenate([*means, [np.nan]])
    if np.isfinite(known).any():
        bottom, top = axes.get_ylim()
        low = float(np.nanmin(known))
        axes.set_ylim(max(bottom, low - 0.15 * (top - low)), top)


def _title(runs: ComparableRuns) -> str:
    seeds = max(len(line.results) for line in runs.lines)
    anywhere = "" if runs.level is None else ", at any budget of it"
    return f"{runs.name}: {runs.conditions['budget']}{anywhere} ({seeds} seed{'s' if seeds > 1 else ''})"


def curves(line: Line) -> FloatArray | None:
    """Best reward after each evaluation, ``[seeds, last]``; NaN before a first plan, the last value after the end."""
    found = [one.curve for one in line.results if one.curve is not None]
    if not found:
        return None
    last = max(map(len, found))
    table = np.array([np.concatenate([curve, np.full(last - len(curve), curve[-1])]) for curve in found])
    table[np.isneginf(table)] = np.nan
    return table
