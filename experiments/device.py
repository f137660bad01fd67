"""The device of a job: its profile, and the last measurement beside what was promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rlprune.devices import Device, DeviceProfile
from rlprune.devices.meters import choose_meter
from rlprune.devices.profiler import build_profile
from rlprune.devices.promise import PlanTimings, measure_plans
from rlprune.devices.records import Power
from rlprune.experiments.config import ProblemConfig
from rlprune.experiments.progress import Progress
from rlprune.experiments.scoring import Candidate
from rlprune.network import Network

RUNS_BETWEEN_LOOKS = 5  # inferences between two looks at the clock of a meter


@dataclass(frozen=True)
class PowerFacts:
    """What the measured columns of a table rest on.

    Attributes:
        watts: power of the device while it runs; None where nothing is known.
        source: of the watts, for people.
        batch: samples in one inference.
        facts: device, runtime and errors by name, for the report.
        notes: sentences for people.
    """

    watts: float | None
    source: str
    batch: int
    facts: dict[str, Any]
    notes: list[str]


def new_profile(network: Network, device: Device, config: ProblemConfig, progress: Progress) -> DeviceProfile:
    """Measure a profile of ``network`` here.

    Raises:
        DeviceError: a meter or runtime fails.
    """
    assert device.runtime is not None  # a device without a profile always has one
    meter, absent = choose_meter(device.kind, config.watts)
    for line in absent:
        progress.note(f"No meter: {line}. Energy rests on the {meter.source}.")
    progress.note(f"Profiling on {device.runtime.device_name()}, {device.runtime.identity.name}")
    return build_profile(
        network,
        device.runtime,
        meter,
        plans=config.profile_plans,
        checks=config.profile_checks,
        samples=config.profile_samples,
        seed=config.seed,
        progress=True,
    )


def fitting_profile(device: Device, network: Network, watts: float | None) -> DeviceProfile | None:
    """The profile that was given, if any; ``watts`` replace its stated ones, measured ones stay.

    Raises:
        ProfileError: it is of another network.
    """
    profile = device.profile
    if profile is None:
        return None
    profile.check(network)
    if watts is None or profile.power.measured:
        return profile
    return replace(profile, power=Power(watts, f"power model, {watts:g} W stated", measured=False))


def describe(profile: DeviceProfile) -> str:
    """The profile and its own error in one line."""
    error, runtime = profile.held_out, profile.runtime
    threads = f"{runtime.threads} thread(s), batch {runtime.batch}"
    errors = f"error on {error.plans} unseen plans: median {error.median:.1%}, p90 {error.p90:.1%}"
    return (
        f"Profile: {profile.device}, {runtime.name} {runtime.version}, {threads}; "
        f"dense {profile.dense_latency_ms:.3f} ms; {errors}; energy: {profile.power.source}"
    )


def measure(
    candidates: Sequence[Candidate],
    network: Network,
    profile: DeviceProfile | None,
    device: Device,
    config: ProblemConfig,
    progress: Progress,
) -> PowerFacts:
    """Export the pruned candidates truly, time them beside the dense network, and fill in their latencies.

    Where this machine is not the profile's, nothing is timed and the notes say why.
    """
    if device.runtime is None:
        assert profile is not None  # a device without a runtime came with its profile
        return _facts_of_profile(profile, [f"Nothing was measured: {device.absent}."])
    progress.note("Measuring the exported networks side by side")
    dense = None if profile is None else profile.dense_latency_ms
    pruned = [item for item in candidates if item.role != "dense"]
    timings = measure_plans(
        network,
        device.runtime,
        [item.module for item in pruned],
        samples=config.profile_samples,
        seed=config.seed,
        dense_latency_ms=dense,
        progress=True,
    )
    for item, timing in zip(pruned, timings.plans, strict=True):
        item.latency_ms, item.corrected_ms = timing.latency_ms, timing.corrected_ms
    for item in candidates:
        if item.role == "dense":
            item.latency_ms, item.corrected_ms = timings.dense.latency_ms, timings.dense.corrected_ms
    notes = _timing_notes(pruned, timings, dense)
    return facts_here(network, device, config.watts, notes) if profile is None else _facts_of_profile(profile, notes)


def _timing_notes(pruned: Sequence[Candidate], timings: PlanTimings, dense: float | None) -> list[str]:
    notes = [
        f"Latency: minimum of interleaved runs of the exported networks; two halves agree to {timings.spread:.1%}."
    ]
    if dense is None:
        return notes
    drift = timings.dense.latency_ms / dense - 1
    found = [
        f"{item.name} {item.corrected_ms / item.costs['latency'] - 1:+.1%}"
        for item in pruned
        if item.corrected_ms is not None and "latency" in item.costs
    ]
    words = (
        f"The dense network ran {abs(drift):.1%} {'slower' if drift > 0 else 'faster'} than when the profile was made"
    )
    return [*notes, f"{words}; with that taken out, measured against promised: {', '.join(found)}."]


def _facts_of_profile(profile: DeviceProfile, notes: list[str]) -> PowerFacts:
    power, error = profile.power, profile.held_out
    facts: dict[str, Any] = {"device": profile.device, **_named(asdict(profile.runtime)), "power": power.source}
    facts["profile error"] = f"median {error.median:.1%}, p90 {error.p90:.1%} on {error.plans} unseen plans"
    note = _energy_note(power.source, power.measured)
    return PowerFacts(power.watts, power.source, profile.runtime.batch, facts, [*notes, note])


def facts_here(network: Network, device: Device, watts: float | None, notes: list[str]) -> PowerFacts:
    """What the measured columns rest on where there is no profile; power is read from a meter or stated."""
    runtime = device.runtime
    assert runtime is not None  # a device without a profile always has one
    facts = {"device": runtime.device_name(), **_named(asdict(runtime.identity))}
    meter, _ = choose_meter(device.kind, watts)
    inference = runtime.load(network, network.dense_widths) if meter.measured else None
    power = meter.average_watts(lambda: None if inference is None else runtime.time(inference, RUNS_BETWEEN_LOOKS))
    note = _energy_note(meter.source, meter.measured)
    return PowerFacts(power, meter.source, runtime.identity.batch, facts, [*notes, note])


def _energy_note(source: str, measured: bool) -> str:
    return f"Energy: {source} ({'measured' if measured else 'stated, not measured'})."


def _named(identity: dict[str, Any]) -> dict[str, Any]:
    return {"runtime": identity.pop("name"), **identity}
