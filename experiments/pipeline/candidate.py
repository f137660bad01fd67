"""A network of the table: the dense one, or what is delivered of a plan, with all that the steps tell of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec.structs
from safetensors.torch import save
from torch import nn

from rlprune.arrays import IntArray
from rlprune.choices.space import Space
from rlprune.costs.registry import METRICS
from rlprune.delivery.compact.file import data_bytes
from rlprune.delivery.delivered import Delivered
from rlprune.devices.profiling.promise import PlanTiming
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.memory import peak_tensor_bytes
from rlprune.evaluation.problem import Outcome, PruningProblem
from rlprune.evaluation.quality import Quality
from rlprune.evaluation.resampling import Interval
from rlprune.experiments.pipeline.provenance import Provenance
from rlprune.experiments.runs.details import Splits, splits_of
from rlprune.experiments.runs.ranking import best_first, standings
from rlprune.experiments.runs.row import DENSE, Row
from rlprune.networks.inputs import as_batch
from rlprune.networks.network import Network
from rlprune.tasks.measures import Details


@dataclass(frozen=True, eq=False)
class Finalist:
    """A plan scored again on all validation samples, as it is delivered.

    Attributes:
        outcome: in the search.
        quality: on all validation samples.
        behind: see :class:`rlprune.experiments.runs.ranking.Standing`; among the finalists it was ranked with.
    """

    outcome: Outcome
    quality: Quality
    behind: Interval | None = None


@dataclass(frozen=True)
class Measured:
    """What clock, meter and runtime told of one inference; None where they were not asked or cannot tell.

    Attributes:
        latency_ms: the least of many.
        corrected_ms: the same with the machine's drift since the profile taken out.
        p99_ms: 99 of 100 inferences are at least as fast.
        energy_mj: where a meter was read.
        peak_bytes: memory taken at most.
    """

    latency_ms: float | None = None
    corrected_ms: float | None = None
    p99_ms: float | None = None
    energy_mj: float | None = None
    peak_bytes: int | None = None

    @classmethod
    def of(cls, timing: PlanTiming) -> Measured:
        """What a timing tells."""
        tail = timing.tails_ms["p99"]
        return cls(timing.latency_ms, timing.corrected_ms, tail, timing.energy_mj, timing.peak_bytes)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A network of the table; every step of the pipeline returns it with more known.

    Attributes:
        name, role: as in :class:`rlprune.experiments.runs.rows.Row`.
        levels: of every choice, ``int64 [K]``.
        costs: promised costs by metric.
        quality: on all validation samples.
        delivered: the network itself, repaired as it is handed over.
        searched: quality on the samples of the search.
        reward: in the search; None for the dense network.
        evaluations: new plans that the method evaluated; None where nothing was searched.
        finalists: the plans it was chosen from, best first.
        method: what found it; ``dense`` of the dense network, empty where nothing is searched.
        place: number of the budget that it was found for, among those that were searched.
        measured: on the device.
        score_test: on the test samples, once they were touched.
        details_test: what the task tells beside it; of the validation samples ``quality.details`` has it.
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
    finalists: Sequence[Finalist] = ()
    method: str = ""
    place: int = 0
    measured: Measured = Measured()
    score_test: float | None = None
    details_test: Details | None = None

    @property
    def module(self) -> nn.Module:
        """The network in torch."""
        return self.delivered.module

    @property
    def details(self) -> Splits:
        """What the task tells beside the scores, by split."""
        return splits_of(self.quality, self.details_test)

    def row(self, space: Space, provenance: Provenance) -> Row:
        """The finished line of the table."""
        promised, measured = self.costs.get("latency"), self.measured
        macs = float(space.macs(self.levels[None])[0])
        latency = promised if measured.latency_ms is None else measured.latency_ms
        energy = provenance.energy_mj(measured.energy_mj, latency, macs)
        return Row(
            name=self.name,
            role=self.role,
            score_validation=self.quality.score,
            divergence=self.quality.divergence,
            macs=macs,
            params=float(space.params(self.levels[None])[0]),
            size_bytes=data_bytes(self.delivered.compact() or weights(self.module)),
            widths=tuple(int(level) for level in self.levels),
            score_test=self.score_test,
            latency_promised_ms=promised,
            latency_measured_ms=measured.latency_ms,
            latency_corrected_ms=measured.corrected_ms,
            latency_p99_promised_ms=provenance.p99(promised),
            latency_p99_measured_ms=measured.p99_ms,
            energy_promised_mj=self.costs.get("energy"),
            energy_mj=energy,
            energy_above_idle_mj=provenance.above_idle_mj(energy, latency),
            peak_bytes=measured.peak_bytes or peak_of(self.module, space.network, provenance.batch),
            batch=provenance.batch,
            reward=self.reward,
            evaluations=self.evaluations,
            costs={METRICS[name].column: cost for name, cost in self.costs.items() if not METRICS[name].fields},
        )


def table(candidates: Sequence[Candidate], space: Space, provenance: Provenance) -> list[Row]:
    """The finished table, every pruned network beside the best."""
    rows = [item.row(space, provenance) for item in candidates]
    pruned = [place for place, item in enumerate(candidates) if item.role != DENSE]
    for place, one in zip(pruned, standings([candidates[place].quality for place in pruned]), strict=True):
        if one.behind is not None:
            rows[place] = msgspec.structs.replace(rows[place], behind_low=one.behind[0], behind_high=one.behind[1])
    return rows


def dense_candidate(problem: PruningProblem) -> Candidate:
    """The dense network on all validation samples."""
    evaluator = problem.evaluator
    module = evaluator.tables.network.model
    quality = evaluator.on(module, evaluator.task.validation)
    full = problem.space.full
    return Candidate(DENSE, DENSE, full, problem.dense_costs, quality, Delivered(module), evaluator.dense, method=DENSE)


def ranked(scored: Sequence[Finalist]) -> list[Finalist]:
    """Best first, by :mod:`rlprune.experiments.runs.ranking`; of what is alike in score and divergence, the first."""
    found = standings([one.quality for one in scored])
    return [replace(scored[place], behind=found[place].behind) for place in best_first(found)]


def finalists_of(outcomes: Sequence[Outcome], evaluator: Evaluator) -> list[Finalist]:
    """Plans scored again on all validation samples, best first."""
    return ranked([Finalist(outcome, evaluator.finalist(outcome.levels)) for outcome in outcomes])


def candidate(name: str, role: str, finalists: Sequence[Finalist], evaluator: Evaluator) -> Candidate:
    """The first of some finalists, as it is delivered."""
    best = finalists[0].outcome
    return Candidate(
        name,
        role,
        best.levels,
        best.costs,
        finalists[0].quality,
        evaluator.delivered(best.levels),
        searched=best.quality,
        reward=best.reward,
        finalists=finalists,
    )


def single_candidate(name: str, role: str, outcome: Outcome, evaluator: Evaluator) -> Candidate:
    """The network of a plan that had no rivals, scored on all validation samples."""
    return candidate(name, role, finalists_of([outcome], evaluator), evaluator)


def score_on_test(candidates: Sequence[Candidate], evaluator: Evaluator) -> list[Candidate]:
    """The one use of the test samples: every candidate, after all choices were made."""
    scores = [evaluator.detailed_score(item.module, evaluator.task.test) for item in candidates]
    return [
        replace(item, score_test=score, details_test=details)
        for item, (score, details) in zip(candidates, scores, strict=True)
    ]


def peak_of(module: nn.Module, network: Network, batch: int) -> int:
    """Bytes that weights and activations of one inference take at once at most, as torch allocates them."""
    return peak_tensor_bytes(module, as_batch(network.example_inputs, batch))


def weights(module: nn.Module) -> bytes:
    """The tensors of a network as safetensors, each its own copy."""
    return save({name: tensor.detach().clone().contiguous() for name, tensor in module.state_dict().items()})


def digest(content: bytes) -> str:
    """SHA-256, by which two files or networks are known to be the same."""
    return hashlib.sha256(content).hexdigest()
