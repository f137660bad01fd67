"""Objectives: what they are called, where a run holds them, and how they become losses beside the dense network."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rlprune.arrays import FloatArray
from rlprune.costs.registry import METRICS, PROMISED, Metric
from rlprune.errors import ConfigError, unknown_name
from rlprune.experiments.runs.row import Row

SCORE, DIVERGENCE = "accuracy", "divergence"
TIMED = tuple(name for name, metric in METRICS.items() if metric.is_timed)
"""Objectives for which the device counts."""
FEWEST, MOST = 2, 5
REFERENCE = 1.0
"""The loss up to which volumes count: as dear as the dense network, all of its score lost, a divergence of 1."""
REFERENCE_NOTE = (
    "Losses: of a cost its share of the dense network's of the same run, of the score the share of the dense "
    "network's that is lost, the divergence as it is. Reference point of every hypervolume: 1 in each of them, "
    "as dear as the dense network with all of its score lost."
)


@dataclass(frozen=True)
class Objective:
    """Something to be had as much as possible of, or as little.

    Attributes:
        name: as ``--objective`` takes it; ``accuracy`` is the task's metric, whatever it is.
        label: for people.
        column: of the table of episodes.
        names: of values of a row, the first of which that is known counts: what was measured, then promises.
        unit, scale: in tables and pictures; values are divided by ``scale``.
        file_unit: of values as they are; none for counts.
        is_cost: whether its loss is a share of the dense network's.
    """

    name: str
    label: str
    column: str
    names: tuple[str, ...]
    unit: str = ""
    scale: float = 1.0
    file_unit: str | None = None
    is_cost: bool = False

    @classmethod
    def of_metric(cls, metric: Metric) -> Objective:
        """A cost."""
        file_unit = None if metric.is_count else {"B": "bytes"}.get(metric.unit, metric.unit)
        names = metric.fields or (metric.column,)
        return cls(metric.name, metric.label, metric.column, names, *metric.shown, file_unit, is_cost=True)

    def title(self, metric: str) -> str:
        """Its label; the score is called by the ``metric`` of the task."""
        return metric if self.name == SCORE else self.label

    def of_row(self, row: Row) -> float | None:
        """The value in the final table; None where it is not known."""
        return next((float(value) for name in self.names if (value := row.value(name)) is not None), None)

    def loss(self, value: float, dense: float) -> float:
        """What is to be small, beside the dense network: see ``REFERENCE_NOTE``."""
        if self.name == DIVERGENCE:
            return value
        scale = abs(dense) or 1.0
        return (dense - value) / scale if self.name == SCORE else value / scale

    def as_dict(self) -> dict[str, object]:
        """Plain values."""
        better = "more" if self.name == SCORE else "less"
        return {"name": self.name, "unit": self.file_unit, "better": better, "reference_loss": REFERENCE}


OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective(SCORE, "score", "score", ("score_validation",)),
        *(Objective.of_metric(METRICS[name]) for name in dict.fromkeys((*PROMISED, *METRICS))),
        Objective(DIVERGENCE, "divergence", "divergence", ("divergence",)),
    )
}
"""The score, every cost, those that a profile promises first, and the divergence."""


def parse_objectives(names: Sequence[str]) -> tuple[str, ...]:
    """Names of objectives from ``--objective``; none for those that are known.

    Raises:
        ConfigError: an unknown one, one that comes twice, or too few or too many.
    """
    for name in names:
        if name not in OBJECTIVES:
            raise ConfigError(unknown_name("objective", name, OBJECTIVES))
        if names.count(name) > 1:
            raise ConfigError(f"--objective takes each objective once; {name!r} came again.")
    if names and not FEWEST <= len(names) <= MOST:
        raise ConfigError(f"A front has {FEWEST} to {MOST} objectives; {len(names)} came. Repeat --objective.")
    return tuple(names)


def default_objectives(known: Collection[str], limited: Collection[str] = ()) -> tuple[str, ...]:
    """The score; of what is known latency, energy and costs ``limited`` by a budget; where that is none, MACs."""
    costs = [name for name in dict.fromkeys((*PROMISED, *limited)) if name in known]
    return (SCORE, *(costs[: MOST - 1] or ["macs"]))


def losses_of(names: Sequence[str], values: Mapping[str, float], dense: Mapping[str, float]) -> list[float]:
    """A row of losses."""
    return [OBJECTIVES[name].loss(values[name], dense[name]) for name in names]


def reference_of(names: Sequence[str]) -> FloatArray:
    """The reference point, ``[M]``."""
    return np.full(len(names), REFERENCE)
