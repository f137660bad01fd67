"""Pictures of several runs: the common front, and learning curves over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rlprune.agents import AGENTS
from rlprune.arrays import FloatArray
from rlprune.experiments.comparing.front import CommonFront, Point
from rlprune.experiments.comparing.reading import SEEDLESS
from rlprune.experiments.comparing.sections import Line, Section
from rlprune.experiments.reports.pictures import DENSE as BLACK
from rlprune.experiments.reports.pictures import LEARNED, LIMIT, OTHERS, new_figure
from rlprune.experiments.reports.pictures import UNIFORM as GREY
from rlprune.experiments.runs.rows import DENSE, FILLED, POLICY_ALONE, UNIFORM

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (LEARNED, *OTHERS[:4], LIMIT)
MARKERS = "osDv^Phd"
SMALL, LARGE, STAR = 24, 60, 130
"""Areas of markers, in points squared."""
ACROSS = 2
"""Panels of learning curves side by side."""
OTHER = (LIMIT, ".")
Styles = Mapping[str, tuple[str, str]]


def styles_of(lines: Sequence[Line]) -> Styles:
    """Label to colour and marker, the same in every picture, agents first; markers tell apart what shares a colour."""
    searched = sorted(
        (line for line in lines if line.method not in SEEDLESS), key=lambda line: line.method not in AGENTS
    )
    labels = enumerate(dict.fromkeys(line.label for line in searched))
    styles = {label: (COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]) for place, label in labels}
    return {DENSE: (BLACK, "*"), UNIFORM: (GREY, "X"), FILLED: (GREY, "P"), POLICY_ALONE: (LIMIT, "x"), **styles}


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
    _legend_below(figure, panels)
    return figure


def _draw_front(axes: Axes, front: CommonFront, cost: str, styles: Styles) -> None:
    unit, known, best = 1e6 if cost == "macs" else 1.0, front.known(cost), front.best(cost)
    ends = [*best, (max(value for value, _ in known), best[-1][1])]
    steps = [value / unit for value, _ in ends], [point.score_validation for _, point in ends]
    axes.step(*steps, where="post", color="#9a9a9a", lw=1.2, zorder=1, label="best for that cost or less")
    for value, point in known:
        _draw_point(axes, value / unit, point, styles.get(point.method, OTHER), (value, point) in best)
    _in_percent(axes, known)
    axes.set_xlabel(_cost_label(front, cost))


def _draw_point(axes: Axes, cost: float, point: Point, style: tuple[str, str], on_front: bool) -> None:
    colour, marker = style
    size = STAR if point.method == DENSE else LARGE if on_front else SMALL
    axes.scatter(
        cost,
        point.score_validation,
        s=size,
        color=colour,
        marker=marker,
        alpha=1.0 if size > SMALL else 0.5,
        zorder=2 + on_front,
        label="policy alone, no search" if point.method == POLICY_ALONE else point.method,
    )


def _in_percent(axes: Axes, known: Sequence[tuple[float, Point]]) -> None:
    from matplotlib.ticker import PercentFormatter

    if all(0 <= point.score_validation <= 1 for _, point in known):
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _cost_label(front: CommonFront, cost: str) -> str:
    if cost == "energy_mj":
        return f"energy of one inference in mJ\n({front.energy_source})"
    return {
        "latency_ms": "latency in ms, measured\n(promised where it was not)",
        "macs": "MACs of one sample, millions",
    }[cost]


def draw_learning_curves(sections: Sequence[Section], styles: Styles) -> Figure:
    """Best reward against evaluations, a panel for each section: mean and range over seeds; uniform plans are lines."""
    across = min(ACROSS, len(sections))
    down = math.ceil(len(sections) / across)
    figure, panels = new_figure(across, 2.0 + 5.2 * across, 0.8 + 3.9 * down, rows=down)
    for axes, section in zip(panels, sections, strict=False):
        _draw_curves(axes, section, styles)
    for axes in panels[len(sections) :]:
        axes.set_visible(False)
    _legend_below(figure, panels)
    return figure


def _draw_curves(axes: Axes, section: Section, styles: Styles) -> None:
    means = []
    for line in section.searched:
        colour, marker = styles[line.label]
        table = curves(line)
        if table is not None:
            steps, mean = np.arange(1, table.shape[1] + 1), table.mean(axis=0)
            axes.plot(steps, mean, color=colour, marker=marker, ms=4, markevery=0.12, lw=1.6, label=line.label)
            axes.fill_between(steps, table.min(axis=0), table.max(axis=0), color=colour, alpha=0.13, lw=0)
            means.append(mean)
        elif (level := line.mean("reward")) is not None:
            axes.axhline(level, color=colour, ls="--", lw=1.2, label=line.label)
    _limit(axes, means)
    axes.set_xlabel("evaluations")
    axes.set_ylabel(f"best reward so far ({section.conditions['reward function']})")
    axes.set_title(_title(section), fontsize=10, loc="left")


def _limit(axes: Axes, means: Sequence[FloatArray]) -> None:
    """Means fill the panel; the range of a bad start may leave it."""
    known = np.concatenate([*means, [np.nan]])
    if np.isfinite(known).any():
        bottom, top = axes.get_ylim()
        low = float(np.nanmin(known))
        axes.set_ylim(max(bottom, low - 0.15 * (top - low)), top)


def _title(section: Section) -> str:
    seeds = max(len(line.entries) for line in section.lines)
    anywhere = "" if section.level is None else ", at any budget of it"
    return f"{section.name}: {section.conditions['budget']}{anywhere} ({seeds} seed{'s' if seeds > 1 else ''})"


def curves(line: Line) -> FloatArray | None:
    """Best reward after each evaluation, ``[seeds, last]``; NaN before a first plan, the last value after the end."""
    found = [entry.curve for entry in line.entries if entry.curve is not None]
    if not found:
        return None
    last = max(map(len, found))
    table = np.array([np.concatenate([curve, np.full(last - len(curve), curve[-1])]) for curve in found])
    table[np.isneginf(table)] = np.nan
    return table


def _legend_below(figure: Figure, panels: Sequence[Axes]) -> None:
    """Every label of all panels once."""
    found: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    columns = min(len(found), 5)
    handles, labels = list(found.values()), list(found)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)
