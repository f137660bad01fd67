"""Observations: named slots that mean the same on every network.

Each slot is a logarithm over a fixed range or a fraction of this network, clipped to its bounds. None is scaled by the
smallest and largest value of the network at hand (as AMC's states are), and none is a name or an index, so a policy
learned on one network can be replayed on another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from rlprune.problem import PruningProblem

if TYPE_CHECKING:
    from rlprune.budget import Walk
    from rlprune.layers import Layer
    from rlprune.network import Group

Observation = npt.NDArray[np.float32]

OBSERVATION_VERSION = 1
METRICS = ("macs", "params", "latency", "energy")
CURVE_POINTS = 8  # the error curve is read at keep ratios 1/8 ... 7/8


@dataclass(frozen=True)
class Slot:
    """One entry of the observation: its name, what it means, and its bounds."""

    name: str
    meaning: str
    low: float = 0.0
    high: float = 1.0


STATIC_SLOTS: tuple[Slot, ...] = (
    Slot("position", "groups decided / groups"),
    Slot("group_count", "log2(groups) / 8"),
    Slot("is_conv", "1 if the first producer is a convolution"),
    Slot("is_linear", "1 if the first producer is a linear layer"),
    Slot("is_other", "1 if it is of another kind"),
    Slot("has_depthwise", "1 if a depthwise convolution follows the group"),
    Slot("is_shared", "1 if several layers produce the group (a residual sum)"),
    Slot("width", "log2(channels) / 12"),
    Slot("consumer_width", "log2(output channels of all consumers) / 12"),
    Slot("kernel", "kernel size of the first producer / 7"),
    Slot("stride", "stride of the first producer / 4"),
    Slot("positions", "log2(output positions of the first producer) / 16"),
    *(
        Slot(f"{m}_share", f"share of the dense {m} that the group's smallest width saves; 0 if unknown")
        for m in METRICS
    ),
    *(Slot(f"{m}_budget", f"limit on {m} / dense {m}; 1 if there is none") for m in METRICS),
    Slot("lowest_keep", "smallest allowed keep ratio"),
    Slot("uniform_keep", "keep ratio of the uniform plan here"),
    *(
        Slot(
            f"error_at_{k}_{CURVE_POINTS}",
            f"reconstruction error at keep ratio {k}/{CURVE_POINTS}: 1 + log10(error + 1e-4) / 4",
        )
        for k in range(1, CURVE_POINTS)
    ),
    Slot("error_at_uniform", "the same at the uniform plan's width"),
    Slot("error_above_mean", "error_at_uniform minus its mean over the groups", -1.0),
)
DYNAMIC_SLOTS: tuple[Slot, ...] = (
    *(Slot(f"{m}_cheapest", f"log2({m} with the rest at its minimum / limit or dense {m}) / 6", -1.0) for m in METRICS),
    *(Slot(f"{m}_dearest", f"log2({m} with the rest at full width / limit or dense {m}) / 6", -1.0) for m in METRICS),
    Slot("tightest_cheapest", "the largest of the cheapest slots that have a limit", -1.0),
    Slot("tightest_dearest", "the largest of the dearest slots that have a limit", -1.0),
    Slot("planned_keep", "keep ratio here in the plan that would follow the decisions so far"),
    Slot("lowest_option", "smallest keep ratio here from which the budgets can be met and used"),
    Slot("highest_option", "largest keep ratio here from which the budgets can be met and used"),
    Slot("previous_action", "the executed action of the previous group, 0 at first", -1.0),
    Slot("previous_keep", "the executed keep ratio of the previous group, 1 at first"),
)
SLOTS: tuple[Slot, ...] = STATIC_SLOTS + DYNAMIC_SLOTS


def observation_space() -> spaces.Box:
    """One entry a slot, with the slot's bounds."""
    low, high = np.array([(slot.low, slot.high) for slot in SLOTS], dtype=np.float32).T
    return spaces.Box(low, high, dtype=np.float32)


def observation_table() -> str:
    """The slots as a table for people."""
    rows = [("Num", "Slot", "Meaning", "Min", "Max")]
    rows += [(str(n), s.name, s.meaning, f"{s.low:g}", f"{s.high:g}") for n, s in enumerate(SLOTS)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


class Observer:
    """Fills the slots for one problem; what does not change during an episode is computed once."""

    def __init__(self, problem: PruningProblem) -> None:
        self._groups = problem.network.groups
        self._limits = {m: problem.planner.limits.get(m, dense) for m, dense in problem.dense_costs.items()}
        self._binding = set(problem.planner.limits) or set(self._limits)
        self._low = np.array([slot.low for slot in SLOTS], dtype=np.float32)
        self._high = np.array([slot.high for slot in SLOTS], dtype=np.float32)
        self._static = _static_rows(problem)

    def observe(self, walk: Walk, previous_action: float, previous_keep: float) -> Observation:
        """The observation at the walk's group; after the last group, the final costs and otherwise zeros."""
        cheapest, dearest = self._log_ratios(walk.cheapest), self._log_ratios(walk.dearest)
        planned = lowest = highest = 0.0
        if not walk.done:
            width, options = self._groups[walk.index].width, walk.options()
            planned, lowest, highest = walk.widths[walk.index] / width, options[0] / width, options[-1] / width
        dynamic = [cheapest.get(m, 0.0) for m in METRICS] + [dearest.get(m, 0.0) for m in METRICS]
        dynamic += [max(ends[m] for m in self._binding) for ends in (cheapest, dearest)]
        dynamic += [planned, lowest, highest, previous_action, previous_keep]
        filled = np.concatenate([self._static[walk.index], np.array(dynamic, dtype=np.float32)])
        return np.asarray(np.clip(filled, self._low, self._high))

    def _log_ratios(self, costs: Mapping[str, float]) -> dict[str, float]:
        return {m: _log2(cost / self._limits[m]) / 6 if self._limits[m] > 0 else 0.0 for m, cost in costs.items()}


def _log2(value: float) -> float:
    return float(np.log2(max(value, 1e-9)))


def _static_rows(problem: PruningProblem) -> Observation:
    """The static slots of every group, and of the end of the walk, ``[G + 1, slots]``."""
    groups, uniform = problem.network.groups, problem.planner.uniform
    layers = {layer.name: layer for layer in problem.network.layers}
    shares, errors = _shares(problem), _errors(problem)
    above = errors[:, -1:] - errors[:, -1:].mean()
    budgets = [
        problem.planner.limits.get(m, problem.dense_costs.get(m, 1.0)) / (problem.dense_costs.get(m, 1.0) or 1.0)
        for m in METRICS
    ]
    rows = np.zeros((len(groups) + 1, len(STATIC_SLOTS)))
    for index, group in enumerate(groups):
        keeps = [group.widths[0] / group.width, uniform[index] / group.width]
        shape = _shape(group, layers)
        rows[index, 2:] = np.concatenate([shape, shares[index], budgets, keeps, errors[index], above[index]])
    rows[:, 0] = np.arange(len(rows)) / len(groups)
    rows[:, 1] = _log2(len(groups)) / 8
    return rows.astype(np.float32)


def _shape(group: Group, layers: Mapping[str, Layer]) -> list[float]:
    first = layers[group.producers[0]]
    kind = [first.kind == "conv", first.kind == "linear", first.kind not in ("conv", "linear")]
    depthwise = any(layers[name].kind == "depthwise" for name in group.followers if name in layers)
    consumed = sum(layers[name].out_width for name in group.consumers if name in layers)
    return [
        *map(float, kind),
        float(depthwise),
        float(len(group.producers) > 1),
        _log2(group.width) / 12,
        _log2(max(consumed, 1)) / 12,
        max(first.kernel, default=1) / 7,
        max(first.stride, default=1) / 4,
        _log2(max(first.positions, 1.0)) / 16,
    ]


def _shares(problem: PruningProblem) -> npt.NDArray[np.float64]:
    """Share of each dense cost that each group's smallest width saves, ``[G, metrics]``."""
    full = problem.planner.full
    narrow = np.where(np.eye(len(full), dtype=bool), problem.planner.lowest, full)
    shares = np.zeros((len(full), len(METRICS)))
    for column, metric in enumerate(METRICS):
        dense = problem.dense_costs.get(metric, 0.0)
        if dense > 0:
            shares[:, column] = 1.0 - problem.costs[metric](narrow) / dense
    return shares


def _errors(problem: PruningProblem) -> npt.NDArray[np.float64]:
    """The error slots of each group: at 1/8 ... 7/8 of its width, then at the uniform plan's, ``[G, 8]``."""
    rows = []
    for group, uniform in zip(problem.network.groups, problem.planner.uniform, strict=True):
        widths, errors = problem.evaluator.tables.error_curve(group.name)
        at = [*(group.width * k / CURVE_POINTS for k in range(1, CURVE_POINTS)), uniform]
        rows.append(1.0 + np.log10(np.maximum(np.interp(at, widths, errors), 0.0) + 1e-4) / 4)
    return np.asarray(np.clip(rows, 0.0, 1.0))
