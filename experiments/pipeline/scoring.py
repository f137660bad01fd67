"""The networks of the table: dense, uniform, and the plan chosen of each method."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace
from safetensors.torch import save
from torch import nn

from rlprune.arrays import IntArray
from rlprune.delivery.compact.file import data_bytes
from rlprune.delivery.delivered import Delivered
from rlprune.evaluation.evaluator import Evaluator, Quality
from rlprune.evaluation.memory import peak_tensor_bytes
from rlprune.evaluation.problem import PruningProblem
from rlprune.experiments.pipeline.device_facts import DeviceFacts
from rlprune.experiments.pipeline.searching import Finalist
from rlprune.experiments.runs.details import Splits, splits_of
from rlprune.experiments.runs.ranking import standings
from rlprune.experiments.runs.result import Row
from rlprune.networks.inputs import as_batch
from rlprune.networks.network import Network
from rlprune.tasks.measures import Details


@dataclass(eq=False)
class Candidate:
    """A network of the table while it is being scored.

    Attributes:
        name, role: as in :class:`rlprune.experiments.runs.result.Row`.
        levels: of every choice, ``int64 [K]``.
        costs: promised costs by metric.
        quality: on all validation samples.
        delivered: the network itself, repaired as it is handed over.
        reward: in the search; None for the dense network.
        evaluations: new plans that the method evaluated; None where nothing was searched.
        searched: quality on the samples of the search.
        finalists: the plans it was chosen from, best first.
        score_test: on the test samples, once they were touched.
        details_test: what the task tells beside it; of the validation samples ``quality.details`` has it.
        latency_ms: measured, once it was.
        corrected_ms: the same with the machine's drift since the profile taken out.
        p99_ms: measured, 99 of 100 inferences are at least as fast.
        metered_mj: energy of one inference, where a meter was read.
        peak_bytes: as the runtime told; else counted by torch.
    """

    name: str
    role: str
    levels: IntArray
    costs: dict[str, float]
    quality: Quality
    delivered: Delivered
    searched: Quality
    reward: float | None = None
    evaluations: int | None = None
    finalists: Sequence[Finalist] = field(default_factory=list)
    score_test: float | None = None
    details_test: Details | None = None
    latency_ms: float | None = None
    corrected_ms: float | None = None
    p99_ms: float | None = None
    metered_mj: float | None = None
    peak_bytes: int | None = None

    @property
    def module(self) -> nn.Module:
        """The network in torch."""
        return self.delivered.module

    @property
    def details(self) -> Splits:
        """What the task tells beside the scores, by split."""
        return splits_of(self.quality, self.details_test)

    def row(self, problem: PruningProblem, facts: DeviceFacts) -> Row:
        """The finished line of the table."""
        promised = self.costs.get("latency")
        macs = float(problem.space.macs(self.levels[None])[0])
        latency = promised if self.latency_ms is None else self.latency_ms
        energy = facts.energy_mj(self.metered_mj, latency, macs)
        return Row(
            name=self.name,
            role=self.role,
            score_validation=self.quality.score,
            divergence=self.quality.divergence,
            macs=macs,
            params=float(problem.space.params(self.levels[None])[0]),
            size_bytes=data_bytes(self.delivered.compact() or weights(self.module)),
            widths=tuple(int(level) for level in self.levels),
            score_test=self.score_test,
            latency_promised_ms=promised,
            latency_measured_ms=self.latency_ms,
            latency_corrected_ms=self.corrected_ms,
            latency_p99_promised_ms=facts.p99(promised),
            latency_p99_measured_ms=self.p99_ms,
            energy_promised_mj=self.costs.get("energy"),
            energy_mj=energy,
            energy_above_idle_mj=facts.above_idle_mj(energy, latency),
            peak_bytes=self.peak_bytes or peak_of(self.module, problem.network, facts.batch),
            batch=facts.batch,
            reward=self.reward,
            evaluations=self.evaluations,
        )


def table(candidates: Sequence[Candidate], problem: PruningProblem, facts: DeviceFacts) -> list[Row]:
    """The finished table, every pruned network beside the best."""
    rows = [item.row(problem, facts) for item in candidates]
    pruned = [place for place, item in enumerate(candidates) if item.role != "dense"]
    for place, one in zip(pruned, standings([candidates[place].quality for place in pruned]), strict=True):
        if one.behind is not None:
            rows[place] = replace(rows[place], behind_low=one.behind[0], behind_high=one.behind[1])
    return rows


def dense_candidate(problem: PruningProblem) -> Candidate:
    """The dense network on all validation samples."""
    evaluator = problem.evaluator
    module = evaluator.tables.network.model
    quality = evaluator.on(module, evaluator.task.validation)
    full = problem.space.full
    return Candidate("dense", "dense", full, problem.dense_costs, quality, Delivered(module), evaluator.dense)


def candidate(
    name: str, role: str, ranked: Sequence[Finalist], evaluator: Evaluator, evaluations: int | None = None
) -> Candidate:
    """The best finalist of a method, which evaluated so many new plans."""
    outcome = ranked[0].outcome
    return Candidate(
        name,
        role,
        outcome.levels,
        outcome.costs,
        ranked[0].quality,
        evaluator.delivered(outcome.levels),
        searched=outcome.quality,
        reward=outcome.reward,
        evaluations=evaluations,
        finalists=ranked,
    )


def score_on_test(candidates: Sequence[Candidate], evaluator: Evaluator) -> None:
    """The one use of the test samples: every candidate, after all choices were made."""
    for item in candidates:
        item.score_test, item.details_test = score_of_test(item.module, evaluator)


def score_of_test(module: nn.Module, evaluator: Evaluator) -> tuple[float, Details]:
    """The task's metric on the test samples, and what the task tells beside it, of one pass."""
    return evaluator.detailed_score(module, evaluator.task.test)


def peak_of(module: nn.Module, network: Network, batch: int) -> int:
    """Bytes that weights and activations of one inference take at once at most, as torch allocates them."""
    return peak_tensor_bytes(module, as_batch(network.example_inputs, batch))


def weights(module: nn.Module) -> bytes:
    """The tensors of a network as safetensors, each its own copy."""
    return save({name: tensor.detach().clone().contiguous() for name, tensor in module.state_dict().items()})


def digest(content: bytes) -> str:
    """SHA-256, by which two files or networks are known to be the same."""
    return hashlib.sha256(content).hexdigest()
