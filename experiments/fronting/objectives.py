"""Objectives: what they are called, where a run holds them, and how they become losses beside the dense network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rlprune.arrays import FloatArray
from rlprune.budgets.limits import cost_name
from rlprune.errors import ConfigError, unknown_name
from rlprune.experiments.runs.result import Row

SCORE, DIVERGENCE = "accuracy", "divergence"
TIMED = ("latency", "latency_p99", "energy")
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
        label, unit, scale: for people; values are divided by ``scale``.
        of_row: the value in the final table: measured where it was measured; None where it is not known.
    """

    name: str
    label: str
    unit: str
    scale: float
    of_row: Callable[[Row], float | None]

    @property
    def column(self) -> str:
        """Of the table of episodes."""
        return {SCORE: "score", DIVERGENCE: DIVERGENCE}.get(self.name) or cost_name(self.name)

    @property
    def is_cost(self) -> bool:
        """Whether it is a share of the dense network's."""
        return self.name not in (SCORE, DIVERGENCE)

    def title(self, metric: str) -> str:
        """Its label; the score is called by the ``metric`` of the task."""
        return metric if self.name == SCORE else self.label

    def loss(self, value: float, dense: float) -> float:
        """What is to be small, beside the dense network: see ``REFERENCE_NOTE``."""
        if self.name == DIVERGENCE:
            return value
        scale = abs(dense) or 1.0
        return (dense - value) / scale if self.name == SCORE else value / scale

    def as_dict(self) -> dict[str, object]:
        """Plain values; the unit is that of values in files."""
        better = "more" if self.name == SCORE else "less"
        unit = {"ms": "ms", "mJ": "mJ", "kB": "bytes"}.get(self.unit)
        return {"name": self.name, "unit": unit, "better": better, "reference_loss": REFERENCE}


def _p99(row: Row) -> float | None:
    return row.latency_p99_promised_ms if row.latency_p99_measured_ms is None else row.latency_p99_measured_ms


OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective(SCORE, "score", "", 1.0, lambda row: row.score_validation),
        Objective("latency", "latency", "ms", 1.0, lambda row: row.latency_ms),
        Objective("energy", "energy", "mJ", 1.0, lambda row: row.energy_mj),
        Objective("macs", "MACs", "M", 1e6, lambda row: row.macs),
        Objective("params", "parameters", "k", 1e3, lambda row: row.params),
        Objective("size", "size", "kB", 1e3, lambda row: row.size_bytes),
        Objective("latency_p99", "latency p99", "ms", 1.0, _p99),
        Objective(DIVERGENCE, "divergence", "", 1.0, lambda row: row.divergence),
    )
}


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
    costs = [name for name in dict.fromkeys(("latency", "energy", *limited)) if name in known and name in OBJECTIVES]
    return (SCORE, *(costs[: MOST - 1] or ["macs"]))


def losses_of(names: Sequence[str], values: Mapping[str, float], dense: Mapping[str, float]) -> list[float]:
    """A row of losses."""
    return [OBJECTIVES[name].loss(values[name], dense[name]) for name in names]


def reference_of(names: Sequence[str]) -> FloatArray:
    """The reference point, ``[M]``."""
    return np.full(len(names), REFERENCE)
