"""Measures finished networks beside the dense one, to compare with what a profile promised."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn
from tqdm import tqdm

from rlprune.devices.runtimes.base import Inference, Runtime
from rlprune.devices.timing import REPEATS, rounds_for, spread, time_round, wants_more
from rlprune.errors import DeviceError
from rlprune.network import FloatArray, IntArray, Network

RUNS_OF_A_ROUND = 100
"""A handful of networks leaves time for more samples in each round; at least so many runs are made."""


@dataclass(frozen=True)
class PlanTiming:
    """One network, timed.

    Attributes:
        latency_ms: minimum, the estimator of a profile.
        median_ms, p95_ms: of all samples, with the noise of the machine.
        ratio: ``latency_ms`` to that of the dense network in the same rounds.
        corrected_ms: ``ratio`` times the dense latency of the profile, so that the machine's drift since then is out;
            equal to ``latency_ms`` where no dense latency was given.
    """

    latency_ms: float
    median_ms: float
    p95_ms: float
    ratio: float
    corrected_ms: float


@dataclass(frozen=True)
class PlanTimings:
    """The dense network, the plans in the order they came, and how far two halves of the rounds disagree."""

    dense: PlanTiming
    plans: tuple[PlanTiming, ...]
    spread: float


def measure_plans(
    network: Network,
    runtime: Runtime,
    plans: Sequence[nn.Module | IntArray],
    *,
    samples: int = 300,
    seed: int = 0,
    dense_latency_ms: float | None = None,
    progress: bool = False,
) -> PlanTimings:
    """Time finished networks interleaved with the dense one.

    Args:
        network: the dense network.
        plans: pruned modules, truly exported, or width vectors ``[G]`` where the values do not matter.
        samples: of each plan, at least.
        seed: of the order of plans.
        dense_latency_ms: of the profile whose promise is checked.
        progress: show a bar on stderr.

    Raises:
        DeviceError: the runtime is absent, or fewer samples than one round gives.
        NetworkError: a module cannot be exported.
    """
    if (reason := runtime.available()) is not None:
        raise DeviceError(f"{runtime.identity.name} cannot be used here: {reason}.")
    if samples < REPEATS:
        raise DeviceError(f"At least {REPEATS} samples of each plan are needed; {samples} came.")
    inferences = [runtime.load(network, network.dense_widths), *(_load(runtime, network, plan) for plan in plans)]
    least, repeats = rounds_for(samples), max(REPEATS, RUNS_OF_A_ROUND // len(inferences))
    rounds: list[FloatArray] = []
    shortest: list[FloatArray] = []
    with tqdm(desc="measure", total=least, disable=not progress, file=sys.stderr, leave=False) as bar:
        while wants_more(shortest, least):
            rounds.append(time_round(runtime, inferences, len(rounds), seed, repeats))
            shortest.append(rounds[-1].min(axis=1))
            bar.total = max(least, len(rounds))
            bar.update()
    return _summary(np.stack(rounds), dense_latency_ms)


def _load(runtime: Runtime, network: Network, plan: nn.Module | IntArray) -> Inference:
    if isinstance(plan, nn.Module):
        return runtime.load_module(plan, network.example_inputs)
    return runtime.load(network, plan)


def _summary(cube: FloatArray, dense_latency_ms: float | None) -> PlanTimings:
    """``cube``: milliseconds ``[R, P, repeats]``, dense first."""
    shortest = cube.min(axis=2)
    samples = cube.transpose(1, 0, 2).reshape(cube.shape[1], -1)
    dense = float(samples[0].min())
    reference = dense if dense_latency_ms is None else dense_latency_ms
    timings = [
        PlanTiming(
            latency_ms=float(row.min()),
            median_ms=float(np.median(row)),
            p95_ms=float(np.quantile(row, 0.95)),
            ratio=float(row.min()) / dense,
            corrected_ms=float(row.min()) / dense * reference,
        )
        for row in samples
    ]
    return PlanTimings(timings[0], tuple(timings[1:]), spread(shortest))
