"""Pictures of several runs: the common front, and learning curves over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rlprune.experiments.comparing.front import CommonFront
from rlprune.experiments.comparing.reading import DENSE, UNIFORM
from rlprune.experiments.comparing.sections import Line, Section
from rlprune.experiments.pictures import DENSE as BLACK
from rlprune.experiments.pictures import LEARNED, LIMIT, OTHERS, new_figure
from rlprune.experiments.pictures import UNIFORM as GREY
from rlprune.network import FloatArray

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (LEARNED, *OTHERS[:4], LIMIT)
MARKERS = "osDv^Phd"
ACROSS = 2
"""Panels of learning curves side by side."""
Styles = Mapping[str, tuple[str, str]]


def styles_of(labels: Iterable[str]) -> Styles:
    """Label to colour and marker, the same in every picture; markers tell apart what shares a colour."""
    searched = [label for label in dict.fromkeys(labels) if label not in (DENSE, UNIFORM)]
    styles = {label: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, label in enumerate(searched)}
    return {DENSE: (BLACK, "*"), UNIFORM: (GREY, "X"), **styles}


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
    unit = 1e6 if cost == "macs" else 1.0
    best = front.best(cost)
    axes.step(
        [value / unit for value, _ in best],
        [point.score_validation for _, point in best],
        where="post",
        color="#9a9a9a",
        lw=1.2,
        zorder=1,
        label="no other plan is as good for less",
    )
    on_front = {point for _, point in best}
    for value, point in front.known(cost):
        colour, marker = styles.get(point.method, (LIMIT, "."))
        size, alpha = (110, 1.0) if point.method == DENSE else (46, 1.0) if point in on_front else (24, 0.45)
        axes.scatter(
            value / unit,
            point.score_validation,
            s=size,
            c=colour,
            marker=marker,
            alpha=alpha,
            linewidths=0,
            zorder=3 if point in on_front else 2,
            label=point.method,
        )
    axes.set_xlabel(_cost_label(front, cost))


def _cost_label(front: CommonFront, cost: str) -> str:
    if cost == "energy_mj":
        return f"energy of one inference in mJ\n({front.energy_source})"
    return {
        "latency_ms": "latency in ms, measured\n(promised where it was not)",
        "macs": "MACs of one sample, millions",
    }[cost]


def draw_learning_curves(sections: Sequence[Section], styles: Styles) -> Figure:
    """Best reward against evaluations, a panel for each section: mean and range over seeds; uniform is a line."""
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
    for line in section.searched:
        colour, marker = styles[line.label]
        table = curves(line)
        if table is not None:
            steps = np.arange(1, table.shape[1] + 1)
            axes.plot(
                steps, table.mean(axis=0), color=colour, marker=marker, ms=4, markevery=0.12, lw=1.6, label=line.label
            )
            axes.fill_between(steps, table.min(axis=0), table.max(axis=0), color=colour, alpha=0.13, lw=0)
        elif (level := line.mean("reward")) is not None:
            axes.axhline(level, color=colour, ls="--", lw=1.2, label=line.label)
    seeds = max(len(line.entries) for line in section.lines)
    axes.set_xlabel("evaluations")
    axes.set_ylabel(f"best reward so far ({section.conditions['reward']})")
    axes.set_title(f"{section.name}: {section.conditions['budget']}, seeds: {seeds}", fontsize=10, loc="left")


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
