"""How pictures look, everywhere alike: colours, lines and markers of methods, axes of costs, legends, files."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlprune.costs.registry import metric_of
from rlprune.errors import RunError
from rlprune.support.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers can tell apart, with two greys, a brown and a purple.
BLACK, GREY, BROWN, PURPLE = "#000000", "#6f6f6f", "#a5814e", "#7b3294"
BLUE, VERMILION = "#0072b2", "#d55e00"
ORANGE, GREEN, PINK, SKY, YELLOW = "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#f0e442"
BUDGET = VERMILION
"""Colour of a limit that was set."""
DPI = 130
WIDTH, THUMBNAIL_WIDTH = 7.4, 3.1
"""Inches of a picture in a report, and of one that is seen 310 pixels wide."""


@dataclass(frozen=True)
class Style:
    """How a method is drawn: ``line`` and ``marker`` as matplotlib names them."""

    colour: str
    line: str
    marker: str


FIXED = {
    "dense": Style(BLACK, ":", "*"),
    "uniform": Style(GREY, ":", "X"),
    "filled": Style(BROWN, "--", "P"),
    "probe": Style(PURPLE, "-.", "p"),
    "policy": Style(VERMILION, ":", "x"),
}
"""What stands in every run: the dense network, plans without a search, and a policy by itself."""
SEARCHED = tuple(
    Style(colour, "-", marker)
    for colour, marker in zip((BLUE, ORANGE, GREEN, PINK, SKY, VERMILION), "osDv^h", strict=True)
)


def styles_of(searched: Iterable[str]) -> dict[str, Style]:
    """A style for each method that searches, in the order in which they come, and for what needs no search."""
    names = [name for name in dict.fromkeys(searched) if name not in FIXED]
    return {**FIXED, **{name: SEARCHED[place % len(SEARCHED)] for place, name in enumerate(names)}}


def cost_axis(column: str) -> tuple[str, float]:
    """Label of the axis of a cost, named as tables name it, and what its values are divided by."""
    metric = metric_of(column)
    unit, scale = metric.shown
    return f"{metric.label} in {unit}", scale


def in_percent(axes: Axes) -> None:
    """Shares on the upright axis as percentages."""
    from matplotlib.ticker import PercentFormatter

    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def legend_below(figure: Figure, panels: Sequence[Axes], columns: int = 4) -> None:
    """One legend for all panels, every label once; many labels make the figure higher, not the panels lower."""
    found: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    lines = -(-len(found) // columns)
    figure.set_figheight(figure.get_figheight() + 0.2 * max(lines - 2, 0))
    look = {"ncols": min(len(found), columns), "fontsize": "small", "frameon": False}
    figure.legend(list(found.values()), list(found), loc="outside lower center", **look)


@contextmanager
def thumbnail_fonts() -> Iterator[None]:
    """Letters that are large enough in what is drawn meanwhile and seen 310 pixels wide."""
    import matplotlib

    look: dict[Any, Any] = {
        "font.size": 8.5,
        "axes.labelsize": "medium",
        "axes.titlesize": "medium",
        "lines.markersize": 4,
    }
    with matplotlib.rc_context(look):
        yield


def save_figure(figure: Figure, path: Path, dpi: int = DPI) -> Path:
    """Write a figure as PNG, whole or not at all, and return the file.

    Raises:
        RunError: the file cannot be written.
    """
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=dpi)
    return write_atomic(path, content.getvalue(), RunError)
