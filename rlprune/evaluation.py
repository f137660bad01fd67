"""The quality of a plan: pruned weights from the tables, one forward over validation samples, a cache in front."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from rlprune import layout
from rlprune.choices import FULL_BITS, Choice
from rlprune.delivery import Delivered
from rlprune.errors import NetworkError, TaskError
from rlprune.inputs import batch_size, call
from rlprune.network import FloatArray, IntArray
from rlprune.pruning import batchnorm
from rlprune.pruning.depth import BlockSwitch, block_errors, drop_blocks
from rlprune.pruning.quantization import Int8Inputs, WeightPlace, measure_ranges, storable_layers
from rlprune.pruning.tables import PruningTables
from rlprune.pruning.treatment import PlanTensors, treated_layers
from rlprune.pruning.verification import plan_is_wrong
from rlprune.pruning.weight_repair import WeightRepair
from rlprune.space import Space
from rlprune.tasks.base import Split, Task
from rlprune.tasks.batches import batches, even_batches
from rlprune.tasks.details import plain_details
from rlprune.tasks.measures import Details
from rlprune.tasks.split import Batch, tensor_kind

BATCH = 128
SEARCH_BATCH = 512
FEWEST_FOR_STATISTICS = 256
WORST_DIVERGENCE = 1e6

Key = tuple[int, ...]
"""Levels of all choices: what a plan is known by."""


@dataclass(frozen=True)
class Quality:
    """How good a pruned network is.

    Attributes:
        score: the task's metric, higher is better (top-1 accuracy for classification).
        divergence: disagreement with the dense network's outputs, 0 where they are equal (KL in nats for classes); at
            most 1e6.
        samples: how many samples both were measured on.
        details: what the task tells beside the score; empty for evaluations of the search.
    """

    score: float
    divergence: float
    samples: int
    details: Details = field(default_factory=dict, compare=False, repr=False)


Measured = tuple[Quality, float]
"""The quality of a plan, and the seconds of its forward pass."""


class EvaluationMemory(Protocol):
    """Remembers what was evaluated in an earlier process that searched the same way."""

    def recall(self, keys: Sequence[Key]) -> list[Measured]:
        """What is remembered of plans that are asked for in this order: of the first ones, often of none."""
        ...

    def record(self, key: Key, measured: Measured) -> None:
        """Take in what was measured now."""
        ...

    def clock(self) -> float:
        """Seconds since the search began, those of the earlier process included."""
        ...


class Evaluator:
    """Scores plans on validation samples. A plan that was evaluated is never evaluated again.

    Args:
        tables: of the network; they give the repaired weights of a plan.
        task: its validation split is used, never the test split.
        samples: validation samples of one evaluation.
        space: what may be decided about the network of the tables; its channels where nothing is said.
        batch_statistics: whether BatchNorms use the statistics of the search samples instead of the dense network's
            running ones. It stands for the re-estimation that every delivered network gets. Where nothing is said,
            they do with at least 256 samples; with fewer they rank plans worse (benchmark ``search_signal``).

    Attributes:
        memory: asked before a plan is run, where there is one. What it remembers counts as an evaluation: a search
            that is repeated from memory ends as it would have ended.
        evaluations, cache_hits: how often a plan was run, and how often it was already known.
        seconds: time spent in forward passes of plans.
        dense: quality of the dense network on the same samples.

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
        batch_statistics: bool | None = None,
        space: Space | None = None,
    ) -> None:
        self.tables = tables
        self.task = task
        self.space = space or Space(tables.network)
        self.memory: EvaluationMemory | None = None
        self.evaluations = 0
        self.cache_hits = 0
        self.seconds = 0.0
        self._split = task.validation.take(samples)
        self._inputs = list(even_batches(self._split, SEARCH_BATCH, tables.device, tables.channels_last))
        self._shell = tables.shell()
        enough = len(self._split) >= FEWEST_FOR_STATISTICS
        self.batch_statistics = enough if batch_statistics is None else batch_statistics
        self.plans = PlanTensors(tables, self.space, None if "channels" in self.space.kinds else self._repair())
        self._switch = BlockSwitch(self._shell.module, self.space.blocks)
        self._rounding = Int8Inputs(self._shell.module, sorted(self.space.int8.names))
        self._left_out = batchnorm.use_batch_statistics(self._shell.module) if self.batch_statistics else set()
        self._references: dict[int, tuple[Split, torch.Tensor]] = {}
        self._dense_outputs = self._forward(self._shell.module)
        if not torch.isfinite(self._dense_outputs).all():
            raise NetworkError(
                "The dense network's outputs on the validation samples must be finite; NaN or infinity came out."
            )
        task.check_test_targets(self._dense_outputs)
        self._known: dict[Key, Quality] = {}
        self._of_blocks: dict[str, float] | None = None
        self.dense = self._quality(self._dense_outputs, self._split, self._dense_outputs)

    def _repair(self) -> WeightRepair | None:
        """Refits masked weights. Where channels are decided too nearly every plan has its own, and a search no time."""
        if "weights" not in self.space.kinds:
            return None
        layers = [layer for _, layer in treated_layers(self.space)]
        return WeightRepair(self.tables, layers, self.task.calibration)

    @cached_property
    def _finished(self) -> PlanTensors:
        """Tensors of delivered networks."""
        if "channels" not in self.space.kinds:
            return self.plans
        return PlanTensors(self.tables, self.space, self._repair())

    def _forward(self, model: nn.Module) -> torch.Tensor:
        return self._joined(model, self._inputs)

    def _outputs(self, model: nn.Module, split: Split) -> torch.Tensor:
        return self._joined(model, batches(split, BATCH, self.tables.device, self.tables.channels_last))

    def _joined(self, model: nn.Module, inputs: Iterable[Batch]) -> torch.Tensor:
        """What is scored of the answers to all batches together, ``[samples, ...]``."""
        with torch.inference_mode():
            return torch.cat([_rows(self.task.outputs(call(model, batch)), batch) for batch in inputs])

    def _reference(self, split: Split) -> torch.Tensor:
        """Outputs of the dense network on a split, computed once."""
        if id(split) not in self._references:
            self._references[id(split)] = (split, self._outputs(self.tables.shell().module, split))
        return self._references[id(split)][1]

    def _quality(
        self, outputs: torch.Tensor, split: Split, dense_outputs: torch.Tensor, strict: bool = True
    ) -> Quality:
        divergence = self.task.divergence(outputs, dense_outputs)
        if divergence != math.inf:
            divergence = _number(divergence, "divergence", self.task, strict)
        return Quality(self._score(outputs, split, strict), min(divergence, WORST_DIVERGENCE), len(split))

    def _score(self, outputs: torch.Tensor, split: Split, strict: bool = True) -> float:
        return _number(self.task.score(outputs, split.targets.to(outputs.device)), "score", self.task, strict)

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
        self.cache_hits += len(keys) - len(new)
        return [self._known[key] for key in keys]

    def _remembered_or_measured(self, keys: Sequence[Key]) -> Iterator[Measured]:
        known = [] if self.memory is None else self.memory.recall(keys)
        yield from known
        new = keys[len(known) :]
        for key, measured in zip(new, self._measure(new), strict=True):
            if self.memory is not None:
                self.memory.record(key, measured)
            yield measured

    def _measure(self, keys: Sequence[Key]) -> Iterator[Measured]:
        """Run plans, in order; each is handed out before the next one is run."""
        return (self.measure(key) for key in keys)

    def clock(self) -> float:
        """Seconds since an arbitrary start; of a search that is repeated from memory, as they passed then."""
        return time.perf_counter() if self.memory is None else self.memory.clock()

    def measure(self, key: Key) -> Measured:
        """Quality of a plan and the seconds of its forward pass; nothing is remembered or counted."""
        outputs, seconds = self._run(key)
        return self._quality(outputs, self._split, self._dense_outputs, strict=False), seconds

    def outputs(self, levels: npt.ArrayLike) -> torch.Tensor:
        """What is scored of the plan's answers to the search samples, ``[samples, ...]``; run anew each time."""
        outputs, seconds = self._run(self._key(levels))
        self.seconds += seconds
        self.evaluations += 1
        return outputs

    def _run(self, key: Key) -> tuple[torch.Tensor, float]:
        row = np.array(key, dtype=np.int64)
        tensors = {name: tensor for name, tensor in self.plans(row).items() if name not in self._left_out}
        pruned = self._shell.fill(tensors, self.space.widths(row[None])[0])
        self._switch.only(self.space.dropped(row))
        self._rounding.follow(self.space.computed_in_int8(row))
        start = time.perf_counter()
        outputs = self._forward(pruned)
        return outputs, time.perf_counter() - start

    def fresh(self) -> Evaluator:
        """One that knows nothing yet, on the same samples."""
        return self._like(self.space)

    def deciding(self, space: Space) -> Evaluator:
        """One for the plans of another space: itself where a row means the same there."""
        return self if self.space.means_the_same(space) else self._like(space)

    def _like(self, space: Space) -> Evaluator:
        samples, statistics = self.dense.samples, self.batch_statistics
        return Evaluator(self.tables, self.task, samples=samples, batch_statistics=statistics, space=space)

    def known(self, levels: npt.ArrayLike) -> bool:
        """Whether the plan was evaluated before."""
        return self._key(levels) in self._known

    def _key(self, levels: npt.ArrayLike) -> Key:
        return tuple(self.space.canonical(self.space.as_matrix(levels))[0].tolist())

    def repaired(self, levels: npt.ArrayLike) -> nn.Module:
        """The module of :meth:`delivered`."""
        return self.delivered(levels).module

    def delivered(self, levels: npt.ArrayLike) -> Delivered:
        """The pruned network as it is handed over, BatchNorm re-estimated on calibration samples.

        See :mod:`rlprune.pruning.treatment` for the order in which a plan is applied.
        """
        row = np.array(self._key(levels), dtype=np.int64)
        model = self.tables.shell().fill(_own(self._finished(row)), self.space.widths(row[None])[0])
        model = drop_blocks(model.requires_grad_(True), self.space.blocks, self.space.dropped(row)).eval()
        batchnorm.reestimate(model, even_batches(self.task.calibration, BATCH, self.tables.device))
        stored = self._finished.stored(row, model.state_dict())
        int8 = self.space.computed_in_int8(row)
        if not int8:
            return Delivered(model, stored, narrow=self._narrow(row))
        ranges = measure_ranges(model, int8, batches(self.task.calibration, BATCH, self.tables.device))
        rounding = Int8Inputs(model, int8)
        rounding.apply(ranges, int8)
        return Delivered(model, stored, ranges, rounding)

    def _narrow(self, row: IntArray) -> dict[str, tuple[int, WeightPlace]]:
        """Layers of a plan ``[K]`` that are left and whose weights have few bits, and where these stand."""
        places, present = storable_layers(self.space.network), self.space.present(row[None])[0]
        left = {layer.name for layer, there in zip(self.space.network.layers, present, strict=True) if there}
        treatments = self.plans.treatments(row)
        return {
            layer.name: (treatment.bits, places[layer.name])
            for layer, treatment in treatments
            if treatment.bits < FULL_BITS and layer.name in left
        }

    def finalist(self, levels: npt.ArrayLike) -> Quality:
        """Quality on all validation samples with BatchNorm re-estimated; the worst there is for a wrong plan.

        A plan is wrong where the network's code behaves otherwise at just these widths; see
        :func:`rlprune.pruning.verification.plan_is_wrong`.
        """
        row = np.array(self._key(levels), dtype=np.int64)
        if plan_is_wrong(self.tables.network, self.space.widths(row[None])[0]) is not None:
            return Quality(self.task.worst_score, WORST_DIVERGENCE, len(self.task.validation))
        model = self.repaired(row)
        return self.on(layout.to_channels_last(model) if self.tables.channels_last else model, self.task.validation)

    def error_curve(self, choice: Choice) -> FloatArray:
        """For each level of a choice, what taking it alone is expected to lose, in [0, 1]; known before any evaluation.

        Channels: energy of the consumers' outputs that cannot be restored. Weights and bits: energy of the weight that
        is lost. Depth: how much the block changes what goes through it.
        """
        levels = np.array(choice.levels, dtype=np.int64)
        if choice.kind == "channels":
            return np.asarray(np.interp(levels, *self.tables.error_curve(choice.name)))
        if choice.kind == "depth":
            return np.array([self._block_errors()[choice.name], 0.0])
        return self.plans.curve(choice.name, choice.kind, levels)

    def _block_errors(self) -> dict[str, float]:
        if self._of_blocks is None:
            self._of_blocks = block_errors(self.space.network, self.space.blocks, self.task.calibration)
        return self._of_blocks

    def on(self, model: nn.Module, split: Split) -> Quality:
        """Quality of any network with the same outputs on any split; BatchNorms use their running statistics."""
        outputs = self._outputs(model, split)
        return replace(self._quality(outputs, split, self._reference(split)), details=self._details(outputs, split))

    def score(self, model: nn.Module, split: Split) -> float:
        """The task's metric of any network on any split; the dense network is not run."""
        return self._score(self._outputs(model, split), split)

    def detailed_score(self, model: nn.Module, split: Split) -> tuple[float, Details]:
        """:meth:`score`, and what the task tells beside it, of one pass over the split."""
        outputs = self._outputs(model, split)
        return self._score(outputs, split), self._details(outputs, split)


def _own(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies that no table shares."""
    return {key: value.clone().contiguous() for key, value in tensors.items()}


def _rows(outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The outputs, one row for each sample of the batch, or an error."""
    if not isinstance(outputs, torch.Tensor):
        raise TaskError(f"Task.outputs must return a tensor; it returned {type(outputs).__name__}.")
    samples = batch_size(batch)
    if outputs.dim() == 0 or len(outputs) != samples:
        raise NetworkError(
            f"The network must answer with one row for each sample, samples first; {tensor_kind(outputs)} came for "
            f"{samples} samples. Wrap it in a module that transposes, or override Task.outputs."
        )
    return outputs


def _number(value: object, what: str, task: Task, strict: bool) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if strict and not math.isfinite(number):
        raise TaskError(
            f"The {what} of task {task.name!r} must be a finite number; {value!r} came. Correct Task.{what}."
        )
    return number if math.isfinite(number) else math.nan
