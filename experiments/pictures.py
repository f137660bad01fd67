"""Pictures of a run, drawn from the files of its folder alone."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlprune.errors import RunError
from rlprune.experiments.episodes import EpisodeTable
from rlprune.experiments.rows import Row
from rlprune.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers can tell apart.
DENSE, UNIFORM, LEARNED = "#000000", "#6f6f6f", "#0072b2"
LIMIT = "#d55e00"
OTHERS = ("#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#f0e442")
# Cost to the label of its axis, and what it is divided by.
AXES = {
    "latency_ms": ("latency in ms, promised by the profile", 1.0),
    "energy_mj": ("energy in mJ", 1.0),
    "macs": ("MACs in millions, of one sample", 1e6),
    "params": ("parameters in thousands", 1e3),
}
DPI = 130


def draw_all(folder: Path, result: Mapping[str, Any], tables: Mapping[str, EpisodeTable]) -> list[Path]:
    """Draw every picture into ``folder/pictures`` and return the files."""
    rows = [Row.from_dict(row) for row in result["rows"]]
    figures = {
        "learning-curve": learning_curve(result, tables),
        "keep-ratios": keep_ratio_bars(result, rows),
        "accuracy-against-cost": cost_scatter(result, tables),
    }
    if result.get("front") is not None:
        figures["front"] = front(result)
    return [save_figure(figure, folder / "pictures" / f"{name}.png") for name, figure in figures.items()]


def learning_curve(result: Mapping[str, Any], tables: Mapping[str, EpisodeTable]) -> Figure:
    """Reward of each episode, and the best so far, against evaluations; uniform is a line."""
    figure, (axes,) = new_figure(1, 8.0, 4.6)
    for name, table in tables.items():
        colour = colour_of(name, result)
        rewards, counts = table["reward"], table["evaluations"]
        axes.plot(counts, rewards, ".", color=colour, alpha=0.35, markersize=4, label=f"{name}: each episode")
        axes.step(
            counts, np.maximum.accumulate(rewards), where="post", color=colour, lw=2, label=f"{name}: best so far"
        )
    uniform = result["marks"]["uniform"]["reward"]
    axes.axhline(uniform, color=UNIFORM, ls="--", lw=1.5, label="uniform")
    axes.set_ylim(*_span([table["reward"] for table in tables.values()], uniform))
    axes.set_xlabel("evaluations")
    axes.set_ylabel(f"reward ({result['reward']})")
    axes.set_title(f"Search on {result['network']} within {_budgets(result)}")
    _legend_right(axes)
    return figure


def _span(rewards: Sequence[np.ndarray], uniform: float) -> tuple[float, float]:
    """Limits of the reward axis: the very worst episodes may fall below it."""
    together = np.concatenate([*rewards, [uniform]])
    low, high = float(np.quantile(together, 0.02)), float(together.max())
    margin = 0.08 * max(high - low, 1e-6)
    return min(low, uniform) - margin, high + margin


def keep_ratio_bars(result: Mapping[str, Any], rows: Sequence[Row]) -> Figure:
    """The share of channels that each group keeps: learned beside uniform, in forward order from the top."""
    names = [group["name"] for group in result["groups"]]
    dense = np.array([group["width"] for group in result["groups"]], dtype=float)
    figure, (axes,) = new_figure(1, 8.0, 1.6 + 0.34 * len(names))
    places = np.arange(len(names))
    shown = [row for row in rows if row.role in ("uniform", "learned")]
    for index, row in enumerate(shown):
        ratios = np.array(row.widths) / dense
        at = places + (index - (len(shown) - 1) / 2) * 0.38
        axes.barh(at, ratios, height=0.36, color=colour_of(row.name, result), label=row.name)
        for place, ratio, width in zip(at, ratios, row.widths, strict=True):
            axes.text(ratio + 0.006, place, str(width), va="center", fontsize=7)
    axes.set_yticks(places, [f"{name} ({width:.0f})" for name, width in zip(names, dense, strict=True)], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.08)
    axes.set_xlabel("keep ratio (bars: channels kept)")
    axes.set_ylabel("group (channels of the dense network)")
    axes.set_title(f"What is kept of each group within {_budgets(result)}")
    _legend_right(axes)
    return figure


def cost_scatter(result: Mapping[str, Any], tables: Mapping[str, EpisodeTable]) -> Figure:
    """Every evaluated plan: score against latency and energy, or against MACs and parameters without a profile."""
    known = next(iter(tables.values())).columns
    costs = ["latency_ms", "energy_mj"] if "latency_ms" in known else ["macs", "params"]
    figure, panels = new_figure(2, 11.0, 4.8)
    for axes, cost in zip(panels, costs, strict=True):
        _scatter(axes, result, tables, cost)
    panels[0].set_ylabel(f"{result['metric']} on {result['samples']} validation images")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.suptitle(f"Every plan that was evaluated on {result['network']}")
    return figure


def front(result: Mapping[str, Any]) -> Figure:
    """Score against cost at every budget of the range: each method, the policy alone, and what nobody beats."""
    found = result["front"]
    label, unit = AXES[found["cost"]] if found["cost"] in AXES else (found["cost"], 1.0)
    figure, (axes,) = new_figure(1, 8.5, 5.0)
    for method in dict.fromkeys(point["method"] for point in found["points"]):
        points = [point for point in found["points"] if point["method"] == method]
        own = sorted((point["budget_cost"] / unit, point["score_validation"]) for point in points)
        style = ":" if method == "policy" else "--" if method == "uniform" else "-"
        colour = LIMIT if method == "policy" else colour_of(method, result)
        title = "policy alone, no search" if method == "policy" else method
        axes.plot(*zip(*own, strict=True), style, marker="o", ms=4, color=colour, label=title)
    dense = result["marks"]["dense"]["score"]
    axes.axhline(dense, color=DENSE, ls=":", lw=1.2, label="dense")
    axes.set_xlabel(label)
    axes.set_ylabel(f"{result['metric']}, all validation images")
    axes.set_title(f"{result['network']} within {found['range']}")
    _legend_right(axes)
    return figure


def _scatter(axes: Axes, result: Mapping[str, Any], tables: Mapping[str, EpisodeTable], cost: str) -> None:
    """One panel. It spans the pruned plans, which lie close to the budget; the dense network is a level line."""
    label, unit = AXES[cost]
    for name, table in tables.items():
        axes.plot(
            table[cost] / unit, table["score"], ".", color=colour_of(name, result), alpha=0.4, label=f"{name}: plans"
        )
    for name, mark in result["marks"].items():
        if name != "dense":
            _mark(axes, name, mark["costs"][cost] / unit, mark["score"], result)
    limit = result["limits"].get(cost)
    if limit is not None:
        axes.axvline(limit / unit, color=LIMIT, ls="--", lw=1.3, label="budget")
    dense = result["marks"]["dense"]
    axes.axhline(dense["score"], color=DENSE, ls=":", lw=1.3, label="dense")
    axes.text(
        0.02,
        dense["score"],
        f"dense, at {dense['costs'][cost] / unit:.3g}",
        va="bottom",
        transform=axes.get_yaxis_transform(),
    )
    axes.margins(x=0.08, y=0.08)
    axes.set_xlabel(label + (f"; {result['energy_source']}" if cost == "energy_mj" else ""))


def _mark(axes: Axes, name: str, x: float, y: float, result: Mapping[str, Any]) -> None:
    """The uniform plan as a diamond, the plan chosen of a method as a star."""
    shape, size, label = ("D", 9, name) if name == "uniform" else ("*", 16, f"{name}: chosen plan")
    colour = colour_of(name, result)
    axes.plot(x, y, shape, color=colour, label=label, markeredgecolor="black", markersize=size, zorder=5)


def colour_of(name: str, result: Mapping[str, Any]) -> str:
    """The same colour for a method in every picture."""
    fixed = {"dense": DENSE, "uniform": UNIFORM, result["agent"]: LEARNED}
    others = [method for method in result["searches"] if method not in fixed]
    return fixed.get(name) or OTHERS[others.index(name) % len(OTHERS)]


def _budgets(result: Mapping[str, Any]) -> str:
    return ", ".join(result["budgets"])


def new_figure(panels: int, width: float, height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure that belongs to no window and no global state, with ``panels`` in each of ``rows``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, panels, squeeze=False).flat)
    for one in axes:
        one.grid(alpha=0.25)
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend_right(axes: Axes) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8, frameon=False)


def save_figure(figure: Figure, path: Path) -> Path:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI)
    return write_atomic(path, content.getvalue(), RunError)
