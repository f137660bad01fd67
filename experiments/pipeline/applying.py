"""A plan put into practice: the pruned network as files, beside the dense one in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlprune.arrays import IntArray
from rlprune.delivery.delivered import Delivered
from rlprune.devices import meter_of, resolve_device
from rlprune.devices.profiling.promise import PlanTiming, measure_plans
from rlprune.errors import ConfigError, DeviceError, NetworkError, RunError
from rlprune.evaluation.batchnorm_choice import StatisticsChoice
from rlprune.evaluation.evaluator import Evaluator
from rlprune.experiments.pipeline import remarks
from rlprune.experiments.pipeline.candidate import Candidate, Measured, score_on_test
from rlprune.experiments.pipeline.delivering import NetworkFiles, network_files
from rlprune.experiments.pipeline.loading import load_material
from rlprune.experiments.pipeline.preparing import make_evaluator
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.pipeline.provenance import Provenance, provenance_of
from rlprune.experiments.runs.details import details_of
from rlprune.experiments.runs.details_table import print_details
from rlprune.experiments.runs.free_folder import check_free
from rlprune.experiments.runs.plan_results import ApplyResult
from rlprune.experiments.runs.run_folder import COMPACT, ONNX, PLAN, RESULT, TENSORS
from rlprune.experiments.runs.tables import print_rows
from rlprune.experiments.settings.result_configs import ApplyConfig
from rlprune.plans.plan import PruningPlan
from rlprune.support.files import write_json
from rlprune.support.records import as_plain
from rlprune.support.threads import torch_threads

ANY_WIDTH = 1
FILES = {"safetensors": TENSORS, "onnx": ONNX, "plan": PLAN, "result": RESULT, "compact": COMPACT}


@dataclass(frozen=True)
class ApplyAnswer:
    """What became of the network."""

    result: ApplyResult

    def as_dict(self) -> dict[str, object]:
        """The result as plain values."""
        values: dict[str, object] = as_plain(self.result)
        return values

    def show(self) -> None:
        """Print the table and where the files are."""
        result = self.result
        print_rows(f"{result.network} pruned by {result.plan}", result.metric, result.rows)
        print_details(result.details, result.rows)
        for note in result.notes:
            print(f"- {note}")
        for name, path in result.files.items():
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
            progress.notes(remarks.of_statistics(evaluator))
        delivered = plan.cut(network) if config.no_repair else evaluator.delivered(levels)
        files = network_files(delivered, network, material.task.calibration)
        if ONNX in files.missing and delivered.ranges:
            raise NetworkError(f"Layers in int8 are computed by ONNX Runtime alone, but {files.missing[ONNX]}")
        progress.note("Measuring beside the dense network")
        timings = measure_plans(
            network,
            device.runtime,
            [files.contents[ONNX] if delivered.ranges else delivered.module],
            samples=config.samples,
            seed=config.seed,
            meter=meter_of(device, config.watts)[0],
            progress=True,
        )
        provenance = provenance_of(device, None, config.watts, [])
        networks = [
            _candidate("dense", "dense", space.full, Delivered(network.model), evaluator, timings.dense),
            _candidate("pruned", "plan", levels, delivered, evaluator, timings.plans[0]),
        ]
        tested = score_on_test(networks, evaluator)
    result = _result(config, evaluator, tested, provenance, files)
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


def _candidate(
    name: str, role: str, levels: IntArray, delivered: Delivered, evaluator: Evaluator, timing: PlanTiming
) -> Candidate:
    quality = evaluator.on(delivered.module, evaluator.task.validation)
    measured = replace(Measured.of(timing), corrected_ms=None)  # there is no profile to correct for
    return Candidate(name, role, levels, {}, quality, delivered, searched=quality, measured=measured)


def _result(
    config: ApplyConfig,
    evaluator: Evaluator,
    networks: Sequence[Candidate],
    provenance: Provenance,
    files: NetworkFiles,
) -> ApplyResult:
    folder = Path(config.out)
    names = {kind: name for kind, name in FILES.items() if name in (*files.contents, PLAN, RESULT)}
    return ApplyResult(
        network=config.network,
        task=evaluator.task.name,
        metric=evaluator.task.metric,
        plan=config.plan,
        repaired=not config.no_repair,
        device=provenance.facts,
        energy_source=provenance.source,
        notes=[*provenance.notes, *files.notes],
        rows=[item.row(evaluator.space, provenance) for item in networks],
        details=details_of(evaluator.task, {item.name: item.details for item in networks}),
        files={kind: str(folder / name) for kind, name in names.items()},
    )
