"""What plans keep, as bars: a panel for each kind of decision. matplotlib is imported when something is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlprune.arrays import FloatArray
from rlprune.choices.choice import Choice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {
    "channels": "share of the channels\n(at the bars: channels)",
    "weights": "entries of the weight\n(at the bars: %)",
    "depth": "block kept",
    "bits": "bits of the weight\n(at the bars: bits)",
}


@dataclass(frozen=True)
class ShownPlan:
    """A plan as a picture shows it.

    Attributes:
        name: in the legend.
        colour: of its bars.
        levels: of every choice, ``[K]``; None where nothing is decided yet.
    """

    name: str
    colour: str
    levels: Sequence[int | None]


def plan_figure(choices: Sequence[Choice], plans: Sequence[ShownPlan]) -> tuple[Figure, list[Axes]]:
    """What each layer keeps, in forward order from the top; the size follows from the choices alone."""
    names = list(dict.fromkeys(choice.name for choice in choices))
    kinds = [kind for kind in PANELS if any(choice.kind == kind for choice in choices)]
    figure, panels = new_figure(len(kinds), 4.6 + 2.8 * len(kinds), 1.9 + 0.19 * len(names) * len(plans))
    height = 0.8 / len(plans)
    for axes, kind in zip(panels, kinds, strict=True):
        places = [place for place, choice in enumerate(choices) if choice.kind == kind]
        rows = np.array([names.index(choices[place].name) for place in places], dtype=np.float64)
        for index, plan in enumerate(plans):
            at = rows + (index - (len(plans) - 1) / 2) * height
            _bars(axes, at, [(choices[place], plan.levels[place]) for place in places], 0.92 * height, plan)
        axes.set(xlim=(0, 1.12), ylim=(len(names) - 0.5, -0.5), xlabel=PANELS[kind])
        axes.set_yticks(range(len(names)), _labels(names, choices) if axes is panels[0] else [], fontsize=8)
    return figure, panels


def plan_lines(choices: Sequence[Choice], plans: Sequence[ShownPlan], width: float) -> Figure:
    """The same as lines over the layers, which can be read where names of layers cannot; ``width`` is in inches."""
    kinds = [kind for kind in PANELS if any(choice.kind == kind for choice in choices)]
    figure, panels = new_figure(1, width, 1.1 + 1.3 * len(kinds), rows=len(kinds))
    for axes, kind in zip(panels, kinds, strict=True):
        places = [place for place, choice in enumerate(choices) if choice.kind == kind]
        for plan in plans:
            shares = [choices[place].share(plan.levels[place] or 0) for place in places]
            look: dict[str, Any] = {"drawstyle": "steps-mid", "marker": ".", "color": plan.colour, "label": plan.name}
            axes.plot(range(1, len(places) + 1), shares, **look)
        axes.set(
            xlim=(0.5, len(places) + 0.5), ylim=(0, 1.05), ylabel=f"{kind} kept" if kind != "bits" else "bits, of all"
        )
        axes.locator_params(axis="x", integer=True)
    panels[-1].set_xlabel("layer, in forward order")
    return figure


def plan_pixels(choices: Sequence[Choice], plan: ShownPlan) -> npt.NDArray[np.uint8]:
    """One plan as a picture, ``uint8 [height, width, 3]``; of the same size for every plan of these choices."""
    return pixels_of(plan_figure(choices, [plan])[0])


def _bars(
    axes: Axes,
    at: FloatArray,
    decided: Sequence[tuple[Choice, int | None]],
    height: float,
    plan: ShownPlan,
) -> None:
    shares = [0.0 if level is None else choice.share(level) for choice, level in decided]
    axes.barh(at, shares, height=height, color=plan.colour, label=plan.name)
    for place, share, (_, level) in zip(at, shares, decided, strict=True):
        axes.text(share + 0.008, place, "-" if level is None else str(level), va="center", fontsize=7)


def _labels(names: Sequence[str], choices: Sequence[Choice]) -> list[str]:
    """Names of layers; with the channels of the dense network, where nothing else is decided."""
    alone = all(choice.kind == "channels" for choice in choices)
    widths = {choice.name: f" ({choice.full})" for choice in choices} if alone else {}
    return [plain(name + widths.get(name, "")) for name in names]


def plain(text: str) -> str:
    """Text that matplotlib does not take for a formula."""
    return text.replace("$", r"\$")


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


def pixels_of(figure: Figure, dpi: float | None = None) -> npt.NDArray[np.uint8]:
    """A figure as ``uint8 [height, width, 3]``; ``dpi`` is of the figure itself where none is given."""
    figure.set_dpi(dpi or figure.get_dpi())
    canvas: Any = figure.canvas
    canvas.draw()
    return np.array(canvas.buffer_rgba(), dtype=np.uint8)[..., :3].copy()
