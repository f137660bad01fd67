"""The device of a job: its profile, and the last measurement beside what was promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from rlprune.budgets.limits import format_cost, impossible
from rlprune.choices.space import Space
from rlprune.devices import Device, DeviceProfile, meter_of
from rlprune.devices.meters import PowerMeter, PowerModel
from rlprune.devices.profiles.records import EnergyModel
from rlprune.devices.profiling.measuring import Effort
from rlprune.devices.profiling.mixed_profiler import add_mixes
from rlprune.devices.profiling.profiler import build_profile
from rlprune.devices.profiling.promise import PlanTiming, PlanTimings, measure_plans
from rlprune.devices.profiling.timing import time_round
from rlprune.evaluation.problem import PruningProblem
from rlprune.experiments.pipeline.device_facts import DeviceFacts, facts_here, facts_of_nothing, facts_of_profile
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.pipeline.scoring import Candidate
from rlprune.experiments.pipeline.setup import is_measured
from rlprune.experiments.settings.problem import ProblemConfig
from rlprune.networks.network import Network

LEEWAY, QUICK_ROUNDS = 1.1, 6
"""How far a quick measurement, of so many rounds, may be off."""
MUCH = 0.05
"""How far a measured latency may be above the promised one before a run says what to do."""


def new_profile(
    network: Network, device: Device, config: ProblemConfig, progress: Progress, path: Path | None = None
) -> DeviceProfile:
    """Measure a profile of ``network`` here.

    Args:
        path: where it is saved; what was measured of it before goes on from there.

    Raises:
        DeviceError: a meter or runtime fails.
        ProfileError: ``path`` cannot be written.
    """
    with progress.phase("profile"):
        return _new_profile(network, device, config, progress, path)


def _new_profile(
    network: Network, device: Device, config: ProblemConfig, progress: Progress, path: Path | None
) -> DeviceProfile:
    assert device.runtime is not None  # a device without a profile always has one
    meter = told_meter(device, config.watts, progress)
    progress.note(f"Profiling on {device.runtime.device_name()}, {device.runtime.identity.name}")
    return build_profile(
        network,
        device.runtime,
        meter,
        effort_of(config),
        path=path,
        progress=True,
    )


def refuse_hopeless(space: Space, device: Device, config: ProblemConfig, progress: Progress) -> None:
    """Refuse budgets that a quick measurement of the smallest network misses by far, before a profile takes minutes.

    Those that it misses or meets narrowly are told. Blocks that are dropped and layers in int8 are not looked at: where
    these are decided, only the profile knows.

    Raises:
        BudgetError: see above.
    """
    budgets = [budget for budget in config.lowest_budgets() if is_measured(budget)]
    if device.runtime is None or device.source is not None or not budgets or {"depth", "bits"} & set(space.kinds):
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
    path: Path | None = None,
) -> DeviceProfile:
    """The profile with what dropped blocks and layers in int8 change, where these are decided and that can be measured.

    Args:
        path: where it is saved. Raises as :func:`new_profile`.
    """
    if not lacks_mixes(profile, space):
        return profile
    if device.runtime is None or profile.basis != "network":
        progress.note(
            "The profile does not say what dropped blocks save: it is taken to be the time of their layers. Weights in "
            "few bits compute in float."
        )
        return profile
    with progress.phase("profile", "Measuring dropped blocks and layers in int8"):
        return add_mixes(profile, space, device.runtime, effort_of(config), path=path, progress=True)


def lacks_mixes(profile: DeviceProfile, space: Space) -> bool:
    """Whether something is decided of which the profile does not say what it changes."""
    return profile.mixed is None and bool({"depth", "bits"} & set(space.kinds))


def effort_of(config: ProblemConfig) -> Effort:
    """How much a new profile measures."""
    return Effort(
        plans=config.profile_plans,
        checks=config.profile_checks,
        samples=config.profile_samples,
        bound=config.profile_bound,
        limit_s=config.profile_limit_s,
        seed=config.seed,
    )


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


def measure(
    candidates: Sequence[Candidate],
    problem: PruningProblem,
    profile: DeviceProfile | None,
    device: Device,
    config: ProblemConfig,
    progress: Progress,
) -> DeviceFacts:
    """Export the pruned candidates truly, time them beside the dense network, and fill in what was measured.

    Where this machine is not the profile's, or nobody asked, nothing is timed and the notes say why.
    """
    if device.runtime is None:
        note = f"Nothing was measured: {device.absent}."
        return facts_of_nothing(note) if profile is None else facts_of_profile(profile, device, [note])
    progress.note("Measuring the exported networks side by side")
    dense = None if profile is None else profile.dense_latency_ms
    pruned = [item for item in candidates if item.role != "dense"]
    meter = meter_of(device, config.watts)[0]
    timings = measure_plans(
        problem.evaluator.tables.network,
        device.runtime,
        [_timed(item, problem, device.runtime.identity.batch) for item in pruned],
        samples=config.profile_samples,
        seed=config.seed,
        dense_latency_ms=dense,
        meter=meter,
        progress=True,
        limit_s=config.profile_limit_s,
    )
    for item, timing in zip(pruned, timings.plans, strict=True):
        _fill(item, timing)
    for item in candidates:
        if item.role == "dense":
            _fill(item, timings.dense)
    notes = _timing_notes(pruned, timings, dense)
    return facts_here(device, meter, notes) if profile is None else facts_of_profile(profile, device, notes)


def _timed(item: Candidate, problem: PruningProblem, batch: int) -> nn.Module | bytes:
    """What is timed: the module, or its ONNX form where layers compute in int8, which torch only imitates."""
    if not item.delivered.ranges:
        return item.module
    return item.delivered.onnx(problem.network.example_inputs, problem.evaluator.task.calibration, batch=batch)


def _fill(item: Candidate, timing: PlanTiming) -> None:
    item.latency_ms, item.corrected_ms = timing.latency_ms, timing.corrected_ms
    item.p99_ms, item.metered_mj, item.peak_bytes = timing.tails_ms["p99"], timing.energy_mj, timing.peak_bytes


def _timing_notes(pruned: Sequence[Candidate], timings: PlanTimings, dense: float | None) -> list[str]:
    notes = [
        f"Latency: minimum of interleaved runs of the exported networks; two halves agree to {timings.spread:.1%}."
    ]
    if dense is None:
        return notes
    drift = timings.dense.latency_ms / dense - 1
    off = {
        item.name: item.corrected_ms / item.costs["latency"] - 1
        for item in pruned
        if item.corrected_ms is not None and "latency" in item.costs
    }
    found = [f"{name} {share:+.1%}" for name, share in off.items()]
    words = (
        f"The dense network ran {abs(drift):.1%} {'slower' if drift > 0 else 'faster'} than when the profile was made "
        f"({timings.dense.latency_ms:.4g} against {dense:.4g} ms)"
    )
    notes.append(f"{words}; as shares of it, measured against promised: {', '.join(found)}.")
    slower = [name for name, share in off.items() if share > MUCH]
    if any(item.name in slower and item.delivered.ranges for item in pruned):
        notes.append(
            f"Promises of networks with layers in int8 are less sure than others: {', '.join(slower)} missed them by "
            f"more than {MUCH:.0%}. Where the limit is hard, ask for a budget that is smaller by as much."
        )
    return notes
