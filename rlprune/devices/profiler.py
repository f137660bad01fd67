"""Measures a device profile: random plans, timed interleaved, fitted, and checked on plans the fit never saw.

Two phases. Probes over all widths of the network show which widths pay on this runtime (ONNX Runtime computes in
blocks of 8 or 16 channels: those between cost as much as the next multiple). The plans that are fitted and checked
then use only widths that pay, where the predictor is at its best and where every search will stay.
"""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from rlprune.devices.fitting import fit_predictor, paying_widths
from rlprune.devices.host import operating_system
from rlprune.devices.meters import PowerMeter
from rlprune.devices.partial import PartialProfile
from rlprune.devices.plans import choose_plans
from rlprune.devices.profile import DeviceProfile
from rlprune.devices.records import ErrorSummary, MeasuredPlan, Power
from rlprune.devices.runtimes.base import Inference, Runtime
from rlprune.devices.timing import ESTIMATOR, REPEATS, minima, rounds_for, spread, time_round, wants_more
from rlprune.errors import DeviceError
from rlprune.network import FloatArray, IntArray, Network

PROBES = 0.5
"""Probes for each fitted plan."""
LEAST_PROBES = 24
LEAST_PLANS = 8
IDLE_NAP_S = 0.05

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Timed:
    """Plans ``[P, G]``, dense first, and the shortest run of each round, ``[R, P]`` milliseconds."""

    plans: IntArray
    rounds: FloatArray

    @property
    def latency_ms(self) -> FloatArray:
        return minima(self.rounds)


def build_profile(
    network: Network,
    runtime: Runtime,
    meter: PowerMeter,
    *,
    plans: int = 80,
    checks: int = 16,
    samples: int = 300,
    seed: int = 0,
    path: str | Path | None = None,
    progress: bool = False,
) -> DeviceProfile:
    """Measure ``network`` on the device of ``runtime``.

    About ``1.5 * plans + checks`` plans are loaded, at most ``plans + checks`` at a time; all keep their weights in
    memory meanwhile.

    Args:
        meter: gives the watts; see :func:`rlprune.devices.meters.choose_meter`.
        plans: plans the predictor is fitted to.
        checks: more plans that it never sees, for its stated error. Networks with few plans get fewer of both.
        samples: of each plan, at least; a busy machine is measured up to three times as long.
        seed: of the choice and the order of plans.
        path: where the profile will be saved. After every round the samples are kept in ``<path>.partial.json``; a
            second call with the same arguments goes on from there. The profile itself is saved here too.
        progress: show bars on stderr.

    Raises:
        DeviceError: the runtime or the meter is absent, or a count is too small.
        NetworkError: the network cannot be exported for the runtime.
        ProfileError: ``path`` cannot be written.
    """
    _check_counts(plans, checks, samples)
    if (reason := runtime.available()) is not None:
        raise DeviceError(f"{runtime.identity.name} cannot be used here: {reason}.")
    key = {
        "fingerprint": network.fingerprint,
        "widths": {group.name: list(group.widths) for group in network.groups},
        "device": runtime.device_name(),
        "runtime": asdict(runtime.identity),
        "plans": [plans, checks, samples, seed],
    }
    stored = PartialProfile(path, key)
    stage = _Stage(network, runtime, stored, seed, progress)
    probes = stage.measure("probe", choose_plans(network, _probe_count(plans), seed), samples)
    allowed = paying_widths(network, fit_predictor(network, probes.plans, probes.latency_ms, seed).predictor)
    chosen = choose_plans(network.restricted(allowed), plans + checks, seed + 1)
    main = stage.measure("main", chosen, samples)
    held_out = _hold_out(chosen, checks, seed)
    fit = fit_predictor(network, chosen[~held_out], main.latency_ms[~held_out], seed)
    errors = fit.predictor.bind(network)(chosen[held_out]) / main.latency_ms[held_out] - 1
    profile = DeviceProfile(
        device=runtime.device_name(),
        os=operating_system(),
        runtime=runtime.identity,
        estimator=ESTIMATOR,
        samples=len(main.rounds) * REPEATS,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        fingerprint=network.fingerprint,
        dense_latency_ms=float(main.latency_ms[0]),
        predictor=fit.predictor,
        widths=allowed,
        power=stage.power(meter, chosen),
        held_out=ErrorSummary.of(errors),
        cross_validated=ErrorSummary.of(fit.errors),
        spread=spread(main.rounds),
        seed=seed,
        measured=_records(main, held_out),
    )
    if path is not None:
        profile.save(path)
    stored.remove()
    return profile


def _check_counts(plans: int, checks: int, samples: int) -> None:
    if plans < LEAST_PLANS or checks < 1 or samples < REPEATS:
        raise DeviceError(
            f"A profile needs at least {LEAST_PLANS} plans, 1 check and {REPEATS} samples; "
            f"{plans}, {checks} and {samples} came."
        )


def _probe_count(plans: int) -> int:
    return max(LEAST_PROBES, int(plans * PROBES))


class _Stage:
    """Loads plans and times them round by round, going on from stored rounds."""

    def __init__(self, network: Network, runtime: Runtime, stored: PartialProfile, seed: int, progress: bool) -> None:
        self._network, self._runtime, self._stored = network, runtime, stored
        self._seed, self._progress = seed, progress

    def measure(self, phase: str, plans: IntArray, samples: int) -> _Timed:
        least = rounds_for(samples)
        rounds = self._stored.rounds(phase, len(plans))
        if wants_more(rounds, least):
            inferences = [self._load(widths) for widths in self._loading(plans, phase)]
            with self._bar(f"{phase}: time {len(plans)} plans", least, len(rounds)) as bar:
                while wants_more(rounds, least):
                    timed = time_round(self._runtime, inferences, len(rounds), self._seed)
                    rounds.append(timed.min(axis=1))
                    self._stored.store(phase, rounds)
                    bar.total = max(least, len(rounds))
                    bar.update()
        return _Timed(plans, np.array(rounds))

    def _loading(self, plans: IntArray, phase: str) -> Iterator[IntArray]:
        with self._bar(f"{phase}: load {len(plans)} plans", len(plans), 0) as bar:
            for widths in plans:
                yield widths
                bar.update()

    def power(self, meter: PowerMeter, plans: IntArray) -> Power:
        """Mean watts of the dense and the narrowest of ``plans``; a stated figure is taken as it is."""
        narrowest = plans[int(np.argmin(self._network.macs(plans)))]
        watts = [self._watts(meter, widths) for widths in (self._network.dense_widths, narrowest)]
        idle = meter.average_watts(lambda: time.sleep(IDLE_NAP_S)) if meter.measured else None
        return Power(float(np.mean(watts)), meter.source, meter.measured, idle)

    def _watts(self, meter: PowerMeter, widths: IntArray) -> float:
        inference = self._load(widths)
        return meter.average_watts(lambda: self._runtime.time(inference, REPEATS))

    def _load(self, widths: IntArray) -> Inference:
        return self._runtime.load(self._network, widths)

    def _bar(self, description: str, total: int, done: int) -> tqdm[Any]:
        hidden = not self._progress
        return tqdm(desc=description, total=total, initial=done, disable=hidden, file=sys.stderr, leave=False)


def _hold_out(plans: IntArray, checks: int, seed: int) -> BoolArray:
    """Which plans the fit never sees, ``[P]``: neither the dense nor the narrowest, and at most a quarter of all."""
    held_out = np.zeros(len(plans), dtype=np.bool_)
    free = np.arange(2, len(plans))
    count = min(checks, max(1, len(plans) // 4), len(free))
    held_out[np.random.default_rng(seed).choice(free, count, replace=False)] = True
    return held_out


def _records(main: _Timed, held_out: BoolArray) -> tuple[MeasuredPlan, ...]:
    rows = zip(main.plans, main.latency_ms, held_out, strict=True)
    return tuple(MeasuredPlan(tuple(int(w) for w in plan), float(ms), bool(out)) for plan, ms, out in rows)
