"""Pictures of a device profile: what it promises beside what was measured, and what widths cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlprune.arrays import FloatArray
from rlprune.devices.profiles.records import ErrorSummary
from rlprune.envs.plan_figure import new_figure
from rlprune.experiments.presenting.styles import BLACK, BLUE, GREEN, GREY, PINK, VERMILION, save_figure
from rlprune.experiments.runs.profile_plans import ProfilePlans

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BANDS = ((0.10, 0.15), (0.05, 0.25))
"""Relative error and how dark it is drawn."""
CAPTIONS = {
    "profile-promise": "Latency as the profile promises it beside what was measured, with bands of 5% and 10%.",
    "profile-mixes": "The same of plans that drop blocks and compute in int8; rings: plans that the fit never saw.",
    "profile-surface": "Latency over the widths of the group that costs most and of its neighbour, the others half.",
    "profile-energy": "Energy against latency, of the plans that were measured.",
}
MIXES = {"in float": GREY, "blocks dropped": VERMILION, "in int8": GREEN, "dropped, in int8": PINK}
"""What a measured mix may be, and its colour."""


def draw_profile(series: ProfilePlans, folder: Path) -> list[Path]:
    """Write :func:`figures_of_profile` into ``folder`` and return the files."""
    return [save_figure(figure, folder / f"{name}.png") for name, figure in figures_of_profile(series).items()]


def figures_of_profile(series: ProfilePlans) -> dict[str, Figure]:
    """Every picture that there are data for, by name, in the order of captions."""
    measured, mixed = bool(series.measured_ms), series.mixes is not None and bool(series.mixes.measured_ms)
    figures = {
        "profile-promise": (measured, promise_of_profile),
        "profile-mixes": (mixed, promise_of_mixes),
        "profile-surface": (True, latency_surface),
        "profile-energy": (measured, energy_against_latency),
    }
    return {name: draw(series) for name, (there, draw) in figures.items() if there}


def promise_of_profile(series: ProfilePlans) -> Figure:
    """Promised against measured latency: fitted plans, and those that were held out."""
    promised, measured = np.array(series.promised_ms), np.array(series.measured_ms)
    held_out = np.array(series.held_out)
    shown = [
        ("fitted", promised[~held_out], measured[~held_out], GREY),
        ("never seen by the fit", promised[held_out], measured[held_out], VERMILION),
    ]
    return promise_scatter(series.title, shown, series.error)


def promise_of_mixes(series: ProfilePlans) -> Figure:
    """Promised against measured latency of plans that drop blocks and compute in int8."""
    mixes = series.mixes
    assert mixes is not None  # drawn only where there are some
    promised, measured, held_out = map(np.array, (mixes.promised_ms, mixes.measured_ms, mixes.held_out))
    kinds = np.minimum(mixes.dropped, 1) + 2 * np.minimum(mixes.int8, 1)
    shown = [
        (label, promised[kinds == kind], measured[kinds == kind], colour)
        for kind, (label, colour) in enumerate(MIXES.items())
        if (kinds == kind).any()
    ]
    figure = promise_scatter(series.title, shown, mixes.error)
    rings: dict[str, Any] = {
        "markersize": 8,
        "markerfacecolor": "none",
        "markeredgecolor": BLACK,
        "markeredgewidth": 0.8,
    }
    figure.axes[0].plot(measured[held_out], promised[held_out], "o", label="never seen by the fit", **rings)
    figure.axes[0].legend(loc="upper left", fontsize=8, frameon=False)
    return figure


def promise_scatter(
    title: str, series: Sequence[tuple[str, FloatArray, FloatArray, str]], errors: ErrorSummary
) -> Figure:
    """Promised against measured milliseconds.

    Args:
        series: name, promised ``[P]``, measured ``[P]`` and colour.
        errors: stand under the title.
    """
    figure, (axes,) = new_figure(1, 5.6, 5.6)
    both = np.concatenate([values for _, promised, measured, _ in series for values in (promised, measured)])
    ends = np.array([0.0, 1.05 * both.max()])
    for band, shade in BANDS:
        low, high = ends * (1 - band), ends * (1 + band)
        axes.fill_between(ends, low, high, color=BLUE, alpha=shade, label=f"±{band:.0%}", linewidth=0)
    axes.plot(ends, ends, color=BLACK, linewidth=0.8)
    for label, promised, measured, colour in series:
        axes.plot(measured, promised, "o", markersize=4.5, color=colour, alpha=0.8, label=label)
    axes.set(xlim=ends, ylim=ends, xlabel="measured latency in ms", ylabel="promised latency in ms")
    axes.set_title(f"{title}\n{errors}", fontsize=9)
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    return figure


def latency_surface(series: ProfilePlans) -> Figure:
    """Latency over two groups' widths; ticks are the widths that pay."""
    surface = series.surface
    figure, (axes,) = new_figure(1, 6.6, 5.2)
    latency = np.array(surface.latency_ms)
    mesh = axes.pcolormesh(*surface.widths, latency.T, shading="nearest", cmap="viridis")
    figure.colorbar(mesh, label="predicted latency in ms")
    axes.set_xticks(surface.paying[0])
    axes.set_yticks(surface.paying[1])
    axes.set_xlabel(f"channels of {surface.groups[0]}")
    axes.set_ylabel(f"channels of {surface.groups[1]}")
    axes.set_title(f"{series.title}: ticks are the widths that pay", fontsize=9)
    axes.grid(visible=False)
    return figure


def energy_against_latency(series: ProfilePlans) -> Figure:
    """Energy of the measured plans: what the model says of all, and metered points where there were any."""
    figure, (axes,) = new_figure(1, 6.2, 4.6)
    kind = "model fitted to the meter" if series.metered_mj else "E = P x T, power stated"
    axes.plot(series.measured_ms, series.energy_mj, "o", color=GREY, markersize=4, label=kind)
    if series.metered_mj:
        axes.plot(series.metered_ms, series.metered_mj, "D", color=VERMILION, markersize=6, label="metered")
    axes.set(xlabel="latency in ms", ylabel="energy of one inference in mJ", xlim=(0, None), ylim=(0, None))
    axes.set_title(f"{series.title}\n{series.energy_source}", fontsize=9)
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    return figure
