"""The sixth step: plans, and the files of the best pruned network, each compared with the network itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlprune.delivery.compact.file import data_bytes, verify_compact
from rlprune.delivery.delivered import Delivered
from rlprune.delivery.onnx.reading import initializers
from rlprune.delivery.onnx.verifying import verify_onnx
from rlprune.errors import DeviceError, NetworkError, RunError
from rlprune.experiments.pipeline.candidate import Candidate, weights
from rlprune.experiments.pipeline.findings import Findings
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.pipeline.reasons import alike
from rlprune.experiments.runs.row import DENSE, POLICY_ALONE, Row, finalist_name
from rlprune.experiments.runs.run_folder import COMPACT, ONNX, PLAN, TENSORS, RunFolder
from rlprune.networks.network import Network
from rlprune.plans.plan import PruningPlan
from rlprune.support.files import write_atomic
from rlprune.tasks import Split


@dataclass
class NetworkFiles:
    """What is handed over of one network.

    Attributes:
        contents: by name of the file.
        missing: name of a file that cannot be written -> why.
        held: bytes of the weights in the ONNX file by type, where some were treated.
        wide: layers of few bits of which it holds float32.
    """

    contents: dict[str, bytes] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    wide: list[str] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write them into a folder, each atomically.

        Raises:
            RunError: one cannot be written.
        """
        for name, content in self.contents.items():
            write_atomic(folder / name, content, RunError)

    @property
    def notes(self) -> list[str]:
        """What is not there, and what is stored in what, for people."""
        lines = [f"{name} is not written: {reason}" for name, reason in self.missing.items()]
        if self.held:
            largest = sorted(self.held.items(), key=lambda pair: -pair[1])
            kinds = ", ".join(f"{size / 1e3:.1f} kB {kind}" for kind, size in largest)
            lines.append(f"Weights in {ONNX}: {kinds}; in {COMPACT}: {self._size_of(COMPACT)}.")
        if self.wide:
            lines.append(
                f"Of few bits, but float32 in {ONNX}, changed by the exporter or filled by means: {alike(self.wide)}."
            )
        return lines

    def _size_of(self, name: str) -> str:
        return f"{data_bytes(self.contents[name]) / 1e3:.1f} kB" if name in self.contents else "not written"


def network_files(delivered: Delivered, network: Network, calibration: Split, batch: int = 1) -> NetworkFiles:
    """The module's tensors, ONNX where that computes the same, and where weights were treated the compact file.

    ONNX is compared with the module on every output, the compact file with its tensors, bit for bit.
    """
    files = NetworkFiles({TENSORS: weights(delivered.module)})
    if (compact := delivered.compact()) is not None:
        try:
            verify_compact(compact, delivered.module.state_dict())
            files.contents[COMPACT] = compact
        except NetworkError as reason:
            files.missing[COMPACT] = str(reason)
    try:
        model = delivered.onnx(network.example_inputs, calibration, batch=batch)
        verify_onnx(model, delivered.module, network.example_inputs, batch=batch, tolerance=delivered.tolerance)
    except (NetworkError, DeviceError) as reason:
        files.missing[ONNX] = str(reason)
        return files
    files.contents[ONNX] = model
    if delivered.stored:
        files.wide = delivered.wide_in(model)
        for kind, size in initializers(model).values():
            files.held[kind] = files.held.get(kind, 0) + size
    return files


def deliver(run: RunFolder, findings: Findings, progress: Progress) -> list[str]:
    """Write every plan of the table and of a front, and the files of the best network.

    Returns:
        What is not there, and what is stored in what.

    Raises:
        RunError, PlanError: a file cannot be written.
    """
    chosen = findings.chosen
    if chosen.several:
        _write_front(run, findings)
    for item, row in zip(chosen.table, findings.rows, strict=True):
        if item.role != DENSE:
            _write_plan(run, findings, item, _notes_of(findings, row))
    problem, batch = chosen.problem, findings.provenance.batch
    files = network_files(findings.winner.delivered, problem.network, problem.evaluator.task.calibration, batch)
    files.write(run.path)
    progress.notes(files.notes)
    return files.notes


def _write_front(run: RunFolder, findings: Findings) -> None:
    """The plans of the agent and of its policy alone at every budget."""
    config, chosen = findings.config, findings.chosen
    for item in chosen.points:
        if item.method in (config.agent, POLICY_ALONE):
            budget = str(chosen.budget_of(item))
            notes = {**config.network_notes(), "method": item.method, "budgets": [budget]}
            path = run.path / "plans" / f"{item.method}-{budget.replace('=', '')}.json"
            PruningPlan.from_levels(chosen.problem.space, item.levels, notes).save(path)


def _write_plan(run: RunFolder, findings: Findings, item: Candidate, notes: Mapping[str, Any]) -> None:
    space, plans = findings.chosen.problem.space, run.path / "plans"
    plan = PruningPlan.from_levels(space, item.levels, notes)
    plan.save(plans / f"{item.name}.json")
    if item is findings.winner:
        plan.save(run.path / PLAN)
    if space.layered:  # plans that are more than channels cannot be made again of levels alone
        for number, finalist in enumerate(item.finalists, start=1):
            plan = PruningPlan.from_levels(space, finalist.outcome.levels, findings.config.network_notes())
            plan.save(plans / f"{finalist_name(item.name, number)}.json")


def _notes_of(findings: Findings, row: Row) -> dict[str, Any]:
    """For readers of a plan: where it comes from and what it is worth."""
    problem = findings.chosen.problem
    return {
        **findings.config.network_notes(),
        "method": row.name,
        "budgets": [str(budget) for budget in problem.planner.budgets],
        "seed": findings.config.seed,
        "batchnorm": problem.evaluator.statistics.share,
        "score_validation": row.score_validation,
        "score_test": row.score_test,
        "latency_promised_ms": row.latency_promised_ms,
        "latency_measured_ms": row.latency_measured_ms,
        "macs": row.macs,
        "params": row.params,
    }
