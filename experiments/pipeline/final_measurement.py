"""The fourth step: the delivered networks timed side by side, beside what was promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from rlprune.devices import meter_of
from rlprune.devices.profiling.promise import PlanTimings, measure_plans
from rlprune.evaluation.problem import PruningProblem
from rlprune.experiments.pipeline.candidate import Candidate, Measured
from rlprune.experiments.pipeline.preparing import Prepared
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.pipeline.provenance import Provenance, provenance_of
from rlprune.experiments.runs.row import DENSE
from rlprune.experiments.settings.problem import ProblemConfig

MUCH = 0.05
"""How far a measured latency may be above the promised one before a run says what to do."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """The candidates with what was measured of them, and where that comes from."""

    candidates: Sequence[Candidate]
    provenance: Provenance


def measure(
    candidates: Sequence[Candidate], prepared: Prepared, config: ProblemConfig, progress: Progress
) -> Measurement:
    """Export the pruned candidates truly, and time them beside the dense network.

    Where this machine is not the profile's, or nobody asked, nothing is timed and the notes say why.

    Raises:
        DeviceError: the runtime or the meter fails.
        NetworkError: a candidate cannot be exported.
    """
    device, profile, problem = prepared.target, prepared.profile, prepared.problem
    if device.runtime is None:
        nothing = [f"Nothing was measured: {device.absent}."]
        return Measurement(candidates, provenance_of(device, profile, config.watts, nothing))
    progress.note("Measuring the exported networks side by side")
    dense_ms = None if profile is None else profile.dense_latency_ms
    timings = measure_plans(
        problem.evaluator.tables.network,
        device.runtime,
        [_timed(item, problem, device.runtime.identity.batch) for item in candidates if item.role != DENSE],
        samples=config.profile_samples,
        seed=config.seed,
        dense_latency_ms=dense_ms,
        meter=meter_of(device, config.watts)[0],
        progress=True,
        limit_s=config.profile_limit_s,
    )
    plans = iter(timings.plans)
    measured = [
        replace(item, measured=Measured.of(timings.dense if item.role == DENSE else next(plans))) for item in candidates
    ]
    notes = _timing_notes([item for item in measured if item.role != DENSE], timings, dense_ms)
    return Measurement(measured, provenance_of(device, profile, config.watts, notes))


def _timed(item: Candidate, problem: PruningProblem, batch: int) -> nn.Module | bytes:
    """What is timed: the module, or its ONNX form where layers compute in int8, which torch only imitates."""
    if not item.delivered.ranges:
        return item.module
    return item.delivered.onnx(problem.network.example_inputs, problem.evaluator.task.calibration, batch=batch)


def _timing_notes(pruned: Sequence[Candidate], timings: PlanTimings, dense: float | None) -> list[str]:
    notes = [
        f"Latency: minimum of interleaved runs of the exported networks; two halves agree to {timings.spread:.1%}."
    ]
    if dense is None:
        return notes
    drift = timings.dense.latency_ms / dense - 1
    off = {
        item.name: item.measured.corrected_ms / item.costs["latency"] - 1
        for item in pruned
        if item.measured.corrected_ms is not None and "latency" in item.costs
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
