"""Best divergence so far against evaluations: rows with a ``curve`` as arrays and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from rlprune.arrays import FloatArray
from rlprune.envs.plan_figure import new_figure
from rlprune.experiments.benchmarks.columns import groups
from rlprune.experiments.benchmarks.harness import Rows
from rlprune.experiments.presenting.styles import legend_below, styles_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves(rows: Rows, length: int | None = None) -> FloatArray:
    """Of every row, ``[rows, length]``: a shorter one stays at its last value, NaN is no plan yet."""
    known = [np.array(row["curve"], dtype=np.float64) for row in rows]
    length = length or max(map(len, known))
    return np.array([np.concatenate([own, np.full(length, own[-1])])[:length] for own in known])


def draw_curves(rows: Rows, line: str) -> Iterator[tuple[str, Figure]]:
    """A picture for each network and budget: geometric mean and range over the rows of each ``line``."""
    styles = styles_of(row[line] for row in rows)
    for (network, budget), own in groups(rows, "network", "budget").items():
        figure, (axes,) = new_figure(1, 8.5, 5.6)
        for (name,), runs in groups(own, line).items():
            found = np.maximum(curves(runs), 1e-9)
            steps, style = np.arange(1, found.shape[1] + 1), styles[name]
            mean, colour = np.exp(np.log(found).mean(axis=0)), style.colour
            axes.plot(steps, mean, style.line, color=colour, marker=style.marker, ms=4, markevery=0.12, label=name)
            axes.fill_between(steps, found.min(axis=0), found.max(axis=0), color=colour, alpha=0.12, lw=0)
        axes.set(xscale="log", yscale="log", xlabel="evaluations", ylabel="best divergence, nats")
        axes.set_title(f"{network}, {budget}")
        axes.grid(alpha=0.3, which="both")
        legend_below(figure, [axes], 5)
        yield f"{network}-{budget.replace('=', '')}".replace("/", "-"), figure
