"""The claims that a clock or a meter made: latency, memory and energy of the exported networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlprune.experiments.pipeline.candidate import Candidate, peak_of
from rlprune.experiments.pipeline.final_measurement import measure
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.runs.row import DENSE, Row
from rlprune.experiments.validating.claims import EXACT, SUMS, Claims
from rlprune.experiments.validating.rebuilding import Rebuilt
from rlprune.experiments.validating.recomputing import Listed
from rlprune.experiments.validating.tolerances import ENERGY, MEMORY, RATIO

PLACE = ("device", "runtime", "version", "provider", "threads", "batch", "precision")
TAIL = "the 99th percentile of so few timings is the machine's load at that moment, not the network"


def check_measured(claims: Claims, rebuilt: Rebuilt, networks: list[Listed], progress: Progress) -> None:
    """Everything that rests on a measurement, beside the dense network; what follows from it must follow."""
    possible = [item for item in networks if rebuilt.impossible(item.row.widths) is None]
    absent = _absent(rebuilt)
    if absent is None:
        rebuilt.candidate(rebuilt.network.dense_widths.tolist(), DENSE)
        measured = measure(rebuilt.candidates(), rebuilt.prepared, rebuilt.config, progress)
        rebuilt.complete(measured.candidates)
    dense = next(item.row for item in networks if item.row.role == DENSE)
    if not any(item.row.latency_measured_ms for item in networks):
        claims.unchecked("latency, ms", "all networks", None, f"the run measured none ({absent or 'no runtime then'})")
    for item in possible:
        made = rebuilt.candidate(item.row.widths, item.row.role)
        _check_latency(claims, rebuilt, item, dense, made, absent)
        _check_derived(claims, rebuilt, item, dense)
        _check_energy(claims, rebuilt, item, dense, made)
        _check_memory(claims, rebuilt, item, made)


def _absent(rebuilt: Rebuilt) -> str | None:
    """Why latency cannot be measured as it was; None where it can."""
    runtime = rebuilt.target.runtime
    if runtime is None:
        return rebuilt.target.absent
    then, now = rebuilt.result.device or {}, rebuilt.facts.facts
    if [then.get(name) for name in PLACE] == [now.get(name) for name in PLACE]:
        return None
    return f"it was measured on {_place(then)}; this is {_place(now)}"


def _place(facts: Mapping[str, Any]) -> str:
    return ", ".join(str(facts[name]) for name in PLACE if facts.get(name) is not None)


def _check_latency(
    claims: Claims, rebuilt: Rebuilt, item: Listed, dense: Row, made: Candidate, absent: str | None
) -> None:
    claimed, tail = item.row.latency_measured_ms, item.row.latency_p99_measured_ms
    if claimed is None:
        return
    if absent is not None or made.measured.latency_ms is None:
        claims.unchecked("latency, ms", item.subject, claimed, absent or "nothing was measured")
    elif item.row.role == DENSE:
        why = "the machine's speed of the moment; the others are compared with it"
        claims.unchecked("latency, ms", item.subject, claimed, why, made.measured.latency_ms)
    else:
        ratio, base = made.measured.latency_ms / _dense(rebuilt).measured.latency_ms, dense.latency_measured_ms  # type: ignore[operator]
        claims.check("latency, share of dense", item.subject, claimed / base, ratio, RATIO)  # type: ignore[operator]
    if tail is not None:
        claims.unchecked(
            "p99 latency, ms", item.subject, tail, TAIL if absent is None else absent, made.measured.p99_ms
        )


def _dense(rebuilt: Rebuilt) -> Candidate:
    return rebuilt.candidate(rebuilt.network.dense_widths.tolist(), DENSE)


def _check_derived(claims: Claims, rebuilt: Rebuilt, item: Listed, dense: Row) -> None:
    """What the record computes from its own measurements."""
    values = item.row
    latency = values.latency_measured_ms or values.latency_promised_ms
    speed = None if latency is None else 1e3 * values.batch / latency
    claims.check("samples per second, from latency", item.subject, values.images_per_second, speed, SUMS)
    corrected = values.latency_corrected_ms
    if corrected is not None and rebuilt.profile is not None:
        found = values.latency_measured_ms / dense.latency_measured_ms * rebuilt.profile.dense_latency_ms  # type: ignore[operator]
        claims.check("latency without drift, ms", item.subject, corrected, found, SUMS)
    above = values.energy_above_idle_mj
    if above is not None and rebuilt.lacking is None:
        found = rebuilt.facts.above_idle_mj(values.energy_mj, latency)
        claims.check("energy above idle, mJ", item.subject, above, found, SUMS)


def _check_energy(claims: Claims, rebuilt: Rebuilt, item: Listed, dense: Row, made: Candidate) -> None:
    """By the model of latency and MACs; where a meter was read, as a share of the dense network's."""
    values, name = item.row, "energy, mJ"
    claimed, latency = values.energy_mj, values.latency_measured_ms or values.latency_promised_ms
    if claimed is None:
        return
    stated = rebuilt.facts.energy_mj(None, latency, values.macs)
    metered_then = latency is values.latency_measured_ms and _counted(rebuilt)
    if rebuilt.lacking is not None:
        claims.unchecked(name, item.subject, claimed, rebuilt.lacking)
    elif rebuilt.profile is None and rebuilt.facts.source != rebuilt.result.energy_source:
        here = f"here is the {rebuilt.facts.source}" if rebuilt.target.runtime else "the device is not asked here"
        why = f"it rests on the {rebuilt.result.energy_source}; {here}"
        claims.unchecked(name, item.subject, claimed, why)
    elif stated is not None and (not metered_then or abs(claimed - stated) <= SUMS.of(claimed)):
        claims.check(name, item.subject, claimed, stated, SUMS)
    elif made.measured.energy_mj is None:
        why = f"it was metered ({rebuilt.result.energy_source}), and no meter was read here"
        claims.unchecked(name, item.subject, claimed, why)
    elif values.role == DENSE:
        claims.unchecked(name, item.subject, claimed, "the others are compared with it", made.measured.energy_mj)
    else:
        found = made.measured.energy_mj / (_dense(rebuilt).measured.energy_mj or made.measured.energy_mj)
        claims.check("energy, share of dense", item.subject, claimed / dense.energy_mj, found, ENERGY)  # type: ignore[operator]


def _counted(rebuilt: Rebuilt) -> bool:
    """Whether a meter may have been read beside the latency: on GPUs, and where the run could count its own energy."""
    cost = rebuilt.result.cost
    return rebuilt.target.kind != "cpu" or cost is None or cost.energy_j is not None


def _check_memory(claims: Claims, rebuilt: Rebuilt, item: Listed, made: Candidate) -> None:
    """By torch where the runtime did not tell; else as the runtime tells."""
    claimed, name = item.row.peak_bytes, "peak memory, bytes"
    counted = peak_of(made.module, rebuilt.network, item.row.batch)
    if claimed == counted or item.row.latency_measured_ms is None:
        claims.check(name, item.subject, claimed, counted, EXACT)
    elif made.measured.peak_bytes is not None:
        claims.check(name, item.subject, claimed, made.measured.peak_bytes, MEMORY)
    else:
        claims.unchecked(name, item.subject, claimed, "the runtime told it, which was not asked here", counted)
