"""What the plans of a run keep, as bars: a panel for each kind of decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rlprune.experiments.rows import AGENT, UNSEARCHED, Row
from rlprune.network import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {
    "channels": "share of the channels\n(at the bars: channels)",
    "weights": "entries of the weight\n(at the bars: %)",
    "depth": "block kept",
    "bits": "bits of the weight\n(at the bars: bits)",
}


def plan_bars(result: Mapping[str, Any], rows: Sequence[Row]) -> Figure:
    """What each layer keeps, in forward order from the top, of the uniform plans, the agent's and the best one."""
    from rlprune.experiments.pictures import legend_below, new_figure, plain

    choices = [{"kind": "channels", "of": choice["name"], **choice} for choice in result["groups"]]
    names = list(dict.fromkeys(choice["of"] for choice in choices))
    kinds = [kind for kind in PANELS if any(choice["kind"] == kind for choice in choices)]
    shown = [row for row in rows if row.role in (*UNSEARCHED, AGENT) or row.name == result["winner"]]
    width = 4.6 + 2.8 * len(kinds)
    figure, panels = new_figure(len(kinds), width, 1.9 + 0.19 * len(names) * len(shown))
    for axes, kind in zip(panels, kinds, strict=True):
        places = [place for place, choice in enumerate(choices) if choice["kind"] == kind]
        at = np.array([names.index(choices[place]["of"]) for place in places], dtype=np.float64)
        full = np.array([choices[place]["width"] for place in places], dtype=np.float64)
        _panel(axes, at, full, [np.array(row.widths)[places] for row in shown], shown, result)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel(PANELS[kind])
        axes.set_yticks(range(len(names)), _labels(names, choices) if axes is panels[0] else [], fontsize=8)
    figure.suptitle(plain(f"What the plans keep within {', '.join(result['budgets'])}"))
    legend_below(figure, panels[0])
    return figure


def _labels(names: Sequence[str], choices: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of layers; with the channels of the dense network, where nothing else is decided."""
    from rlprune.experiments.pictures import plain

    alone = all(choice["kind"] == "channels" for choice in choices)
    widths = {choice["of"]: f" ({choice['width']})" for choice in choices} if alone else {}
    return [plain(name + widths.get(name, "")) for name in names]


def _panel(
    axes: Axes,
    at: FloatArray,
    full: FloatArray,
    levels: Sequence[np.ndarray],
    shown: Sequence[Row],
    result: Mapping[str, Any],
) -> None:
    height = 0.8 / len(shown)
    for index, (row, own) in enumerate(zip(shown, levels, strict=True)):
        places = at + (index - (len(shown) - 1) / 2) * height
        _bars(axes, places, own / full, own, 0.92 * height, row, result)
    axes.set_xlim(0, 1.12)


def _bars(
    axes: Axes,
    at: FloatArray,
    shares: FloatArray,
    levels: np.ndarray,
    height: float,
    row: Row,
    result: Mapping[str, Any],
) -> None:
    from rlprune.experiments.pictures import colour_of

    label = f"{row.name}: plan.json" if row.name == result["winner"] else row.name
    axes.barh(at, shares, height=height, color=colour_of(row.name, result), label=label)
    for place, share, level in zip(at, shares, levels, strict=True):
        axes.text(share + 0.008, place, str(level), va="center", fontsize=7)
