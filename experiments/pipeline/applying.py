"""A plan put into practice: the pruned network as files, beside the dense one in a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlprune.arrays import IntArray
from rlprune.delivery.compact.file import data_bytes
from rlprune.delivery.delivered import Delivered
from rlprune.devices import meter_of, resolve_device
from rlprune.devices.profiling.promise import PlanTiming, measure_plans
from rlprune.errors import ConfigError, DeviceError, NetworkError, RunError
from rlprune.evaluation.batchnorm_choice import StatisticsChoice
from rlprune.evaluation.evaluator import Evaluator
from rlprune.experiments.pipeline.delivering import NetworkFiles, network_files
from rlprune.experiments.pipeline.device_facts import DeviceFacts, facts_here
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.pipeline.scoring import peak_of, score_of_test, weights
from rlprune.experiments.pipeline.setup import load_material, make_evaluator, statistics_notes
from rlprune.experiments.runs.details import Splits, details_of, print_details, splits_of
from rlprune.experiments.runs.free_folder import check_free
from rlprune.experiments.runs.result import Row
from rlprune.experiments.runs.run_folder import COMPACT, ONNX, PLAN, RESULT, TENSORS
from rlprune.experiments.runs.tables import print_rows
from rlprune.experiments.settings.verb_configs import ApplyConfig
from rlprune.plans.plan import PruningPlan
from rlprune.support.files import write_json
from rlprune.support.records import as_plain
from rlprune.support.threads import torch_threads

ANY_WIDTH = 1
FILES = {"safetensors": TENSORS, "onnx": ONNX, "plan": PLAN, "result": RESULT, "compact": COMPACT}


@dataclass(frozen=True)
class ApplyAnswer:
    """What became of the network."""

    result: dict[str, Any]

    def as_dict(self) -> dict[str, object]:
        """The result as plain values."""
        values: dict[str, object] = as_plain(self.result)
        return values

    def show(self) -> None:
        """Print the table and where the files are."""
        result = self.result
        rows = result["rows"]
        print_rows(f"{result['network']} pruned by {result['plan']}", result["metric"], rows)
        print_details(result["details"], rows)
        for note in result["notes"]:
            print(f"- {note}")
        for name, path in result["files"].items():
            print(f"{name + ':':<13}{path}")


def apply_plan(config: ApplyConfig, progress: Progress | None = None) -> ApplyAnswer:
    """Prune as the plan says, measure, and write safetensors and ONNX.

    Raises:
        RlpruneError: a setting or an input is wrong, or the plan is of another network.
    """
    progress = progress or Progress()
    config.check()
    plan = PruningPlan.load(config.plan)
    config = config.as_planned(plan.notes)
    check_free(config.out)
    device = resolve_device(config.device, threads=config.threads)
    if device.runtime is None:
        raise DeviceError(
            f"The pruned network is timed here, which {config.device!r} cannot: {device.absent}. Name cpu."
        )
    with torch_threads(config.threads):
        progress.note(f"Loading {config.network}")
        material = load_material(config, ANY_WIDTH)  # the plan's own widths, whatever they were rounded to
        network = material.network
        space = plan.space(network)
        levels = plan.levels(space)
        progress.note("Pruning" if config.no_repair else "Pruning and repairing")
        statistics = noted_statistics(plan.notes)
        evaluator = make_evaluator(material, len(material.task.validation), config.seed, statistics).deciding(space)
        if not config.no_repair:
            evaluator.settle(levels)
            for line in statistics_notes(evaluator):
                progress.note(line)
        delivered = plan.cut(network) if config.no_repair else evaluator.delivered(levels)
        files = network_files(delivered, network, material.task.calibration)
        if ONNX in files.missing and delivered.ranges:
            raise NetworkError(f"Layers in int8 are computed by ONNX Runtime alone, but {files.missing[ONNX]}")
        progress.note("Measuring beside the dense network")
        meter = meter_of(device, config.watts)[0]
        timings = measure_plans(
            network,
            device.runtime,
            [files.contents[ONNX] if delivered.ranges else delivered.module],
            samples=config.samples,
            seed=config.seed,
            meter=meter,
            progress=True,
        )
        power = facts_here(device, meter, [])
        scored = [
            _scored("dense", space.full, Delivered(network.model), evaluator, timings.dense, power),
            _scored("pruned", levels, delivered, evaluator, timings.plans[0], power),
        ]
    result = _result(config, evaluator, scored, power, files)
    folder = Path(config.out)
    files.write(folder)
    plan.save(folder / PLAN)
    write_json(folder / RESULT, as_plain(result), RunError)
    return ApplyAnswer(result)


def noted_statistics(notes: Mapping[str, Any]) -> StatisticsChoice | None:
    """What BatchNorms of the plan's network had where it was made; None where its notes do not tell.

    Raises:
        ConfigError: the notes hold something else under this name.
    """
    share = notes.get("batchnorm")
    if share is None:
        return None
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise ConfigError(f"The plan's note 'batchnorm' must be a number from 0 to 1; {share!r:.80} came. Remove it.")
    return StatisticsChoice(share)


def _scored(
    name: str, levels: IntArray, delivered: Delivered, evaluator: Evaluator, timing: PlanTiming, power: DeviceFacts
) -> tuple[Row, Splits]:
    """The line of a network, and what the task tells beside its score."""
    space, module = evaluator.space, delivered.module
    macs = float(space.macs(levels[None])[0])
    validation = evaluator.on(module, evaluator.task.validation)
    score_test, details_test = score_of_test(module, evaluator)
    row = Row(
        name=name,
        role="dense" if name == "dense" else "plan",
        score_validation=validation.score,
        divergence=validation.divergence,
        macs=macs,
        params=float(space.params(levels[None])[0]),
        size_bytes=data_bytes(delivered.compact() or weights(module)),
        widths=tuple(int(level) for level in levels),
        score_test=score_test,
        latency_measured_ms=timing.latency_ms,
        latency_p99_measured_ms=timing.tails_ms["p99"],
        energy_mj=power.energy_mj(timing.energy_mj, timing.latency_ms, macs),
        peak_bytes=timing.peak_bytes or peak_of(module, space.network, power.batch),
    )
    return row, splits_of(validation, details_test)


def _result(
    config: ApplyConfig, evaluator: Evaluator, scored: list[tuple[Row, Splits]], power: DeviceFacts, files: NetworkFiles
) -> dict[str, Any]:
    folder = Path(config.out)
    names = {kind: name for kind, name in FILES.items() if name in (*files.contents, PLAN, RESULT)}
    return {
        "schema": "rlprune-applied/1",
        "network": config.network,
        "task": evaluator.task.name,
        "metric": evaluator.task.metric,
        "plan": config.plan,
        "repaired": not config.no_repair,
        "device": power.facts,
        "energy_source": power.source,
        "notes": [*power.notes, *files.notes],
        "rows": [row for row, _ in scored],
        "details": details_of(evaluator.task, {row.name: splits for row, splits in scored}),
        "files": {kind: str(folder / name) for kind, name in names.items()},
    }
