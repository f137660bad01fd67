"""Pictures of a run, of its result and its tables of episodes alone: for its report, and small ones for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rlprune.budgets.limits import cost_name
from rlprune.choices.choice import Choice
from rlprune.costs.registry import COUNTED, metric_of
from rlprune.envs.plan_figure import ShownPlan, new_figure, plain, plan_figure, plan_lines
from rlprune.experiments.presenting.styles import (
    BLUE,
    BUDGET,
    GREY,
    ORANGE,
    SKY,
    THUMBNAIL_WIDTH,
    WIDTH,
    Style,
    cost_axis,
    in_percent,
    legend_below,
    styles_of,
    thumbnail_fonts,
)
from rlprune.experiments.reports.class_details import CONFUSION, confusions
from rlprune.experiments.reports.outcome import short
from rlprune.experiments.runs.columns import is_share
from rlprune.experiments.runs.episodes import EpisodeTable
from rlprune.experiments.runs.result import Result
from rlprune.experiments.runs.row import AGENT, UNSEARCHED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from rlprune.arrays import FloatArray, IntArray

LEARNING_CURVE, PLAN, TRIED, COSTS = "learning-curve", "keep-ratios", "tried-plans", "accuracy-against-cost"
PROMISES, FRONT = "promised-and-measured", "front"
CAPTIONS = {
    LEARNING_CURVE: "The best reward so far against plans evaluated; dots are single plans, the level lines plans that "
    "need no search.",
    PLAN: "What each layer, or group of layers, keeps; the numbers at the bars are channels, percent or bits.",
    TRIED: "What every plan that was tried keeps of each group, in the order of the search.",
    COSTS: "Every plan that was evaluated in the search; the dashed vertical line is the budget.",
    PROMISES: "What the profile promised for each network, and what was measured of it at the end.",
    FRONT: "The best plan of each method at every budget of the range, and the policy's own, made without search.",
}
DARK = 0.55
"""Share of a row from which on a number stands out in white."""


def figures_of(result: Result, tables: Mapping[str, EpisodeTable]) -> dict[str, Figure]:
    """Every picture of a report that there are data for, by name."""
    run = _Drawing(result, tables)
    found = {LEARNING_CURVE: run.learning_curve(), PLAN: run.plan(), TRIED: run.tried(), COSTS: run.costs(2)}
    if any(row.latency_promised_ms is not None for row in result.rows):
        found[PROMISES] = run.promises()
    if result.front is not None:
        found[FRONT] = run.front()
    matrices, split = confusions(result)
    return found | ({CONFUSION: confusion(matrices, split)} if matrices else {})


def thumbnails_of(result: Result, tables: Mapping[str, EpisodeTable]) -> dict[str, Figure]:
    """The pictures that can be read 310 pixels wide, drawn for that: one panel, large letters, few ticks."""
    agent = {name: table for name, table in tables.items() if name == result.agent}
    with thumbnail_fonts():
        run = _Drawing(result, tables, small=True)
        found = {LEARNING_CURVE: run.learning_curve(), PLAN: run.plan(), COSTS: run.costs(1)}
        found[TRIED] = _Drawing(result, agent, small=True).tried()
        return found | ({FRONT: run.front()} if result.front is not None else {})


@dataclass(frozen=True, eq=False)
class _Drawing:
    """One run, and whether it is drawn small."""

    result: Result
    tables: Mapping[str, EpisodeTable]
    small: bool = False

    def learning_curve(self) -> Figure:
        """Reward of each episode, and the best so far, against evaluations; what was not searched is a line."""
        result = self.result
        figure, (axes,) = self._figure(1, 4.4)
        axes.plot([], [], ".", color=GREY, label="single plans")
        for name, table in self.tables.items():
            colour, rewards, counts = self._style(name).colour, table["reward"], table["evaluations"]
            axes.plot(counts, rewards, ".", color=colour, alpha=0.35, markersize=5)
            best = np.maximum.accumulate(rewards)
            axes.step(counts, best, where="post", color=colour, lw=2, label=f"{name}, best so far")
        levels = {row.name: result.marks[row.name].reward or 0.0 for row in result.rows if row.role in UNSEARCHED}
        for name, level in levels.items():
            axes.axhline(level, color=self._style(name).colour, ls=self._style(name).line, lw=1.5, label=name)
        axes.set_ylim(*_span([table["reward"] for table in self.tables.values()], min(levels.values())))
        axes.set_xlim(left=0)
        axes.set_xlabel("plans evaluated")
        axes.set_ylabel("reward" if self.small else f"reward: {result.reward}, higher is better")
        return self._finished(figure, f"Search on {result.network} within {asked(result)}")

    def plan(self) -> Figure:
        """What each layer keeps, in forward order, of the uniform plans, the agent's and the best one."""
        result = self.result
        stated = [(choice.of or choice.name, choice.kind or "channels", choice.width) for choice in result.groups]
        choices = [Choice(name, kind, (full,), name) for name, kind, full in stated]
        shown = [row for row in result.rows if row.role in (*UNSEARCHED, AGENT) or row.name == result.winner]
        names = {result.winner: f"{result.winner}: plan.json"}
        plans = [ShownPlan(names.get(row.name, row.name), self._style(row.name).colour, row.widths) for row in shown]
        figure = plan_lines(choices, plans, THUMBNAIL_WIDTH) if self.small else plan_figure(choices, plans)[0]
        return self._finished(figure, f"What the plans keep within {', '.join(result.budgets)}")

    def tried(self) -> Figure:
        """Keep ratios as colours: a line a group in forward order, a column an episode, a panel a method."""
        groups = self.result.groups
        full = np.array([group.width for group in groups], dtype=float)
        figure, panels = self._figure(len(self.tables), 1.8 + 0.2 * len(groups), max(WIDTH, 2.5 * len(self.tables)))
        for axes, (method, table) in zip(panels, self.tables.items(), strict=True):
            extent = (0.5, len(table.widths) + 0.5, len(groups) - 0.5, -0.5)
            look: dict[str, Any] = {"aspect": "auto", "interpolation": "nearest", "vmin": 0, "vmax": 1}
            shades = axes.imshow((table.widths / full).T, extent=extent, **look)
            axes.grid(visible=False)
            axes.set_yticks([])
            axes.set_xlabel("episode")
            axes.set_title(method)
        if self.small:
            panels[0].set_ylabel("layers, first on top")
        else:
            names = [plain(group.name) for group in groups]
            panels[0].set_yticks(np.arange(len(groups)), names, fontsize="x-small")
        figure.colorbar(shades, ax=panels, label="share that is kept")
        return self._titled(figure, f"Every plan that was tried on {self.result.network}")

    def costs(self, count: int) -> Figure:
        """Every evaluated plan: score against ``count`` costs, those that are limited and measured first."""
        result, known = self.result, next(iter(self.tables.values())).columns
        preferred = ["latency_ms", "energy_mj"] if metered(result) else ["latency_ms"]
        wanted = dict.fromkeys((*result.limits, *preferred, *map(cost_name, COUNTED)))
        names = [cost for cost in wanted if cost in known][:count]
        figure, panels = self._figure(len(names), 4.4)
        for axes, cost in zip(panels, names, strict=True):
            self._scatter(axes, cost)
        on = "" if self.small else f" on {result.samples} validation samples"
        panels[0].set_ylabel(f"{result.metric}{on}")
        return self._finished(figure, f"Every plan that was evaluated on {result.network}")

    def _scatter(self, axes: Axes, cost: str) -> None:
        """One panel. It spans the pruned plans, which lie close to the budget; the dense network is a level line."""
        result, (label, unit) = self.result, cost_axis(cost)
        for name, table in self.tables.items():
            colour = self._style(name).colour
            axes.plot(table[cost] / unit, table["score"], ".", color=colour, alpha=0.4, label=f"{name}, all plans")
        for name, mark in result.marks.items():
            if name != "dense":
                self._mark(axes, name, mark.costs[cost] / unit, mark.score)
        limit = result.limits.get(cost)
        if limit is not None:
            axes.axvline(limit / unit, color=BUDGET, ls="--", lw=1.3, label="budget")
        dense = result.marks["dense"]
        axes.axhline(dense.score, color=self._style("dense").colour, ls=":", lw=1.3, label="dense")
        axes.margins(x=0.08, y=0.08)
        self._score_axis(axes)
        promised = ", promised" if metric_of(cost).is_timed else ""
        axes.set_xlabel(f"{label}{promised}\n(dense: {short(dense.costs[cost] / unit)})")

    def _mark(self, axes: Axes, name: str, x: float, y: float) -> None:
        """Plans that need no search with their own markers, the plan chosen of a method as a star."""
        style, searched = self._style(name), name not in UNSEARCHED
        marker, size, label = ("*", 16, f"{name}, chosen plan") if searched else (style.marker, 9, name)
        look: dict[str, Any] = {"markeredgecolor": "black", "markersize": size, "zorder": 5}
        axes.plot(x, y, marker, color=style.colour, label=label, **look)

    def promises(self) -> Figure:
        """Promised beside measured latency of every network, and energy where a meter was read."""
        result, rows = self.result, self.result.rows
        panels = [("latency in ms", [(row.latency_promised_ms, row.latency_measured_ms) for row in rows])]
        if metered(result):
            panels.append(("energy of one inference in mJ", [(row.energy_promised_mj, row.energy_mj) for row in rows]))
        figure, all_axes = self._figure(len(panels), 1.5 + 0.5 * len(rows))
        for axes, (label, pairs) in zip(all_axes, panels, strict=True):
            _promise_panel(axes, [row.name for row in rows], pairs)
            axes.set_xlabel(label)
        corrected = [row.latency_corrected_ms for row in rows if row.latency_corrected_ms is not None]
        if len(corrected) == len(rows):
            places, label = np.arange(len(rows)) + 0.2, "measured, drift since the profile taken out"
            all_axes[0].plot(corrected, places, "D", color=ORANGE, mec="black", ms=6, label=label)
        if (limit := result.limits.get("latency_ms")) is not None:
            all_axes[0].axvline(limit, color=BUDGET, ls="--", lw=1.3, label="budget")
        return self._finished(figure, f"Promised and measured: {result.network}")

    def front(self) -> Figure:
        """Score against cost at every budget of the range: each method, and the policy alone."""
        result, found = self.result, self.result.front
        assert found is not None  # drawn only of a range
        label, unit = cost_axis(found.cost)
        figure, (axes,) = self._figure(1, 5.0)
        for method in dict.fromkeys(point.method for point in found.points):
            points = [point for point in found.points if point.method == method]
            own = sorted((point.budget_cost / unit, point.score_validation) for point in points)
            style = self._style(method)
            title = "policy alone, no search" if method == "policy" else method
            axes.plot(*zip(*own, strict=True), style.line, marker="o", ms=4, color=style.colour, label=title)
        dense = next(row.score_validation for row in result.rows if row.role == "dense")
        axes.axhline(dense, color=self._style("dense").colour, ls=":", lw=1.2, label="dense")
        axes.set_xlabel(label)
        axes.set_ylabel(result.metric if self.small else f"{result.metric}, all validation samples")
        self._score_axis(axes)
        return self._finished(figure, f"{result.network} within {asked(result)}")

    def _style(self, name: str) -> Style:
        """The same for a method in every picture of the run: its agent comes first."""
        return styles_of([self.result.agent, *self.result.searches])[name]

    def _score_axis(self, axes: Axes) -> None:
        if is_share(self.result.marks["dense"].score, self.result.metric):
            in_percent(axes)
        axes.locator_params(nbins=4 if self.small else 5)

    def _figure(self, panels: int, height: float, width: float = WIDTH) -> tuple[Figure, list[Axes]]:
        return new_figure(panels, THUMBNAIL_WIDTH, 2.6) if self.small else new_figure(panels, width, height)

    def _finished(self, figure: Figure, title: str) -> Figure:
        legend_below(figure, figure.axes, 2 if self.small else 4)
        return self._titled(figure, title)

    def _titled(self, figure: Figure, title: str) -> Figure:
        """TensorBoard names its pictures itself."""
        if not self.small:
            figure.suptitle(plain(title), fontsize="large")
        return figure


def asked(result: Result) -> str:
    """The range where there was one, of whose budgets a search is; else the budgets."""
    return ", ".join(result.budgets) if result.front is None else result.front.range


def metered(result: Result) -> bool:
    """Whether energy was read from a meter; else it is a stated power times latency."""
    return result.profile is not None and result.profile.energy_measured


def _span(rewards: Sequence[FloatArray], least: float) -> tuple[float, float]:
    """Limits of the reward axis: the very worst episodes may fall below it."""
    together = np.concatenate([*rewards, [least]])
    low, high = float(np.quantile(together, 0.02)), float(together.max())
    margin = 0.08 * max(high - low, 1e-6)
    return min(low, least) - margin, high + margin


def _promise_panel(axes: Axes, names: Sequence[str], pairs: Sequence[tuple[float | None, float | None]]) -> None:
    for offset, index, colour, label in ((-0.2, 0, SKY, "promised"), (0.2, 1, BLUE, "measured")):
        found = [(place + offset, pair[index] or 0.0) for place, pair in enumerate(pairs) if pair[index] is not None]
        if found:
            bars = axes.barh([at for at, _ in found], [value for _, value in found], 0.38, color=colour, label=label)
            above_lines = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
            axes.bar_label(bars, fmt="%.3g", padding=3, fontsize="small", bbox=above_lines)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")


def confusion(matrices: Mapping[str, IntArray], split: str) -> Figure:
    """A panel a network; ``matrices``: ``int64 [classes, classes]``, a row a true class."""
    side = 2.6 + 0.26 * len(next(iter(matrices.values())))
    figure, panels = new_figure(len(matrices), len(matrices) * side, side)
    for axes, (name, matrix) in zip(panels, matrices.items(), strict=True):
        shades = _confusion_panel(axes, matrix)
        axes.set_title(plain(name))
    panels[0].set_ylabel("true class")
    figure.colorbar(shades, ax=panels, label="share of the true class", shrink=0.8)
    figure.suptitle(f"Taken for what, on the {split} samples")
    return figure


def _confusion_panel(axes: Axes, matrix: IntArray) -> AxesImage:
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shades = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    for truth, taken in zip(*np.nonzero(matrix), strict=True):
        look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 9 if len(matrix) <= 10 else 6}
        colour = "white" if shares[truth, taken] > DARK else "black"
        axes.text(taken, truth, str(matrix[truth, taken]), color=colour, **look)
    axes.grid(visible=False)
    axes.set_xticks(range(len(matrix)))
    axes.set_yticks(range(len(matrix)))
    axes.set_xlabel("taken for")
    return shades
