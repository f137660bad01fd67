"""How good a pruned network is, and who remembers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rlprune.arrays import FloatArray
from rlprune.tasks.measures import Details

WORST_DIVERGENCE = 1e6

PlanKey = tuple[int, ...]
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
        resampled: the score on samples drawn again, see :mod:`rlprune.evaluation.resampling`; of finalists alone.
    """

    score: float
    divergence: float
    samples: int
    details: Details = field(default_factory=dict, compare=False, repr=False)
    resampled: FloatArray | None = field(default=None, compare=False, repr=False)


MeasuredQuality = tuple[Quality, float]
"""The quality of a plan, and the seconds of its forward pass."""


class EvaluationMemory(Protocol):
    """Remembers what was evaluated in an earlier process that searched the same way."""

    def recall(self, keys: Sequence[PlanKey]) -> list[MeasuredQuality]:
        """What is remembered of plans that are asked for in this order: of the first ones, often of none."""
        ...

    def record(self, key: PlanKey, measured: MeasuredQuality) -> None:
        """Remember what was measured now."""
        ...

    def clock(self) -> float:
        """Seconds since the search began, those of the earlier process included."""
        ...
