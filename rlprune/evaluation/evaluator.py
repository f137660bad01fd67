"""The quality of a plan: pruned weights from the tables, one forward over validation samples, a cache in front."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from rlprune.arrays import FloatArray
from rlprune.choices.choice import Choice
from rlprune.choices.space import Space
from rlprune.delivery.delivered import Delivered
from rlprune.errors import NetworkError
from rlprune.evaluation.batchnorm_choice import StatisticsChoice, reference_row
from rlprune.evaluation.probes import PROBE_SAMPLES, LossTables, probed_tables
from rlprune.evaluation.quality import WORST_DIVERGENCE, EvaluationMemory, MeasuredQuality, PlanKey, Quality
from rlprune.evaluation.resampling import resampled_scores
from rlprune.networks import layout
from rlprune.networks.checking.verification import plan_is_wrong
from rlprune.plans.builder import PlanBuilder
from rlprune.plans.search_network import SearchNetwork
from rlprune.pruning.tables import PruningTables
from rlprune.tasks.base import Task
from rlprune.tasks.batches import batches, even_batches
from rlprune.tasks.details import plain_details
from rlprune.tasks.judging import as_number, divergence_of, scored_rows
from rlprune.tasks.measures import Details
from rlprune.tasks.split import Split

BATCH = 128
SEARCH_BATCH = 512


def wait_for(device: torch.device) -> None:
    """Until an accelerator has done what it was given; before a clock is read."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


class Evaluator:
    """Scores plans on validation samples. A plan that was evaluated is never evaluated again.

    >>> evaluator = Evaluator(tables, task, samples=128)
    >>> quality = evaluator(network.dense_widths)
    >>> quality.divergence < 1e-6, evaluator.evaluations
    (True, 1)

    Args:
        tables: of the network; they give the repaired weights of a plan.
        task: its validation split is used, never the test split.
        samples: of one evaluation, the first of ``split``.
        split: of the task's samples; those for validation where nothing is said.
        space: what may be decided about the network of the tables; its channels where nothing is said.
        builder: of the same tables and space, where there is one already.
        statistics: what BatchNorms are normalised with. A delivered network gets this share of statistics re-estimated
            on calibration samples; in the search those of each batch stand for them. Where nothing is said, it is
            judged when it is needed first: on the filled plan, where a problem was stated, else on an even cut.

    Attributes:
        memory: asked before a plan is run, where there is one. What it remembers counts as an evaluation: a search
            that is repeated from memory ends as it would have ended.
        evaluations, cache_hits: how often a plan was run, and how often it was already known.
        images: samples that were run for all of these evaluations: what a search costs.
        seconds: time spent in forward passes of plans.

    Raises:
        NetworkError: the dense network's answer to the validation samples holds no tensor to score (see
            :meth:`Task.outputs`), not one row per sample, or NaN or infinity.
        TaskError: the task's score or divergence gives no number, or the test targets cannot be scored.
    """

    def __init__(
        self,
        tables: PruningTables,
        task: Task,
        *,
        samples: int = 512,
        split: Split | None = None,
        statistics: StatisticsChoice | None = None,
        space: Space | None = None,
        builder: PlanBuilder | None = None,
    ) -> None:
        self.tables = tables
        self.task = task
        self.space = space or Space(tables.network)
        self.memory: EvaluationMemory | None = None
        self.evaluations = 0
        self.cache_hits = 0
        self.images = 0
        self.seconds = 0.0
        self._source = split or task.validation
        self._split = self._source.take(samples)
        self._inputs = list(even_batches(self._split, SEARCH_BATCH, tables.device, tables.channels_last))
        self.builder = builder or PlanBuilder(tables, self.space, task.calibration)
        self._statistics = statistics
        self._references: dict[int, tuple[Split, torch.Tensor]] = {}
        self._known: dict[PlanKey, Quality] = {}
        self._check(self._forward(tables.permuted))

    def _check(self, outputs: torch.Tensor) -> None:
        """Refuse dense outputs on the search samples that cannot be scored."""
        if not torch.isfinite(outputs).all():
            raise NetworkError(
                "The dense network's outputs on the validation samples must be finite; NaN or infinity came out."
            )
        self.task.check_test_targets(outputs)
        self._quality(outputs, self._split, outputs)

    @property
    def statistics(self) -> StatisticsChoice:
        """What BatchNorms are normalised with, in search and delivery."""
        if self._statistics is None:
            self.settle(reference_row(self.builder))
        assert self._statistics is not None
        return self._statistics

    def settle(self, levels: npt.ArrayLike) -> None:
        """Judge on this plan, ``[K]``, what BatchNorms are normalised with, unless that is settled already."""
        if self._statistics is None:
            self._statistics = StatisticsChoice.judged(self.builder, self.task, np.array(self._key(levels)))

    @cached_property
    def _network(self) -> SearchNetwork:
        return self._dense_network()

    def _dense_network(self) -> SearchNetwork:
        return SearchNetwork(self.tables, self.space, self.statistics.share, self.builder.shared_norms)

    @cached_property
    def _dense_outputs(self) -> torch.Tensor:
        return self._forward(self._dense_network().module)

    @cached_property
    def dense(self) -> Quality:
        """Quality of the dense network on the search samples."""
        return self._quality(self._dense_outputs, self._split, self._dense_outputs)

    def _forward(self, model: nn.Module) -> torch.Tensor:
        return scored_rows(self.task, model, self._inputs)

    def _outputs(self, model: nn.Module, split: Split) -> torch.Tensor:
        inputs = batches(split, BATCH, self.tables.device, self.tables.channels_last)
        return scored_rows(self.task, model, inputs)

    def _reference(self, split: Split) -> torch.Tensor:
        """Outputs of the dense network on a split, computed once."""
        if id(split) not in self._references:
            self._references[id(split)] = (split, self._outputs(self.tables.shell().module, split))
        return self._references[id(split)][1]

    def _quality(
        self, outputs: torch.Tensor, split: Split, dense_outputs: torch.Tensor, strict: bool = True
    ) -> Quality:
        divergence = divergence_of(self.task, outputs, dense_outputs, split.targets)
        if divergence != math.inf:
            divergence = as_number(divergence, "divergence", self.task.name, strict)
        return Quality(self._score(outputs, split, strict), min(divergence, WORST_DIVERGENCE), len(split))

    def _score(self, outputs: torch.Tensor, split: Split, strict: bool = True) -> float:
        return as_number(self.task.score(outputs, split.targets.to(outputs.device)), "score", self.task.name, strict)

    def _details(self, outputs: torch.Tensor, split: Split) -> Details:
        return plain_details(self.task.details(outputs, split.targets.to(outputs.device)), self.task.name)

    def __call__(self, levels: npt.ArrayLike) -> Quality:
        """Quality of a plan, ``[K]``, on the search samples."""
        return self.many([levels])[0]

    def many(self, plans: Sequence[npt.ArrayLike]) -> list[Quality]:
        """Quality of each plan, in order; a plan that comes twice is evaluated once.

        Score or divergence that are no number come back as NaN.
        """
        keys = [self._key(plan) for plan in plans]
        new = [key for key in dict.fromkeys(keys) if key not in self._known]
        for key, (quality, seconds) in zip(new, self._remembered_or_measured(new), strict=True):
            self._known[key] = quality
            self.seconds += seconds
        self.evaluations += len(new)
        self.images += len(new) * len(self._split)
        self.cache_hits += len(keys) - len(new)
        return [self._known[key] for key in keys]

    def _remembered_or_measured(self, keys: Sequence[PlanKey]) -> Iterator[MeasuredQuality]:
        known = [] if self.memory is None else self.memory.recall(keys)
        yield from known
        new = keys[len(known) :]
        for key, measured in zip(new, self._measure(new), strict=True):
            if self.memory is not None:
                self.memory.record(key, measured)
            yield measured

    def _measure(self, keys: Sequence[PlanKey]) -> Iterator[MeasuredQuality]:
        """Run plans, in order; each is handed out before the next one is run."""
        return (self.measure(key) for key in keys)

    def clock(self) -> float:
        """Seconds since an arbitrary start; of a search that is repeated from memory, as they passed then."""
        return time.perf_counter() if self.memory is None else self.memory.clock()

    def measure(self, key: PlanKey) -> MeasuredQuality:
        """Quality of a plan and the seconds of its forward pass; nothing is remembered or counted."""
        outputs, seconds = self._run(key)
        return self._quality(outputs, self._split, self._dense_outputs, strict=False), seconds

    def outputs(self, levels: npt.ArrayLike) -> torch.Tensor:
        """What is scored of the plan's answers to the search samples, ``[samples, ...]``; run anew each time."""
        outputs, seconds = self._run(self._key(levels))
        self.seconds += seconds
        self.evaluations += 1
        self.images += len(self._split)
        return outputs

    def _run(self, key: PlanKey) -> tuple[torch.Tensor, float]:
        row = np.array(key, dtype=np.int64)
        pruned = self._network.put(row, self.builder.tensors(row))
        wait_for(self.tables.device)
        start = time.perf_counter()
        outputs = self._forward(pruned)
        wait_for(self.tables.device)
        return outputs, time.perf_counter() - start

    def fresh(self) -> Evaluator:
        """An evaluator on the same samples that knows no plan yet."""
        return self._like(self.space, self.builder)

    def deciding(self, space: Space) -> Evaluator:
        """An evaluator of the plans of another space: this one where a row means the same there."""
        return self if self.space.means_the_same(space) else self._like(space)

    @property
    def samples(self) -> int:
        """How many samples one evaluation runs."""
        return len(self._split)

    def on_samples(self, samples: int, split: Split | None = None) -> Evaluator:
        """An evaluator of the same plans that knows none yet, on the first samples of a split.

        Args:
            split: of the task's samples; this evaluator's own where nothing is said.
        """
        return Evaluator(
            self.tables, self.task, samples=samples, split=split or self._source, statistics=self.statistics,
            space=self.space, builder=self.builder,
        )  # fmt: skip

    @cached_property
    def loss_tables(self) -> LossTables:
        """What each choice was measured to lose alone, on calibration samples; measured when it is first asked for."""
        from_calibration = self.on_samples(PROBE_SAMPLES, self.task.calibration)
        tables = probed_tables(from_calibration.many, self.space.choices, self.error_curve)
        self.images += from_calibration.images
        return tables

    def _like(self, space: Space, builder: PlanBuilder | None = None) -> Evaluator:
        return Evaluator(
            self.tables, self.task, samples=self.samples, split=self._source, statistics=self._statistics,
            space=space, builder=builder,
        )  # fmt: skip

    def known(self, levels: npt.ArrayLike) -> bool:
        """Whether the plan was evaluated before."""
        return self._key(levels) in self._known

    def _key(self, levels: npt.ArrayLike) -> PlanKey:
        return tuple(self.space.canonical(self.space.as_matrix(levels))[0].tolist())

    def repaired(self, levels: npt.ArrayLike) -> nn.Module:
        """The module of the network that :meth:`delivered` gives."""
        return self.delivered(levels).module

    def delivered(self, levels: npt.ArrayLike) -> Delivered:
        """The pruned network as it is handed over; see :meth:`rlprune.plans.builder.PlanBuilder.delivered`."""
        self.builder.share = self.statistics.share
        return self.builder.delivered(np.array(self._key(levels), dtype=np.int64))

    def finalist(self, levels: npt.ArrayLike) -> Quality:
        """Quality of the delivered network on all validation samples; the worst there is for a wrong plan.

        A plan is wrong where the network's code behaves otherwise at just these widths; see
        :func:`rlprune.networks.checking.verification.plan_is_wrong`.
        """
        row = np.array(self._key(levels), dtype=np.int64)
        if plan_is_wrong(self.tables.network, self.space.widths(row[None])[0]) is not None:
            return Quality(self.task.worst_score, WORST_DIVERGENCE, len(self.task.validation))
        model = self.repaired(row)
        model = layout.to_channels_last(model) if self.tables.channels_last else model
        return self.on(model, self.task.validation, resampled=True)

    def error_curve(self, choice: Choice) -> FloatArray:
        """What each level of a choice is expected to lose alone, in [0, 1]; known before any evaluation."""
        return self.builder.error_curve(choice)

    def on(self, model: nn.Module, split: Split, *, resampled: bool = False) -> Quality:
        """Quality of any network with the same outputs on any split; BatchNorms use their running statistics.

        Args:
            resampled: whether the score is also computed on resampled samples, so that its noise is known.
        """
        outputs = self._outputs(model, split)
        quality = replace(self._quality(outputs, split, self._reference(split)), details=self._details(outputs, split))
        return replace(quality, resampled=resampled_scores(self.task, outputs, split.targets)) if resampled else quality

    def score(self, model: nn.Module, split: Split) -> float:
        """The task's metric of any network on any split; the dense network is not run."""
        return self._score(self._outputs(model, split), split)

    def detailed_score(self, model: nn.Module, split: Split) -> tuple[float, Details]:
        """:meth:`score`, and what the task tells beside it, of one pass over the split."""
        outputs = self._outputs(model, split)
        return self._score(outputs, split), self._details(outputs, split)
