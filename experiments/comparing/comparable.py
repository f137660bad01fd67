"""Runs that are comparable, put together: one line for each method, a mean over seeds in each."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlprune.experiments.comparing.bootstrap import Spread, spread
from rlprune.experiments.comparing.method_results import MethodResult, method_results
from rlprune.experiments.runs.conditions import Conditions, differences, key_of
from rlprune.experiments.runs.finished import FinishedRun, told_as_malformed
from rlprune.experiments.runs.ranking import Standing, best_first
from rlprune.experiments.runs.row import DENSE, UNSEARCHED
from rlprune.experiments.settings.verb_configs import TrainConfig

DEFAULTS = dataclasses.asdict(TrainConfig())
SEEDLESS = (DENSE, *UNSEARCHED)
"""Methods that search nothing, and so need no word when they stand in several runs."""


@dataclass(eq=False)
class Line:
    """A method with its settings, over seeds.

    Attributes:
        method, settings: what was searched with.
        results: one a seed, in the order of seeds.
        label: the method, and the settings in which it differs from others of its name.
    """

    method: str
    settings: dict[str, Any]
    results: list[MethodResult]
    label: str = ""

    @property
    def seedless(self) -> bool:
        """Whether seeds are no repetitions: for dense, and for uniform plans where no repair was drawn either."""
        same = len({one.row.divergence for one in self.results}) == 1
        return self.method == DENSE or (self.method in UNSEARCHED and same)

    @property
    def plans(self) -> dict[int, tuple[int, ...]]:
        """Seed to what was chosen."""
        return {one.seed: one.row.widths for one in self.results}

    def values(self, name: str) -> dict[int, float]:
        """Seed to value; seeds without one are missing."""
        return {one.seed: value for one in self.results if (value := one.value(name)) is not None}

    def spread(self, name: str) -> Spread | None:
        """Mean over seeds; None where nothing is known."""
        values = list(self.values(name).values())
        return spread(values, self.seedless) if values else None

    def mean(self, name: str) -> float | None:
        """The mean alone."""
        values = list(self.values(name).values())
        return float(np.mean(values)) if values else None


@dataclass(eq=False)
class ComparableRuns:
    """Runs under the same conditions: a section of the comparison.

    Attributes:
        name: A, B, ...
        conditions: what they have in common.
        runs: them.
        level: of a range, the budget whose plans are compared.
        lines: dense first, then the others, best first: of a single run by the rule by which it chose itself, of
            several by means, whose noise is not known.
    """

    name: str
    conditions: Conditions
    runs: list[FinishedRun]
    level: str | None
    lines: list[Line]

    @property
    def paths(self) -> list[str]:
        """Folders of the runs."""
        return [run.path for run in self.runs]

    @property
    def budget(self) -> str:
        """The budget in words."""
        budget = str(self.conditions["budget"])
        return budget if self.level is None else f"{budget}, at {self.level}"

    @property
    def searched(self) -> list[Line]:
        """All but the dense network, best first."""
        return [line for line in self.lines if line.method != DENSE]

    @property
    def best(self) -> list[Line]:
        """The best line, and those that found the same plans."""
        first = self.searched[0]
        return [line for line in self.searched if line.plans == first.plans]

    @property
    def in_percent(self) -> bool:
        """Whether scores read as percentages."""
        values = [value for line in self.lines for value in line.values("score_validation").values()]
        return all(0 <= value <= 1 for value in values)

    def label(self, method: str, settings: Mapping[str, Any]) -> str:
        """What a method with these settings is called here."""
        same = [line.label for line in self.lines if line.method == method and line.settings == settings]
        return same[0] if same else method


def comparable_runs(runs: Sequence[FinishedRun]) -> tuple[list[ComparableRuns], list[str]]:
    """Runs by their conditions, in the order in which the first of each came.

    Returns:
        them, and notes on what counts once and what is not averaged.

    Raises:
        RunError: a result is malformed.
    """
    groups: dict[str, list[FinishedRun]] = defaultdict(list)
    for run in runs:
        groups[key_of(run.conditions)].append(run)
    notes: list[str] = []
    found = [_together(_name(place), group, notes) for place, group in enumerate(groups.values())]
    _label([line for one in found for line in one.lines])
    return found, notes + [_not_averaged(found[0], other) for other in found[1:]]


def _name(place: int) -> str:
    return chr(ord("A") + place) if place < 26 else f"Z{place - 25}"


def _together(name: str, runs: list[FinishedRun], notes: list[str]) -> ComparableRuns:
    front = runs[0].result.front
    level = None if front is None else front.chosen
    if level is not None:
        notes.append(f"{name} is a range: its plans are compared at {level}, which {runs[0].path} chose.")
    notes += _cautions(name, runs)
    results: list[MethodResult] = []
    for run in runs:
        with told_as_malformed([run], "cannot be compared"):
            results += method_results(run, level)
    return ComparableRuns(name, runs[0].conditions, runs, level, _lines(results, notes))


def _cautions(name: str, runs: Sequence[FinishedRun]) -> list[str]:
    """What a mean over these runs passes over."""
    versions = sorted({str((run.result.device or {}).get("version")) for run in runs})
    notes = [f"{name} averages over versions of the runtime: {', '.join(versions)}."] if len(versions) > 1 else []
    if runs[0].conditions["test samples"] is None:
        notes.append(f"{name}: which samples its runs used was not recorded; the task's name stands for them.")
    return notes


def _lines(results: Iterable[MethodResult], notes: list[str]) -> list[Line]:
    """Results of one method and settings together, each seed once."""
    groups: dict[str, dict[int, MethodResult]] = defaultdict(dict)
    again: dict[tuple[int, str, str], list[str]] = defaultdict(list)
    for one in results:
        first = groups[key_of({"method": one.method, **one.settings})].setdefault(one.seed, one)
        if first is not one and one.method not in SEEDLESS:
            differs = " (with another plan, though)" if one.row.widths != first.row.widths else ""
            again[one.seed, first.run, one.run].append(one.method + differs)
    notes += [
        f"Counted once, where it came first: {', '.join(methods)} with seed {seed} and the same settings, in {first} "
        f"and {other}."
        for (seed, first, other), methods in again.items()
    ]
    over_seeds = [[group[seed] for seed in sorted(group)] for group in groups.values()]
    return _best_first([Line(group[0].method, group[0].settings, group) for group in over_seeds])


def _label(lines: Sequence[Line]) -> None:
    """Name lines by method, and by what sets lines of one method apart; the defaults are not said."""
    for line in lines:
        others = [other.settings for other in lines if other.method == line.method]
        telling = [name for name in line.settings if any(other[name] != line.settings[name] for other in others)]
        given = {name: line.settings[name] for name in telling if line.settings[name] != DEFAULTS[name]}
        line.label = " ".join([line.method, *(f"{name}={_short(value)}" for name, value in given.items())])


def _short(value: Any) -> str:
    return ",".join(value) or "none" if isinstance(value, list) else str(value)


def _best_first(lines: Sequence[Line]) -> list[Line]:
    """Dense, then by :mod:`rlprune.experiments.runs.ranking`."""
    single = of_one_run(lines)
    dense, pruned = ([line for line in lines if (line.method == DENSE) is wanted] for wanted in (True, False))
    standings = [line.results[0].row.standing if single else _mean_standing(line) for line in pruned]
    return [*dense, *(pruned[place] for place in best_first(standings))]


def of_one_run(lines: Sequence[Line]) -> bool:
    """Whether nothing is a mean, so that the noise beside the best is known where the run tells it."""
    return len({one.run for line in lines for one in line.results}) == 1


def _mean_standing(line: Line) -> Standing:
    return Standing(line.mean("score_validation") or 0.0, line.mean("divergence") or 0.0)


def _not_averaged(first: ComparableRuns, other: ComparableRuns) -> str:
    what = differences(first.conditions, other.conditions)
    return (
        f"Not averaged: {first.name} ({_named(first.paths)}) and {other.name} ({_named(other.paths)}) differ in {what}."
    )


def _named(runs: Sequence[str]) -> str:
    rest = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
    return ", ".join(runs[:3]) + rest
