"""The picture of what a network takes for what: the dense one beside the kept plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rlprune.arrays import IntArray
from rlprune.experiments.reports.pictures import new_figure, plain, save_figure
from rlprune.experiments.reports.report_details import CONFUSION, PICTURED, compared
from rlprune.experiments.runs.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

DARK = 0.55
"""Share of a row from which on a number stands out in white."""
PANEL = 2.6  # inches without the cells


def draw_confusion(result: Result, folder: Path) -> list[Path]:
    """Write ``confusion.png`` where both networks have a confusion matrix of few enough classes."""
    dense, kept, split = compared(result)
    matrices = {"dense": dense.get(CONFUSION), result.winner: kept.get(CONFUSION)}
    known = {name: np.array(matrix, dtype=np.int64) for name, matrix in matrices.items() if matrix}
    if len(known) < 2 or len(known["dense"]) > PICTURED:
        return []
    return [save_figure(confusion(known, split), folder / f"{CONFUSION}.png")]


def confusion(matrices: Mapping[str, IntArray], split: str) -> Figure:
    """A panel a network; ``matrices``: ``int64 [classes, classes]``, a row a true class."""
    classes = len(next(iter(matrices.values())))
    side = PANEL + 0.26 * classes
    figure, panels = new_figure(len(matrices), len(matrices) * side, side)
    for axes, (name, matrix) in zip(panels, matrices.items(), strict=True):
        shades = _panel(axes, matrix)
        axes.set_title(plain(name))
    panels[0].set_ylabel("true class")
    figure.colorbar(shades, ax=panels, label="share of the true class", shrink=0.8)
    figure.suptitle(f"Taken for what, on the {split} samples")
    return figure


def _panel(axes: Axes, matrix: IntArray) -> AxesImage:
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shades = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    size = 9 if len(matrix) <= 10 else 6
    for truth, taken in zip(*np.nonzero(matrix), strict=True):
        colour = "white" if shares[truth, taken] > DARK else "black"
        text = str(matrix[truth, taken])
        axes.text(taken, truth, text, ha="center", va="center", fontsize=size, color=colour)
    axes.grid(visible=False)
    axes.set_xticks(range(len(matrix)))
    axes.set_yticks(range(len(matrix)))
    axes.set_xlabel("taken for")
    return shades
