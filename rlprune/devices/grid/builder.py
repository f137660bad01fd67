"""Measures a layer profile: probes of every kind and size, timed together, and whole networks that tell the error."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rlprune.devices.grid.fitting import GridFit, Measured, fit_grid
from rlprune.devices.grid.layer_profile import LayerProfile
from rlprune.devices.grid.probes import SIZES, Probe, probes, references, spread_plans
from rlprune.devices.host import operating_system
from rlprune.devices.measuring import Effort, Stage, Timed, check_present
from rlprune.devices.meters import ASSUMED_WATTS, PowerModel
from rlprune.devices.partial import PartialProfile
from rlprune.devices.predictor import LatencyPredictor
from rlprune.devices.records import EnergyModel, ErrorSummary, Session
from rlprune.devices.runtimes.base import Runtime
from rlprune.devices.tails import fit_tails, quantiles
from rlprune.devices.timing import ESTIMATOR
from rlprune.network import FloatArray

PLANS = 32
"""Of each probe."""
CHECKS = 8
"""Plans of each reference network."""


def build_layer_profile(
    runtime: Runtime,
    power: PowerModel | None = None,
    *,
    sizes: Sequence[int] = SIZES,
    plans: int = PLANS,
    samples: int = 300,
    seed: int = 0,
    path: str | Path | None = None,
    progress: bool = False,
    limit_s: float | None = None,
) -> LayerProfile:
    """Measure kinds of layers on the device of ``runtime``.

    One probe is timed after the other, each beside its own dense self, so that few networks are loaded at a time.

    Args:
        power: energy is this times the latency; an assumption where none is given. No meter is read.
        sizes: sides of the square inputs of the grid.
        plans: of each probe.
        samples: of each plan, at least.
        path: where the profile will be saved; see :func:`rlprune.devices.profiler.build_profile`.
        limit_s: seconds for all of it.

    Raises:
        DeviceError: the runtime is absent, or stops answering: what was measured is kept.
        ProfileError: ``path`` cannot be written.
    """
    check_present(runtime)
    grid, checks = list(probes(sizes, seed)), list(references(seed))
    share = None if limit_s is None else limit_s / (len(grid) + len(checks))
    effort = Effort(plans=max(plans, 8), samples=samples, seed=seed, limit_s=share)
    key = {
        "grid": [probe.name for probe in grid],
        "device": runtime.device_name(),
        "runtime": asdict(runtime.identity),
        "effort": effort.key(),
    }
    stored = PartialProfile(path, key)
    everything = [*((probe, plans) for probe in grid), *((probe, CHECKS) for probe in checks)]
    timed = [
        Stage(probe.network, runtime, stored, effort, progress=False).measure(
            probe.name, spread_plans(probe.network, count, seed)
        )
        for probe, count in tqdm(everything, desc="networks of the grid", disable=not progress, file=sys.stderr)
    ]
    fit = fit_grid([_measured(probe, one) for probe, one in zip(grid, timed, strict=False)], seed)
    profile = _profile(fit, runtime, power or _assumed(runtime), timed, effort)
    profile = _with_error(profile, checks, timed[len(grid) :])
    if path is not None:
        profile.save(path)
    stored.remove()
    return profile


def _assumed(runtime: Runtime) -> PowerModel:
    return PowerModel(ASSUMED_WATTS["cpu" if runtime.identity.threads else "cuda"], assumed=True)


def _measured(probe: Probe, timed: Timed) -> Measured:
    return Measured(probe.network, timed.plans, timed.latency_ms)


def _profile(fit: GridFit, runtime: Runtime, power: PowerModel, timed: Sequence[Timed], effort: Effort) -> LayerProfile:
    latency = np.concatenate([one.latency_ms for one in timed])
    tails = np.concatenate([quantiles(one.samples) for one in timed])
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    loads = [one.other_load for one in timed if one.other_load is not None]
    session = Session(
        created=now,
        plans=len(latency),
        samples=min(one.samples.shape[1] for one in timed),
        dense_latency_ms=float(timed[0].latency_ms[0]),
        spread=float(np.median([one.spread for one in timed])),
        bound=effort.bound,
        other_load=float(np.mean(loads)) if loads else None,
    )
    return LayerProfile(
        device=runtime.device_name(),
        os=operating_system(),
        runtime=runtime.identity,
        estimator=ESTIMATOR,
        created=now,
        intercept_ms=fit.intercept_ms,
        block=fit.block,
        kinds=fit.kinds,
        energy=EnergyModel.stated(power.watts, power.source),
        tails=fit_tails(latency, tails, np.zeros(len(latency), dtype=np.bool_)),
        sessions=(session,),
        layer_error=ErrorSummary.of(fit.errors),
        network_error=ErrorSummary.of(np.zeros(0)),
        seed=effort.seed,
    )


def _with_error(profile: LayerProfile, checks: Sequence[Probe], timed: Sequence[Timed]) -> LayerProfile:
    errors = [
        _predicted(profile.predictor(probe.network), probe, one) / one.latency_ms - 1
        for probe, one in zip(checks, timed, strict=True)
    ]
    return replace(profile, network_error=ErrorSummary.of(np.concatenate(errors)))


def _predicted(predictor: LatencyPredictor, probe: Probe, timed: Timed) -> FloatArray:
    return predictor.bind(probe.network)(timed.plans)
