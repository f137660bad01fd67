"""Which statistics BatchNorms get: judged once per network, for search and delivery alike."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.errors import TaskError
from rlprune.networks import layout
from rlprune.plans.builder import BATCH, PlanBuilder
from rlprune.pruning import batchnorm
from rlprune.tasks.base import Task
from rlprune.tasks.batches import batches
from rlprune.tasks.judging import as_number, divergence_of, scored_rows

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
JUDGES = 256
"""Validation samples that judge, whatever number a search uses: all evaluators of a network choose alike."""
FEWEST = 256
"""Search samples whose own statistics rank plans as those of more do (``docs/internals/search.md``)."""
REFERENCE = {"channels": 0.7, "weights": 0.5, "bits": 0.125}
"""What is kept of each choice of a kind in the plan that judges: about half of the network's cost."""
WORTH = 0.95
"""A blend must bring the divergence below this share of what re-estimation gives, to be taken in its stead."""
CHANGED, NEGLIGIBLE = 0.5, 0.01
"""The dense network has changed where re-estimation alone does so much of the harm of the plan that judges, and gives a
divergence of more than a hundredth."""


@dataclass(frozen=True)
class StatisticsChoice:
    """What BatchNorms of pruned networks are normalised with, in search and delivery.

    Attributes:
        share: of the statistics measured on samples; the rest is the dense network's own running statistics.
        pruned: share -> divergence of a reference plan from the dense network on validation samples; empty where
            nothing was judged.
        dense: the same of the dense network itself: what re-estimation alone changes.
        samples: calibration samples that statistics are estimated on.
        keep: names of BatchNorms that keep their own in any case; see :func:`rlprune.pruning.batchnorm.shared`.
    """

    share: float
    pruned: Mapping[float, float] = field(default_factory=dict)
    dense: Mapping[float, float] = field(default_factory=dict)
    samples: int = 0
    keep: tuple[str, ...] = ()

    @classmethod
    def judged(cls, builder: PlanBuilder, task: Task, row: IntArray) -> StatisticsChoice:
        """The share with which the delivered network of a plan ``[K]`` stays nearest to the dense one.

        Re-estimation is taken where nothing is better by 5%. A network without BatchNorm has nothing to choose.
        """
        keep = tuple(sorted(builder.shared_norms))
        if not batchnorm.tracking(builder.dense, keep):
            return cls(1.0, keep=keep)
        judge = _Judge(builder, task)
        pruned = judge.divergences(builder.assembled(row))
        best = min(pruned, key=lambda share: pruned[share])
        good = pruned[1.0] < pruned[0.0] and WORTH * pruned[1.0] <= pruned[best]
        return cls(1.0 if good else best, pruned, judge.divergences(builder.dense), len(task.calibration), keep)

    @property
    def changes_dense(self) -> bool:
        """Whether re-estimation alone harms the dense network, and about as much as pruning does."""
        return bool(self.dense) and self.dense[1.0] > max(NEGLIGIBLE, CHANGED * self.pruned[self.share])

    def as_dict(self) -> dict[str, Any]:
        """As results state it; a divergence that is not finite is None."""
        tried = {"pruned": self.pruned, "dense": self.dense}
        return {"share": self.share, **{name: _finite(item) for name, item in tried.items()}}

    def notes(self, search_samples: int, validation_samples: int) -> list[str]:
        """What a person should know: the choice, what the others gave, and samples that cannot carry it.

        Args:
            search_samples: validation samples that a search uses, of ``validation_samples`` in all.
        """
        keeps = f"BatchNorms called more than once in a forward pass keep their own statistics: {', '.join(self.keep)}."
        found = [keeps] if self.keep and self.share else []
        if not self.pruned:
            return found
        gave = ", ".join(f"{value:.3g} {_name(share)}" for share, value in self.pruned.items())
        chosen = f"BatchNorm: {_name(self.share)}. Divergence of a reference plan from the dense network: {gave}."
        found = [chosen, *found]
        if self.changes_dense:
            few = "single calibration sample" if self.samples == 1 else f"{self.samples} calibration samples"
            found.append(
                f"Warning: BatchNorm re-estimated on the {few} changes the dense network "
                f"itself (divergence {self.dense[1.0]:.2g}): too few, or unlike those it was trained on. Give "
                "more, drawn as the training data are."
            )
        if self.share and search_samples < FEWEST:
            few = "1 search sample carries" if search_samples == 1 else f"{search_samples} search samples carry"
            enough = validation_samples >= FEWEST
            remedy = (
                "(--samples)" if enough else f"(the task has {validation_samples} validation samples: give it more)"
            )
            found.append(
                f"{few} BatchNorm statistics badly, so the search may rank plans "
                f"otherwise than they are delivered; from {FEWEST} on they do not {remedy}."
            )
        return found


def _name(share: float) -> str:
    return {0.0: "own statistics", 1.0: "re-estimated"}.get(share, f"{share:.0%} re-estimated")


def _finite(tried: Mapping[float, float]) -> dict[str, float | None]:
    return {f"{share:g}": value if math.isfinite(value) else None for share, value in tried.items()}


def reference_row(builder: PlanBuilder) -> IntArray:
    """A plan ``[K]`` that needs what pruning needs: evenly cut, or without the block that is missed least."""
    space = builder.space
    row = space.full.copy()
    for kind, share in REFERENCE.items():
        places = [place for place, choice in enumerate(space.choices) if choice.kind == kind and len(choice.levels) > 1]
        for place in places:
            wanted = share * space.choices[place].full
            row[place] = min(space.choices[place].levels, key=lambda level: abs(level - wanted))
        if places:
            return row
    blocks = [place for place, choice in enumerate(space.choices) if choice.kind == "depth"]
    if blocks:
        row[min(blocks, key=lambda place: builder.error_curve(space.choices[place])[0])] = 0
    return row


class _Judge:
    """Measures how far a network is from the dense one, with each share of statistics."""

    def __init__(self, builder: PlanBuilder, task: Task) -> None:
        self._builder, self._task = builder, task
        self._split = task.validation.take(JUDGES)
        self._wanted = self._answers(builder.dense)

    def divergences(self, model: nn.Module) -> dict[float, float]:
        if self._builder.channels_last:
            model = layout.to_channels_last(copy.deepcopy(model))
        return {share: self._divergence(copy.deepcopy(model), share) for share in SHARES}

    def _divergence(self, model: nn.Module, share: float) -> float:
        self._builder.reestimate(model, share)
        try:
            divergence = divergence_of(self._task, self._answers(model), self._wanted, self._split.targets)
        except TaskError:  # NaN of a pruned network; where it is the task's fault, the search finds it
            return math.inf
        value = as_number(divergence, "divergence", self._task.name, strict=False)
        return math.inf if math.isnan(value) else value

    def _answers(self, model: nn.Module) -> torch.Tensor:
        return scored_rows(
            self._task, model, batches(self._split, BATCH, self._builder.device, self._builder.channels_last)
        )
