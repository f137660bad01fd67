"""The device profile that a problem needs: given, or measured here."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from rlprune.budgets.limits import Budget, format_cost, impossible
from rlprune.choices.space import Space
from rlprune.costs.registry import METRICS
from rlprune.devices import Device, DeviceProfile, meter_of
from rlprune.devices.meters import PowerMeter, PowerModel
from rlprune.devices.profiles.records import EnergyModel
from rlprune.devices.profiling.mixed_profiler import add_mixes, decides_mixes
from rlprune.devices.profiling.profiler import build_profile
from rlprune.devices.profiling.timing import time_round
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.settings.options import words_of
from rlprune.experiments.settings.problem import ProblemConfig
from rlprune.networks.network import Network

LEEWAY, QUICK_ROUNDS = 1.1, 6
"""How far a quick measurement, of so many rounds, may be off."""


def is_measured(budget: Budget) -> bool:
    """Whether the budget is on a cost that only a device profile knows."""
    return METRICS[budget.metric].is_timed


def needs_profile(config: ProblemConfig) -> bool:
    """Whether a budget or the reward asks for measured costs."""
    return config.reward == "weighted" or any(map(is_measured, config.budgets()))


def needed_profile(
    space: Space, device: Device, config: ProblemConfig, progress: Progress, place: Callable[[], Path] | None
) -> DeviceProfile | None:
    """The profile that was given, if any; where a budget or the reward needs one, what it lacks is measured here.

    Args:
        place: asked where to save a profile, once one is measured; None where it is not kept.

    Raises:
        DeviceError: a meter or runtime fails.
        ProfileError: the given one is of another network, or the new one cannot be written.
    """
    profile = fitting_profile(device, space.network, config.watts)
    if not needs_profile(config):
        return profile
    if profile is None:
        path = place and place()
        profile = _new_profile(space.network, device, config, progress, path)
        if path is not None:
            progress.note(f"Other runs can use this profile: {shlex.join(words_of('device', path))}")
    return with_mixes(profile, space, device, config, progress, place)


def _new_profile(
    network: Network, device: Device, config: ProblemConfig, progress: Progress, path: Path | None
) -> DeviceProfile:
    """Measured here; what was measured before of the one at ``path`` goes on from there."""
    assert device.runtime is not None  # a device without a profile always has one
    with progress.phase("profile"):
        meter = told_meter(device, config.watts, progress)
        progress.note(f"Profiling on {device.runtime.device_name()}, {device.runtime.identity.name}")
        return build_profile(network, device.runtime, meter, config.effort(), path=path, progress=True)


def refuse_hopeless(space: Space, device: Device, config: ProblemConfig, progress: Progress) -> None:
    """Refuse budgets that a quick measurement of the smallest network misses by far, before a profile takes minutes.

    Those that it misses or meets narrowly are told. Blocks that are dropped and layers in int8 are not looked at: where
    these are decided, only the profile knows.

    Raises:
        BudgetError: see above.
    """
    budgets = [budget for budget in config.lowest_budgets() if is_measured(budget)]
    if device.runtime is None or device.source is not None or not budgets or decides_mixes(space):
        return
    network, meter = space.network, meter_of(device, config.watts)[0]
    plans = (network.dense_widths, np.array([group.widths[0] for group in network.groups], dtype=np.int64))
    inferences = [device.runtime.load(network, widths) for widths in plans]
    rounds = [time_round(device.runtime, inferences, number, config.seed) for number in range(QUICK_ROUNDS)]
    dense, needed = np.min(rounds, axis=(0, 2)).tolist()
    if "channels" not in space.kinds:  # zeros save no time
        needed = dense
    for budget in budgets:
        scale = 1.0
        if budget.metric == "energy":
            if not isinstance(meter, PowerModel):
                continue  # a fixed part of it is known to a meter alone
            scale = meter.watts
        elif budget.metric != "latency" and budget.unit is None:
            continue  # a share of a tail that nobody measured yet
        used = scale * needed / budget.limit(scale * dense)
        if used > LEEWAY:
            raise impossible(budget, scale * needed, scale * dense, " (measured quickly)")
        if used > 1 / LEEWAY:
            progress.note(
                f"Budget {budget} is about the least that can be met: measured quickly, the smallest network takes "
                f"{needed / dense:.0%} of the dense one's latency. The profile will tell."
            )


def with_mixes(
    profile: DeviceProfile,
    space: Space,
    device: Device,
    config: ProblemConfig,
    progress: Progress,
    place: Callable[[], Path] | None = None,
) -> DeviceProfile:
    """The profile with what dropped blocks and layers in int8 change, where these are decided and that can be measured.

    Args and errors are those of :func:`needed_profile`.
    """
    if not _lacks_mixes(profile, space):
        return profile
    if device.runtime is None or profile.basis != "network":
        progress.note(
            "The profile does not say what dropped blocks save: it is taken to be the time of their layers. Weights in "
            "few bits compute in float."
        )
        return profile
    with progress.phase("profile", "Measuring dropped blocks and layers in int8"):
        return add_mixes(profile, space, device.runtime, config.effort(), path=place and place(), progress=True)


def _lacks_mixes(profile: DeviceProfile, space: Space) -> bool:
    """Whether something is decided of which the profile does not say what it changes."""
    return profile.mixed is None and decides_mixes(space)


def told_meter(device: Device, watts: float | None, progress: Progress) -> PowerMeter:
    """The best meter of a device; why better ones are absent is told."""
    meter, absent = meter_of(device, watts)
    for line in absent:
        progress.note(f"No meter: {line}. Energy rests on the {meter.source}.")
    return meter


def fitting_profile(device: Device, network: Network, watts: float | None) -> DeviceProfile | None:
    """The profile that was given, if any; ``watts`` replace its stated ones, measured ones stay.

    Raises:
        ProfileError: it is of another network.
    """
    if device.source is None:
        return None
    profile = device.source.for_network(network)
    if watts is None or profile.energy.measured:
        return profile
    return replace(profile, energy=EnergyModel.stated(watts, PowerModel(watts).source))


def describe(profile: DeviceProfile) -> str:
    """The profile and its own error in one line."""
    return (
        f"Profile: {profile.device}, {profile.runtime}; dense {format_cost('latency', profile.dense_latency_ms)}; "
        f"error on {profile.held_out.plans} unseen plans: {profile.held_out}; energy: {profile.energy.source}"
    )
