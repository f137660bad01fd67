"""Pictures of a run, drawn from the files of its folder alone."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rlprune.envs.plan_figure import new_figure as new_figure
from rlprune.envs.plan_figure import plain as plain
from rlprune.errors import RunError
from rlprune.experiments.reports.plan_picture import plan_bars
from rlprune.experiments.runs.episodes import EpisodeTable
from rlprune.experiments.runs.result import FILLED, UNSEARCHED, Front, Result, Row
from rlprune.experiments.runs.result import UNIFORM as UNIFORM_PLAN
from rlprune.support.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers can tell apart.
DENSE, UNIFORM, LEARNED = "#000000", "#6f6f6f", "#0072b2"
FILLED_GREY = "#a3a3a3"
LIMIT = "#d55e00"
LINES = {UNIFORM_PLAN: ":", FILLED: "--", "policy": ":"}
"""Lines of what is not searched."""
OTHERS = ("#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#f0e442")
# Cost to the label of its axis, and what it is divided by.
AXES = {
    "latency_ms": ("latency in ms, promised by the profile", 1.0),
    "energy_mj": ("energy in mJ", 1.0),
    "macs": ("MACs in millions, of one sample", 1e6),
    "params": ("parameters in thousands", 1e3),
    "weights": ("weights that remain, in thousands", 1e3),
    "size_bytes": ("size as stored, in kB", 1e3),
}
DPI = 130
WIDTH = 7.4  # inches


def draw_all(folder: Path, result: Result, tables: Mapping[str, EpisodeTable]) -> list[Path]:
    """Draw every picture into ``folder/pictures`` and return the files."""
    rows = result.rows
    figures = {
        "learning-curve": learning_curve(result, tables),
        "keep-ratios": plan_bars(result, rows),
        "tried-plans": tried_plans(result, tables),
        "accuracy-against-cost": cost_scatter(result, tables),
    }
    if any(row.latency_promised_ms is not None for row in rows):
        figures["promised-and-measured"] = promise_bars(result, rows)
    if result.front is not None:
        figures["front"] = front(result, result.front)
    return [save_figure(figure, folder / "pictures" / f"{name}.png") for name, figure in figures.items()]


def learning_curve(result: Result, tables: Mapping[str, EpisodeTable]) -> Figure:
    """Reward of each episode, and the best so far, against evaluations; what was not searched is a line."""
    figure, (axes,) = new_figure(1, WIDTH, 4.4)
    for name, table in tables.items():
        colour = colour_of(name, result)
        rewards, counts = table["reward"], table["evaluations"]
        axes.plot(counts, rewards, ".", color=colour, alpha=0.35, markersize=5)
        axes.step(
            counts, np.maximum.accumulate(rewards), where="post", color=colour, lw=2, label=f"{name}, best so far"
        )
    levels = [(row, result.marks[row.name].reward or 0.0) for row in unsearched(result)]
    axes.plot([], [], ".", color=UNIFORM, label="single plans")
    for row, level in levels:
        axes.axhline(level, color=colour_of(row.name, result), ls=LINES[row.role], lw=1.5, label=row.name)
    axes.set_ylim(*_span([table["reward"] for table in tables.values()], min(level for _, level in levels)))
    axes.set_xlim(left=0)
    axes.set_xlabel("plans evaluated")
    axes.set_ylabel(f"reward: {result.reward}, higher is better")
    axes.set_title(plain(f"Search on {result.network} within {_asked(result)}"))
    legend_below(figure, axes)
    return figure


def unsearched(result: Result) -> list[Row]:
    """The rows of plans that need no search."""
    return [row for row in result.rows if row.role in UNSEARCHED]


def _span(rewards: Sequence[np.ndarray], least: float) -> tuple[float, float]:
    """Limits of the reward axis: the very worst episodes may fall below it."""
    together = np.concatenate([*rewards, [least]])
    low, high = float(np.quantile(together, 0.02)), float(together.max())
    margin = 0.08 * max(high - low, 1e-6)
    return min(low, least) - margin, high + margin


def promise_bars(result: Result, rows: Sequence[Row]) -> Figure:
    """Promised beside measured latency of every network, and energy where a meter was read."""
    panels = [("latency in ms", [(row.latency_promised_ms, row.latency_measured_ms) for row in rows])]
    corrected = [row.latency_corrected_ms for row in rows if row.latency_corrected_ms is not None]
    if metered(result):
        panels.append(("energy of one inference in mJ", [(row.energy_promised_mj, row.energy_mj) for row in rows]))
    figure, all_axes = new_figure(len(panels), WIDTH, 1.5 + 0.5 * len(rows))
    for axes, (label, pairs) in zip(all_axes, panels, strict=True):
        _promise_panel(axes, [row.name for row in rows], pairs)
        axes.set_xlabel(label)
    if len(corrected) == len(rows):
        places = np.arange(len(rows)) + 0.2
        label = "measured, drift since the profile taken out"
        all_axes[0].plot(corrected, places, "D", color=OTHERS[0], mec="black", ms=6, label=label)
    limit = result.limits.get("latency_ms")
    if limit is not None:
        all_axes[0].axvline(limit, color=LIMIT, ls="--", lw=1.3, label="budget")
    figure.suptitle(plain(f"Promised and measured: {result.network}"))
    legend_below(figure, all_axes[0])
    return figure


def _promise_panel(axes: Axes, names: Sequence[str], pairs: Sequence[tuple[float | None, float | None]]) -> None:
    for offset, index, colour, label in ((-0.2, 0, OTHERS[3], "promised"), (0.2, 1, LEARNED, "measured")):
        found = [(place + offset, pair[index]) for place, pair in enumerate(pairs) if pair[index] is not None]
        bars = axes.barh([at for at, _ in found], [value or 0.0 for _, value in found], 0.38, color=colour, label=label)
        above_lines = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        axes.bar_label(bars, fmt="%.3g", padding=3, fontsize=8, bbox=above_lines)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")


def metered(result: Result) -> bool:
    """Whether energy was read from a meter; else it is a stated power times latency."""
    profile = result.profile
    return profile is not None and profile.energy_measured


def tried_plans(result: Result, tables: Mapping[str, EpisodeTable]) -> Figure:
    """Keep ratios as colours: a line a group in forward order, a column an episode, a panel a method."""
    names = [group.name for group in result.groups]
    dense = np.array([group.width for group in result.groups], dtype=float)
    figure, panels = new_figure(len(tables), max(WIDTH, 2.5 * len(tables)), 1.8 + 0.2 * len(names))
    for axes, (method, table) in zip(panels, tables.items(), strict=True):
        extent = (0.5, len(table.widths) + 0.5, len(names) - 0.5, -0.5)
        shades = axes.imshow(
            (table.widths / dense).T, aspect="auto", interpolation="nearest", vmin=0, vmax=1, extent=extent
        )
        axes.grid(visible=False)
        axes.set_yticks(np.arange(len(names)), [plain(name) for name in names] if axes is panels[0] else [], fontsize=7)
        axes.set_xlabel("episode")
        axes.set_title(method)
    figure.colorbar(shades, ax=panels, label="share that is kept")
    figure.suptitle(plain(f"Every plan that was tried on {result.network}"))
    return figure


def cost_scatter(result: Result, tables: Mapping[str, EpisodeTable]) -> Figure:
    """Every evaluated plan: score against two costs, those that were measured first."""
    known = next(iter(tables.values())).columns
    preferred = ["latency_ms", "energy_mj"] if metered(result) else ["latency_ms"]
    limited = [cost for cost in result.limits if cost in AXES]
    costs = [cost for cost in dict.fromkeys((*limited, *preferred, "macs", "params")) if cost in known][:2]
    figure, panels = new_figure(2, WIDTH, 4.4)
    for axes, cost in zip(panels, costs, strict=True):
        _scatter(axes, result, tables, cost)
    panels[0].set_ylabel(f"{result.metric} on {result.samples} validation samples")
    figure.suptitle(plain(f"Every plan that was evaluated on {result.network}"))
    legend_below(figure, panels[0])
    return figure


def front(result: Result, found: Front) -> Figure:
    """Score against cost at every budget of the range: each method, the policy alone, and what nobody beats."""
    label, unit = AXES.get(found.cost, (found.cost, 1.0))
    figure, (axes,) = new_figure(1, WIDTH, 5.0)
    for method in dict.fromkeys(point.method for point in found.points):
        points = [point for point in found.points if point.method == method]
        own = sorted((point.budget_cost / unit, point.score_validation) for point in points)
        style = LINES.get("policy" if method == "policy" else points[0].role, "-")
        colour = LIMIT if method == "policy" else colour_of(method, result)
        title = "policy alone, no search" if method == "policy" else method
        axes.plot(*zip(*own, strict=True), style, marker="o", ms=4, color=colour, label=title)
    dense = next(row.score_validation for row in result.rows if row.role == "dense")
    axes.axhline(dense, color=DENSE, ls=":", lw=1.2, label="dense")
    axes.set_xlabel(label)
    axes.set_ylabel(f"{result.metric}, all validation samples")
    axes.set_title(plain(f"{result.network} within {_asked(result)}"))
    _show_shares(axes, result)
    legend_below(figure, axes)
    return figure


def _scatter(axes: Axes, result: Result, tables: Mapping[str, EpisodeTable], cost: str) -> None:
    """One panel. It spans the pruned plans, which lie close to the budget; the dense network is a level line."""
    label, unit = AXES[cost]
    for name, table in tables.items():
        axes.plot(
            table[cost] / unit,
            table["score"],
            ".",
            color=colour_of(name, result),
            alpha=0.4,
            label=f"{name}, all plans",
        )
    for name, mark in result.marks.items():
        if name != "dense":
            _mark(axes, name, mark.costs[cost] / unit, mark.score, result)
    limit = result.limits.get(cost)
    if limit is not None:
        axes.axvline(limit / unit, color=LIMIT, ls="--", lw=1.3, label="budget")
    dense = result.marks["dense"]
    axes.axhline(dense.score, color=DENSE, ls=":", lw=1.3, label="dense")
    axes.margins(x=0.08, y=0.08)
    axes.locator_params(axis="x", nbins=5)
    _show_shares(axes, result)
    axes.set_xlabel(f"{label}\n(dense: {dense.costs[cost] / unit:.3g})", fontsize=9)


def _mark(axes: Axes, name: str, x: float, y: float, result: Result) -> None:
    """Plans that need no search as diamonds and squares, the plan chosen of a method as a star."""
    plain = {UNIFORM_PLAN: "D", FILLED: "s"}
    shape, size, label = (plain[name], 9, name) if name in plain else ("*", 16, f"{name}, chosen plan")
    colour = colour_of(name, result)
    axes.plot(x, y, shape, color=colour, label=label, markeredgecolor="black", markersize=size, zorder=5)


def colour_of(name: str, result: Result) -> str:
    """The same colour for a method in every picture."""
    fixed = {"dense": DENSE, "uniform": UNIFORM, FILLED: FILLED_GREY, result.agent: LEARNED}
    others = [method for method in result.searches if method not in fixed]
    return fixed.get(name) or OTHERS[others.index(name) % len(OTHERS)]


def _budgets(result: Result) -> str:
    return ", ".join(result.budgets)


def _asked(result: Result) -> str:
    """The range where there was one: the search is of all its budgets."""
    front = result.front
    return _budgets(result) if front is None else front.range


def legend_below(figure: Figure, axes: Axes) -> None:
    """One legend for all panels."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9, frameon=False)


def _show_shares(axes: Axes, result: Result) -> None:
    """Accuracies as percentages."""
    from matplotlib.ticker import PercentFormatter

    if result.metric == "accuracy":
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def save_figure(figure: Figure, path: Path) -> Path:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI)
    return write_atomic(path, content.getvalue(), RunError)
