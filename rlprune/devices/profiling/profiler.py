"""Measures a device profile: random plans, timed interleaved, fitted, and checked on plans the fit never saw.

Two phases. Probes over all widths of the network show which widths pay on this runtime (ONNX Runtime computes in
blocks of 8 or 16 channels: those between cost as much as the next multiple). The plans that are fitted and checked
then use only widths that pay, where the predictor is at its best and where every search will stay. A profile can be
extended by further plans, and fitted again from what it holds.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from rlprune.arrays import BoolArray, IntArray
from rlprune.devices.host import operating_system
from rlprune.devices.meters import PowerMeter, PowerModel
from rlprune.devices.profiles.mixed import refit_mixed
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.profiles.records import EnergyModel, EnergyReading, ErrorSummary, MeasuredPlan, MeasuringPass
from rlprune.devices.profiling.energy import choose_readings, fit_energy
from rlprune.devices.profiling.fitting import fit_predictor, paying_widths
from rlprune.devices.profiling.measuring import PROBE_TIME, Effort, Stage, Timed
from rlprune.devices.profiling.partial import PartialProfile
from rlprune.devices.profiling.plans import choose_plans
from rlprune.devices.profiling.tails import fit_tails, scaled
from rlprune.devices.profiling.timing import ESTIMATOR
from rlprune.devices.runtimes.base import Runtime
from rlprune.devices.runtimes.checks import check_present
from rlprune.errors import ProfileError
from rlprune.networks.network import Network

PROBES = 0.5
"""Probes for each fitted plan."""
LEAST_PROBES = 24


def build_profile(
    network: Network,
    runtime: Runtime,
    meter: PowerMeter,
    effort: Effort | None = None,
    *,
    path: str | Path | None = None,
    progress: bool = False,
) -> DeviceProfile:
    """Measure ``network`` on the device of ``runtime``.

    About ``1.5 * plans + checks`` plans are loaded, at most ``plans + checks`` at a time; all keep their weights in
    memory meanwhile.

    Args:
        meter: gives the energy; see :func:`rlprune.devices.meters.choose_meter`.
        effort: how much is measured.
        path: where the profile is saved. Until then what was measured is kept in ``<path>.partial.json``, from where a
            second call with the same arguments goes on.
        progress: show bars on stderr.

    Raises:
        DeviceError: the runtime or the meter is absent, or stops answering.
        NetworkError: the network cannot be exported for the runtime.
        ProfileError: ``path`` cannot be written.
    """
    effort = effort or Effort()
    check_present(runtime)
    key = _key(network, runtime, effort)
    stored = PartialProfile(path, key)
    stage = Stage(network, runtime, stored, effort, progress)
    probes = stage.measure("probe", choose_plans(network, _probe_count(effort.plans), effort.seed), PROBE_TIME)
    probed = fit_predictor(network, probes.plans, probes.latency_ms, effort.seed, steps=False)
    allowed = paying_widths(network, probed.predictor)
    chosen = choose_plans(network.restricted(allowed), effort.plans + effort.checks, effort.seed + 1)
    main = stage.measure("main", chosen)
    measured = _records(main, _hold_out(chosen, effort.checks, effort.seed), 0, 1.0)
    energy, readings = _energy(stage, network, meter, main, effort)
    profile = DeviceProfile(
        device=runtime.device_name(),
        os=operating_system(),
        runtime=runtime.identity,
        estimator=ESTIMATOR,
        created=_now(),
        fingerprint=network.fingerprint,
        dense_latency_ms=float(main.latency_ms[0]),
        widths=allowed,
        sessions=(_session(main, effort),),
        seed=effort.seed,
        basis="network",
        notes=(),
        measured=measured,
        readings=readings,
        **_fits(network, measured, readings, energy, effort.seed),
    )
    if path is not None:
        profile.save(path)
    stored.remove()
    return profile


def extend_profile(
    profile: DeviceProfile,
    network: Network,
    runtime: Runtime,
    effort: Effort | None = None,
    *,
    path: str | Path | None = None,
    progress: bool = False,
) -> DeviceProfile:
    """Measure further plans over the profile's widths, none of them known yet, and fit everything again.

    Latencies are scaled by the dense network, which is measured again: what drifted since then cancels. The energy is
    not measured again. Arguments and errors as for :func:`build_profile`.

    Raises:
        ProfileError: the profile is of another network, device or runtime, was made of layers, or no plan is left.
    """
    effort = effort or Effort()
    check_present(runtime)
    _check_extensible(profile, network, runtime)
    number = len(profile.sessions)
    seed = effort.seed + 1000 * number
    plans = _unknown(network.restricted(profile.widths), profile, effort.plans + effort.checks, seed + 1)
    stored = PartialProfile(path, {**_key(network, runtime, effort), "extends": [number, profile.created]})
    timed = Stage(network, runtime, stored, effort, progress).measure("main", plans)
    scale = profile.dense_latency_ms / float(timed.latency_ms[0])
    held_out = _hold_out(plans, effort.checks, seed)
    extended = replace(
        profile,
        created=_now(),
        sessions=(*profile.sessions, _session(timed, effort)),
        measured=(*profile.measured, *_records(timed, held_out, number, scale)[1:]),
    )
    extended = refit(extended, network)
    if path is not None:
        extended.save(path)
    stored.remove()
    return extended


def refit(profile: DeviceProfile, network: Network) -> DeviceProfile:
    """A profile of the same measurements with all fits made anew: predictor, tails, energy, mixes and errors.

    Raises:
        ProfileError: the profile is of another network, or holds no measurements.
    """
    profile.check(network)
    if not profile.measured:
        raise ProfileError("The profile holds no measured plans to fit: it was made of layers. Measure the network.")
    fits = _fits(network, profile.measured, profile.readings, profile.energy, profile.seed)
    if profile.mixed is not None:
        fits["mixed"] = refit_mixed(profile.mixed, network, fits["predictor"])
    return replace(profile, **fits)


def _fits(
    network: Network,
    measured: Sequence[MeasuredPlan],
    readings: Sequence[EnergyReading],
    energy: EnergyModel,
    seed: int,
) -> dict[str, Any]:
    """What a profile says beyond its measurements, by field; ``energy`` stays where nothing was read."""
    plans = np.array([plan.widths for plan in measured], dtype=np.int64)
    latency = np.array([plan.latency_ms for plan in measured])
    held_out = np.array([plan.held_out for plan in measured])
    fit = fit_predictor(network, plans[~held_out], latency[~held_out], seed)
    predict = fit.predictor.bind(network)
    if readings:
        energy = fit_energy(network, readings, predict, energy)
    return {
        "predictor": fit.predictor,
        "energy": energy,
        "tails": fit_tails(latency, np.array([plan.tails_ms for plan in measured]), held_out),
        "held_out": ErrorSummary.of(predict(plans[held_out]) / latency[held_out] - 1),
        "cross_validated": ErrorSummary.of(fit.errors),
    }


def _energy(
    stage: Stage, network: Network, meter: PowerMeter, timed: Timed, effort: Effort
) -> tuple[EnergyModel, tuple[EnergyReading, ...]]:
    """Readings of some of the timed plans; a stated power is taken as it is."""
    if isinstance(meter, PowerModel):
        return EnergyModel.stated(meter.watts, meter.source), ()
    chosen = choose_readings(network, timed.plans)
    readings = stage.read(meter, timed.plans[chosen], timed.latency_ms[chosen])
    idle = meter.idle_watts(effort.window_s)
    return EnergyModel(0.0, meter.source, meter.measured, idle_watts=idle), tuple(readings)


def _check_extensible(profile: DeviceProfile, network: Network, runtime: Runtime) -> None:
    profile.check(network)
    here, there = (runtime.device_name(), runtime.identity), (profile.device, profile.runtime)
    if here != there:
        raise ProfileError(
            f"A profile must be extended where it was measured: on {there[0]} with {there[1]}; this is {here[0]} with "
            f"{here[1]}. Measure a profile of its own here."
        )
    if profile.basis != "network":
        raise ProfileError("A profile made of layers cannot be extended. Measure the network: rlprune profile.")


def _key(network: Network, runtime: Runtime, effort: Effort) -> dict[str, Any]:
    return {
        "fingerprint": network.fingerprint,
        "widths": {group.name: list(group.widths) for group in network.groups},
        "device": runtime.device_name(),
        "runtime": asdict(runtime.identity),
        "effort": effort.key(),
    }


def _unknown(network: Network, profile: DeviceProfile, count: int, seed: int) -> IntArray:
    """The dense network and up to ``count`` plans that the profile does not hold, ``[P, G]``."""
    known = {plan.widths for plan in profile.measured}
    drawn = choose_plans(network, count + len(known) + 1, seed)
    new = [plan for plan in drawn if tuple(int(width) for width in plan) not in known][:count]
    if not new:
        raise ProfileError("Every plan over the allowed widths was measured already: the profile cannot be extended.")
    return np.array([network.dense_widths, *new], dtype=np.int64)


def _probe_count(plans: int) -> int:
    return max(LEAST_PROBES, int(plans * PROBES))


def _hold_out(plans: IntArray, checks: int, seed: int) -> BoolArray:
    """Which plans the fit never sees, ``[P]``: neither the dense nor the narrowest, and at most a quarter of all."""
    held_out = np.zeros(len(plans), dtype=np.bool_)
    free = np.arange(2, len(plans))
    count = min(checks, max(1, len(plans) // 4), len(free))
    held_out[np.random.default_rng(seed).choice(free, count, replace=False)] = True
    return held_out


def _session(timed: Timed, effort: Effort) -> MeasuringPass:
    return MeasuringPass(
        created=_now(),
        plans=len(timed.plans),
        samples=timed.samples.shape[1],
        dense_latency_ms=float(timed.latency_ms[0]),
        spread=timed.spread,
        bound=effort.bound,
        other_load=timed.other_load,
    )


def _records(timed: Timed, held_out: BoolArray, session: int, scale: float) -> tuple[MeasuredPlan, ...]:
    rows = zip(timed.plans, timed.latency_ms * scale, scaled(timed.samples, scale), held_out, strict=True)
    return tuple(
        MeasuredPlan(tuple(int(w) for w in plan), float(ms), tails, bool(out), session) for plan, ms, tails, out in rows
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
