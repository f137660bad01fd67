"""Interleaved timing: every round runs every plan, in random order, so that slow spells of the machine hit all alike.

On a shared machine timings drift several-fold between minutes, and medians of different windows differ by 5 to 16%.
The minimum over a few hundred samples that are spread over the whole time is steady to 1 to 2%, and so is its ratio to
the minimum of the dense network, timed in the same rounds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from rlprune.arrays import FloatArray
from rlprune.devices.runtimes.base import Inference, Runtime

ESTIMATOR = "minimum over interleaved rounds"
REPEATS = 5
"""Runs of one plan back to back in a round: the first finds the caches cold, the others do not."""
SETTLED = 0.03
MOST = 3
LEAST_ROUNDS = 2


def rounds_for(samples: int) -> int:
    """Rounds that give at least ``samples`` samples of each plan."""
    return max(1, -(-samples // REPEATS))


def time_round(
    runtime: Runtime, inferences: Sequence[Inference], number: int, seed: int, repeats: int = REPEATS
) -> FloatArray:
    """One round: milliseconds ``[P, repeats]``; the order depends on ``seed`` and ``number`` only."""
    start = time.perf_counter()
    order = np.random.default_rng([seed, number]).permutation(len(inferences))
    samples = np.empty((len(inferences), repeats))
    for index in order:
        samples[index] = runtime.time(inferences[index], repeats)
    time.sleep(max(0.0, runtime.round_s - (time.perf_counter() - start)))
    return samples


def minima(rounds: FloatArray) -> FloatArray:
    """Latency of each plan in milliseconds, ``[P]``, from the shortest run of each round, ``[R, P]``."""
    return np.asarray(rounds.min(axis=0))


def halves(rounds: FloatArray) -> FloatArray:
    """Relative difference of each plan between the two halves of a measurement, ``[P - 1]``.

    Compared are ratios to the dense network, which is plan 0. Below two rounds nothing can be compared: empty.
    """
    if len(rounds) < 2:
        return np.zeros(0)
    half = len(rounds) // 2
    first, second = minima(rounds[:half]), minima(rounds[half:])
    return np.asarray(np.abs((first / first[0]) / (second / second[0]) - 1)[1:])


def spread(rounds: FloatArray) -> float:
    """How far the two halves of a measurement disagree, ``[R, P]``; see :func:`disagreement`."""
    return disagreement(halves(rounds))


def disagreement(differences: FloatArray) -> float:
    """The difference that 95 of 100 plans stay below, ``[P]``; 0 where there are none."""
    return float(np.quantile(differences, 0.95)) if len(differences) else 0.0


def wants_more(rounds: Sequence[FloatArray], least: int, bound: float = SETTLED, deadline: float | None = None) -> bool:
    """Whether another round is needed: up to ``least``, then while the halves disagree by more than ``bound``.

    On a busy machine a plan may meet no quiet moment in one half of the rounds. Where that is true of more than one
    plan in twenty, measuring goes on: until the deadline where there is one, else to three times ``least`` rounds.

    Args:
        rounds: shortest run of each plan in each round so far, ``[P]`` milliseconds each.
        deadline: moment of :func:`time.monotonic` at which the time is up; two rounds are always made.
    """
    if deadline is not None and len(rounds) >= LEAST_ROUNDS and time.monotonic() >= deadline:
        return False
    if len(rounds) < least:
        return True
    return spread(np.array(rounds)) > bound and (deadline is not None or len(rounds) < MOST * least)
