"""Measures a layer profile: probes of every kind and size, timed together, and whole networks that tell the error."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from rlprune.devices.grid.fitting import GridFit, MeasuredProbe, fit_grid
from rlprune.devices.grid.layer_profile import LayerProfile
from rlprune.devices.grid.measuring import BATCH, Batches
from rlprune.devices.grid.probes import SIZES, Probe, chains, probes, references, spread_plans
from rlprune.devices.host import operating_system
from rlprune.devices.meters import ASSUMED_WATTS, PowerModel
from rlprune.devices.profiles.records import EnergyModel, ErrorSummary, MeasuringPass
from rlprune.devices.profiling.fitting import paying_widths
from rlprune.devices.profiling.measuring import Effort, Timed
from rlprune.devices.profiling.partial import PartialProfile
from rlprune.devices.profiling.plans import choose_plans
from rlprune.devices.profiling.tails import fit_tails, quantiles
from rlprune.devices.profiling.timing import ESTIMATOR, disagreement, halves
from rlprune.devices.runtimes.base import Runtime
from rlprune.devices.runtimes.checks import check_present
from rlprune.networks.network import Network
from rlprune.support.progress import Bar

PLANS = 24
"""Of each probe."""
CHECKS = 16
"""Plans of each reference network."""
FIRST_SIZE = 14
"""Where it is first seen in which blocks of channels the runtime computes."""


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

    First chains of one size, over all widths, show which widths pay. All probes, and the networks that tell the error,
    are then measured over widths that pay alone, where every search stays: between them runtimes switch to other
    kernels, whose cost no sum over layers follows.

    Args:
        power: energy is this times the latency; an assumption where none is given. No meter is read.
        sizes: sides of the square inputs of the grid.
        plans: of each probe.
        samples: of each plan, at least.
        path: where the profile will be saved; see :func:`rlprune.devices.profiling.profiler.build_profile`.
        limit_s: seconds for all of it.

    Raises:
        DeviceError: the runtime is absent, or stops answering: what was measured is kept.
        ProfileError: ``path`` cannot be written.
    """
    check_present(runtime)
    grid, checks = list(probes(sizes, seed)), list(references(seed))
    first = list(chains(min(sizes, key=lambda size: abs(size - FIRST_SIZE)), seed))
    batches = sum(-(-len(part) // BATCH) for part in (first, grid, checks))
    share = None if limit_s is None else limit_s / batches
    effort = Effort(plans=max(plans, 8), samples=samples, seed=seed, limit_s=share)
    stored = PartialProfile(path, _key(grid, runtime, effort))
    timing = Batches(
        runtime, stored, effort, cache(lambda: runtime.load(grid[0].network, grid[0].network.dense_widths))
    )
    power = power or _assumed(runtime)
    total = len(first) + len(grid) + len(checks)
    with Bar("networks of the grid", total, hidden=not progress, stays=True) as bar:
        jobs = [(probe, spread_plans(probe.network, plans, seed)) for probe in first]
        timed = timing.measure("first", jobs, partial(bar.step, ""))
        profile = _profile(fit_grid(_measured(first, timed), seed), runtime, power, timed, effort)
        jobs = [(probe, spread_plans(_paying(profile, probe), plans, seed)) for probe in grid]
        timed = timing.measure("grid", jobs, partial(bar.step, ""))
        fit = fit_grid(_measured(grid, timed), seed, **_blocks(profile))
        profile = _profile(fit, runtime, power, timed, effort)
        jobs = [(probe, choose_plans(_paying(profile, probe), CHECKS, seed)) for probe in checks]
        profile = _with_error(profile, checks, timing.measure("checks", jobs, partial(bar.step, "")))
    if path is not None:
        profile.save(path)
    stored.remove()
    return profile


def _key(grid: Sequence[Probe], runtime: Runtime, effort: Effort) -> dict[str, Any]:
    return {
        "grid": [probe.name for probe in grid],
        "device": runtime.device_name(),
        "runtime": asdict(runtime.identity),
        "effort": effort.key(),
    }


def _paying(profile: LayerProfile, probe: Probe) -> Network:
    """The network of a probe with the widths alone that pay."""
    return probe.network.restricted(paying_widths(probe.network, profile.predictor(probe.network)))


def _measured(grid: Sequence[Probe], timed: Sequence[Timed]) -> list[MeasuredProbe]:
    return [MeasuredProbe(probe.network, one.plans, one.latency_ms) for probe, one in zip(grid, timed, strict=True)]


def _blocks(first: LayerProfile) -> dict[str, Any]:
    """Clear blocks are kept; where there are none, the whole grid may still show some that act in part."""
    return {"blocks": (first.block,)} if first.block > 1 else {"mixed": True}


def _assumed(runtime: Runtime) -> PowerModel:
    return PowerModel(ASSUMED_WATTS["cpu" if runtime.identity.threads else "cuda"], assumed=True)


def _profile(fit: GridFit, runtime: Runtime, power: PowerModel, timed: Sequence[Timed], effort: Effort) -> LayerProfile:
    latency = np.concatenate([one.latency_ms for one in timed])
    tails = np.concatenate([quantiles(one.samples) for one in timed])
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    loads = [one.other_load for one in timed if one.other_load is not None]
    session = MeasuringPass(
        created=now,
        plans=len(latency),
        samples=min(one.samples.shape[1] for one in timed),
        dense_latency_ms=float(timed[0].latency_ms[0]),
        spread=disagreement(np.concatenate([halves(one.cube.min(axis=2)) for one in timed])),
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
        profile.predictor(probe.network).bind(probe.network)(one.plans) / one.latency_ms - 1
        for probe, one in zip(checks, timed, strict=True)
    ]
    return replace(profile, network_error=ErrorSummary.of(np.concatenate(errors)))
