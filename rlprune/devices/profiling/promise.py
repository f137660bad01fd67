"""Measures finished networks beside the dense one, to compare with what a profile promised."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from rlprune.arrays import FloatArray, IntArray
from rlprune.devices.meters import PowerMeter, PowerModel
from rlprune.devices.profiles.records import QUANTILES
from rlprune.devices.profiling.energy import read_energy
from rlprune.devices.profiling.tails import quantiles
from rlprune.devices.profiling.timing import REPEATS, rounds_for, spread, time_round, wants_more
from rlprune.devices.runtimes.base import Inference, Runtime
from rlprune.devices.runtimes.checks import check_present
from rlprune.errors import DeviceError
from rlprune.networks.network import Network
from rlprune.support.progress import Bar

RUNS_OF_A_ROUND = 100
"""A handful of networks leaves time for more samples in each round; at least so many runs are made."""


@dataclass(frozen=True)
class PlanTiming:
    """One network, timed.

    Attributes:
        latency_ms: minimum, the estimator of a profile.
        tails_ms: quantiles of all samples, with the noise of the machine, by name (``p50``, ``p95``, ``p99``).
        ratio: ``latency_ms`` to that of the dense network in the same rounds.
        corrected_ms: ``ratio`` times the dense latency of the profile, so that the machine's drift since then is out;
            equal to ``latency_ms`` where no dense latency was given.
        peak_bytes: memory that one run takes at most, where the runtime can tell.
        energy_mj: of one inference, idle power included, where a meter was read.
    """

    latency_ms: float
    tails_ms: dict[str, float]
    ratio: float
    corrected_ms: float
    peak_bytes: int | None = None
    energy_mj: float | None = None


@dataclass(frozen=True)
class PlanTimings:
    """The dense network, the plans in the order they came, and how far two halves of the rounds disagree."""

    dense: PlanTiming
    plans: tuple[PlanTiming, ...]
    spread: float


def measure_plans(
    network: Network,
    runtime: Runtime,
    plans: Sequence[nn.Module | bytes | IntArray],
    *,
    samples: int = 300,
    seed: int = 0,
    dense_latency_ms: float | None = None,
    meter: PowerMeter | None = None,
    progress: bool = False,
    limit_s: float | None = None,
) -> PlanTimings:
    """Time finished networks interleaved with the dense one.

    Args:
        network: the dense network.
        plans: pruned modules, truly exported; ONNX models, for a runtime that takes them; or width vectors ``[G]``
            where the values do not matter.
        samples: of each plan, at least.
        seed: of the order of plans.
        dense_latency_ms: of the profile whose promise is checked.
        meter: reads the energy of each plan for a window; a stated power is not asked.
        progress: show a bar on stderr.
        limit_s: seconds after which no further round begins; without one, three times ``samples`` are the most.

    Raises:
        DeviceError: the runtime is absent, or fewer samples than one round gives.
        NetworkError: a module cannot be exported.
    """
    check_present(runtime)
    if samples < REPEATS:
        raise DeviceError(f"At least {REPEATS} samples of each plan are needed; {samples} came.")
    inferences = [runtime.load(network, network.dense_widths), *(_load(runtime, network, plan) for plan in plans)]
    least, repeats = rounds_for(samples), max(REPEATS, RUNS_OF_A_ROUND // len(inferences))
    rounds: list[FloatArray] = []
    shortest: list[FloatArray] = []
    with Bar(f"time {len(inferences)} networks", least, unit="rounds", hidden=not progress) as bar:
        deadline = None if limit_s is None else time.monotonic() + limit_s
        while wants_more(shortest, least, deadline=deadline):
            rounds.append(time_round(runtime, inferences, len(rounds), seed, repeats))
            shortest.append(rounds[-1].min(axis=1))
            bar.step()
    peaks = [runtime.peak_bytes(inference) for inference in inferences]
    timings = _summary(np.stack(rounds), dense_latency_ms, peaks)
    if meter is None or isinstance(meter, PowerModel):
        return timings
    return _metered(timings, runtime, inferences, meter)


def _metered(timings: PlanTimings, runtime: Runtime, inferences: Sequence[Inference], meter: PowerMeter) -> PlanTimings:
    dense, *plans = (
        replace(timing, energy_mj=read_energy(runtime, inference, timing.latency_ms, meter).mj_per_run)
        for timing, inference in zip((timings.dense, *timings.plans), inferences, strict=True)
    )
    return replace(timings, dense=dense, plans=tuple(plans))


def _load(runtime: Runtime, network: Network, plan: nn.Module | bytes | IntArray) -> Inference:
    if isinstance(plan, nn.Module):
        return runtime.load_module(plan, network.example_inputs)
    if isinstance(plan, bytes):
        return runtime.load_onnx(plan, network.example_inputs)
    return runtime.load(network, plan)


def _summary(cube: FloatArray, dense_latency_ms: float | None, peaks: Sequence[int | None]) -> PlanTimings:
    """``cube``: milliseconds ``[R, P, repeats]``, dense first."""
    shortest = cube.min(axis=2)
    samples = cube.transpose(1, 0, 2).reshape(cube.shape[1], -1)
    dense = float(samples[0].min())
    reference = dense if dense_latency_ms is None else dense_latency_ms
    timings = [
        PlanTiming(
            latency_ms=float(row.min()),
            tails_ms=dict(zip(QUANTILES, tails, strict=True)),
            ratio=float(row.min()) / dense,
            corrected_ms=float(row.min()) / dense * reference,
            peak_bytes=peak,
        )
        for row, tails, peak in zip(samples, quantiles(samples).tolist(), peaks, strict=True)
    ]
    return PlanTimings(timings[0], tuple(timings[1:]), spread(shortest))
