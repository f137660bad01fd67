"""Pictures of a device profile: what it promises beside what was measured, and what widths cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlprune.arrays import FloatArray
from rlprune.devices.profiles.mixed import MixedLatency
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.profiles.records import ErrorSummary
from rlprune.devices.profiling.plans import at_levels
from rlprune.envs.plan_figure import new_figure
from rlprune.experiments.presenting.styles import BLACK, BLUE, GREEN, GREY, PINK, VERMILION, save_figure
from rlprune.experiments.runs.result import MixedPlans, ProfilePlans, Surface
from rlprune.networks.network import Network

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


def profile_plans(profile: DeviceProfile, network: Network, name: str) -> ProfilePlans:
    """What the pictures show, so that they can be drawn again without the network.

    Args:
        network: of the profile.
        name: of it, for the titles.
    """
    predict = profile.predictor.bind(network)
    plans = np.array([plan.widths for plan in profile.measured], dtype=np.int64).reshape(-1, len(network.groups))
    latency = np.array([plan.latency_ms for plan in profile.measured])
    read = np.array([reading.widths for reading in profile.readings], dtype=np.int64).reshape(-1, len(network.groups))
    return ProfilePlans(
        title=f"{name} on {profile.runtime.name}, {profile.device}",
        error=profile.held_out,
        measured_ms=latency.tolist(),
        promised_ms=predict(plans).tolist() if len(plans) else [],
        held_out=[plan.held_out for plan in profile.measured],
        energy_source=profile.energy.source,
        energy_measured=profile.energy.measured,
        energy_mj=profile.energy(latency, network.macs(plans)).tolist() if len(plans) else [],
        metered_ms=predict(read).tolist() if len(read) else [],
        metered_mj=[reading.energy_mj for reading in profile.readings],
        surface=_surface(profile, network),
        mixes=None if profile.mixed is None else _mixes(profile.mixed),
    )


def _mixes(mixed: MixedLatency) -> MixedPlans:
    """Mixes of which something is promised."""
    plans = [(plan, plan.promised_ms) for plan in mixed.measured if plan.promised_ms is not None]
    return MixedPlans(
        error=mixed.held_out,
        measured_ms=[plan.latency_ms for plan, _ in plans],
        promised_ms=[promised for _, promised in plans],
        held_out=[plan.held_out for plan, _ in plans],
        dropped=[len(plan.dropped) for plan, _ in plans],
        int8=[len(plan.int8) for plan, _ in plans],
    )


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


def _surface(profile: DeviceProfile, network: Network) -> Surface:
    """Predicted latency over the widths of the costliest group and of its neighbour, the others at half width."""
    predict, lowest = profile.predictor.bind(network), profile.lowest()
    pair = _costliest_pair(profile, network)
    middle = np.maximum(at_levels(network, np.full(len(network.groups), 0.5)), lowest)
    widths = [[w for w in network.groups[i].widths if w >= lowest[i]] for i in pair]
    plans = np.tile(middle, (len(widths[0]), len(widths[1]), 1))
    plans[:, :, pair[0]] = np.array(widths[0])[:, None]
    plans[:, :, pair[1]] = np.array(widths[1])[None, :]
    names = [network.groups[i].name for i in pair]
    latency = predict(plans.reshape(-1, plans.shape[2])).reshape(plans.shape[:2])
    return Surface(
        groups=names,
        widths=widths,
        paying=[list(profile.widths[name]) for name in names],
        latency_ms=[line.tolist() for line in latency],
    )


def _costliest_pair(profile: DeviceProfile, network: Network) -> tuple[int, int]:
    """The group that saves most time at its narrowest, and the neighbour that saves more."""
    groups = len(network.groups)
    narrow = np.where(np.eye(groups, dtype=bool), profile.lowest(), network.dense_widths)
    saved = profile.dense_latency_ms - profile.predictor.bind(network)(narrow)
    first = int(saved.argmax())
    neighbours = [index for index in (first - 1, first + 1) if 0 <= index < groups]
    return first, max(neighbours, key=lambda index: float(saved[index]), default=first)


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
