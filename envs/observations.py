"""Fills the slots of observations (:mod:`rlprune.envs.slots`) for one problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rlprune.arrays import FloatArray
from rlprune.choices.choice import Choice, Kind, Unit
from rlprune.envs.actions import Action
from rlprune.envs.probing import probe_rows
from rlprune.envs.slots import CURVE_POINTS, METRICS, MIXED_METRICS, STATIC_SLOTS, mixed_static, observation_space
from rlprune.evaluation.problem import PruningProblem

if TYPE_CHECKING:
    from rlprune.budgets.planner import BudgetWalk
    from rlprune.networks.groups import Group
    from rlprune.networks.layers import Layer

Observation = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Previous:
    """What was executed before.

    Attributes:
        action: the first entry that a keep ratio may have, of the unit before; 0 at first.
        shares: kind -> the share that was executed last.
    """

    action: float = 0.0
    shares: Mapping[Kind, float] = field(default_factory=dict)

    def after(self, kinds: Sequence[Kind], executed: Action, shares: Mapping[Kind, float]) -> Previous:
        """What the next unit sees as executed before it."""
        leading = kinds.index("channels") if "channels" in kinds else 0
        return Previous(float(executed[leading]), {**self.shares, **shares})

    def share(self, kind: Kind) -> float:
        """What was executed last of a kind, 1 at first."""
        return self.shares.get(kind, 1.0)


class Observer:
    """Fills the slots for one problem; what does not change during an episode is computed once."""

    def __init__(self, problem: PruningProblem) -> None:
        space = problem.space
        self._kinds, self._choices, self._units = space.kinds, space.choices, space.units
        self._mixed = space.layered
        self._limits = {m: problem.planner.limits.get(m, dense) for m, dense in problem.dense_costs.items()}
        self._binding = set(problem.planner.limits) or set(self._limits)
        box = observation_space(self._kinds)
        self._low, self._high = box.low, box.high
        self._static = static_rows(problem)

    def observe(self, walk: BudgetWalk, at: int, previous: Previous) -> Observation:
        """The observation at the walk's unit; after the last one, the final costs and otherwise zeros."""
        cheapest, dearest = self._log_ratios(walk.cheapest), self._log_ratios(walk.dearest)
        planned = lowest = highest = 0.0
        if not walk.done:
            choice, options = self._choices[walk.index], walk.options()
            planned, lowest, highest = (choice.share(x) for x in (walk.levels[walk.index], options[0], options[-1]))
        dynamic = [cheapest.get(m, 0.0) for m in METRICS] + [dearest.get(m, 0.0) for m in METRICS]
        dynamic += [max(ends[m] for m in self._binding) for ends in (cheapest, dearest)]
        dynamic += [planned, lowest, highest, previous.action, previous.share(self._leading())]
        if self._mixed:
            dynamic += self._mixed_entries(walk, at, previous, (cheapest, dearest))
        filled = np.concatenate([self._static[at], np.array(dynamic, dtype=np.float32)])
        return np.asarray(np.clip(filled, self._low, self._high))

    def _leading(self) -> Kind:
        return "channels" if "channels" in self._kinds else self._kinds[0]

    def _mixed_entries(
        self, walk: BudgetWalk, at: int, previous: Previous, ends: Sequence[Mapping[str, float]]
    ) -> list[float]:
        entries = [end.get(metric, 0.0) for end in ends for metric in MIXED_METRICS]
        places = {} if walk.done else self._units[at].places
        for kind in self._kinds:
            place = places.get(kind)
            planned = 0.0 if place is None else self._choices[place].share(float(walk.levels[place]))
            entries += [planned, previous.share(kind)]
        return entries

    def _log_ratios(self, costs: Mapping[str, float]) -> dict[str, float]:
        return {m: _log2(cost / self._limits[m]) / 6 if self._limits[m] > 0 else 0.0 for m, cost in costs.items()}


def _log2(value: float) -> float:
    return float(np.log2(max(value, 1e-9)))


def static_rows(problem: PruningProblem) -> Observation:
    """What does not change during an episode, of every unit and of the end of the walk, ``[U + 1, slots]``."""
    mixed = [_mixed_rows(problem)] if problem.space.layered else []
    return np.hstack([_static_rows(problem), *mixed, probe_rows(problem)])


def _static_rows(problem: PruningProblem) -> Observation:
    """The static slots of every unit, and of the end of the walk, ``[U + 1, slots]``."""
    space = problem.space
    groups = {group.name: group for group in problem.network.groups}
    layers = {layer.name: layer for layer in problem.network.layers}
    shares, errors = _shares(problem, METRICS), _errors(problem)
    above = errors[:, -1:] - errors[:, -1:].mean()
    budgets = _budgets(problem, METRICS)
    rows = np.zeros((len(space.units) + 1, len(STATIC_SLOTS)))
    for index, unit in enumerate(space.units):
        choice = _of_kind(problem, unit, "channels")
        shape = _shape_of_layer(layers[_layer_of(unit)]) if choice is None else _shape(groups[choice.name], layers)
        keeps = [1.0, 1.0] if choice is None else _ends(problem, unit, "channels")
        rows[index, 2:] = np.concatenate([shape, shares[index], budgets, keeps, errors[index], above[index]])
    rows[:, 0] = np.arange(len(rows)) / len(space.units)
    rows[:, 1] = _log2(len(space.units)) / 8
    return rows.astype(np.float32)


def _mixed_rows(problem: PruningProblem) -> Observation:
    """The static slots of mixed decisions, ``[U + 1, slots]``."""
    kinds, units = problem.space.kinds, problem.space.units
    rows = np.zeros((len(units) + 1, len(mixed_static(kinds))))
    shares, budgets = _shares(problem, MIXED_METRICS), _budgets(problem, MIXED_METRICS)
    for index, unit in enumerate(units):
        entries = [*shares[index], *budgets]
        for kind in kinds:
            if _of_kind(problem, unit, kind) is None:
                entries += [0.0, 1.0, 1.0, 0.0, 0.0]
            else:
                entries += [1.0, *_ends(problem, unit, kind), *_losses(problem, unit, kind)]
        rows[index] = entries
    return rows.astype(np.float32)


def _layer_of(unit: Unit) -> str:
    return unit.name.partition("#")[0]


def _of_kind(problem: PruningProblem, unit: Unit, kind: Kind) -> Choice | None:
    place = unit.places.get(kind)
    return None if place is None else problem.space.choices[place]


def _ends(problem: PruningProblem, unit: Unit, kind: Kind) -> list[float]:
    """Shares of the harshest level and of the filled plan's."""
    place = unit.places[kind]
    choice = problem.space.choices[place]
    return [choice.lowest, choice.share(float(problem.planner.filled[place]))]


def _losses(problem: PruningProblem, unit: Unit, kind: Kind) -> list[float]:
    """What the harshest level and the filled plan's lose alone, as slots."""
    place = unit.places[kind]
    choice = problem.space.choices[place]
    curve = problem.evaluator.error_curve(choice)
    errors = curve[[0, choice.levels.index(int(problem.planner.filled[place]))]]
    return [float(error) for error in _as_slots(errors)]


def _as_slots(errors: npt.ArrayLike) -> FloatArray:
    return np.asarray(np.clip(1.0 + np.log10(np.maximum(errors, 0.0) + 1e-4) / 4, 0.0, 1.0))


def _budgets(problem: PruningProblem, metrics: Sequence[str]) -> list[float]:
    return [
        problem.planner.limits.get(m, problem.dense_costs.get(m, 1.0)) / (problem.dense_costs.get(m, 1.0) or 1.0)
        for m in metrics
    ]


def _shape(group: Group, layers: Mapping[str, Layer]) -> list[float]:
    first = layers[group.producers[0]]
    depthwise = any(layers[name].kind == "depthwise" for name in group.followers if name in layers)
    consumed = sum(layers[name].out_width for name in group.consumers if name in layers)
    return _shape_of_layer(first, group.width, depthwise, len(group.producers) > 1, consumed)


def _shape_of_layer(
    first: Layer, width: int | None = None, depthwise: bool = False, shared: bool = False, consumed: int = 0
) -> list[float]:
    kind = [first.kind == "conv", first.kind == "linear", first.kind not in ("conv", "linear")]
    return [
        *map(float, kind),
        float(depthwise),
        float(shared),
        _log2(first.out_width if width is None else width) / 12,
        _log2(max(consumed, 1)) / 12,
        max(first.kernel, default=1) / 7,
        max(first.stride, default=1) / 4,
        _log2(max(first.positions, 1.0)) / 16,
    ]


def _shares(problem: PruningProblem, metrics: Sequence[str]) -> FloatArray:
    """Share of each dense cost that the harshest levels of each unit save, ``[U, metrics]``."""
    units, full = problem.space.units, problem.planner.full
    narrow = np.repeat(full[None], len(units), axis=0)
    for row, unit in zip(narrow, units, strict=True):
        places = list(unit.places.values())
        row[places] = problem.planner.lowest[places]
    shares = np.zeros((len(units), len(metrics)))
    for column, metric in enumerate(metrics):
        dense = problem.dense_costs.get(metric, 0.0)
        if dense > 0:
            shares[:, column] = 1.0 - problem.costs[metric](narrow) / dense
    return shares


def _errors(problem: PruningProblem) -> FloatArray:
    """The error slots of each unit: at 1/8 ... 7/8 of its width, then at the filled plan's, ``[U, 8]``."""
    rows = np.zeros((len(problem.space.units), CURVE_POINTS))
    for index, unit in enumerate(problem.space.units):
        choice = _of_kind(problem, unit, "channels")
        if choice is not None:
            widths, errors = problem.evaluator.tables.error_curve(choice.name)
            uniform = problem.planner.filled[unit.places["channels"]]
            at = [*(choice.full * k / CURVE_POINTS for k in range(1, CURVE_POINTS)), uniform]
            rows[index] = _as_slots(np.interp(at, widths, errors))
    return rows
