"""Runs that are comparable, put together: one line for each method, a mean over seeds in each."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlprune.errors import RunError
from rlprune.experiments.comparing.bootstrap import Spread, spread
from rlprune.experiments.comparing.conditions import Conditions, differences, key_of
from rlprune.experiments.comparing.reading import SEEDLESS, Entry, Read, malformed
from rlprune.experiments.runs.ranking import Standing, best_first
from rlprune.experiments.runs.result import MALFORMED
from rlprune.experiments.runs.row import DENSE, UNSEARCHED
from rlprune.experiments.settings.verb_configs import TrainConfig

DEFAULTS = dataclasses.asdict(TrainConfig())


@dataclass(eq=False)
class Line:
    """A method with its settings, over seeds.

    Attributes:
        method, settings: what was searched with.
        entries: one a seed, in the order of seeds.
        label: the method, and the settings in which it differs from others of its name.
    """

    method: str
    settings: dict[str, Any]
    entries: list[Entry]
    label: str = ""

    @property
    def seedless(self) -> bool:
        """Whether seeds are no repetitions: for dense, and for uniform plans where no repair was drawn either."""
        same = len({entry.row.divergence for entry in self.entries}) == 1
        return self.method == DENSE or (self.method in UNSEARCHED and same)

    @property
    def plans(self) -> dict[int, tuple[int, ...]]:
        """Seed to what was chosen."""
        return {entry.seed: entry.row.widths for entry in self.entries}

    def values(self, name: str) -> dict[int, float]:
        """Seed to value; seeds without one are missing."""
        found = {entry.seed: entry.searched.get(name, getattr(entry.row, name, None)) for entry in self.entries}
        return {seed: float(value) for seed, value in found.items() if value is not None}

    def spread(self, name: str) -> Spread | None:
        """Mean over seeds; None where nothing is known."""
        values = list(self.values(name).values())
        return spread(values, self.seedless) if values else None

    def mean(self, name: str) -> float | None:
        """The mean alone."""
        values = list(self.values(name).values())
        return float(np.mean(values)) if values else None


@dataclass(eq=False)
class Section:
    """Comparable runs.

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
    runs: list[Read]
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


def sections_of(runs: Sequence[Read]) -> tuple[list[Section], list[str]]:
    """Sections in the order in which their first run came, and notes on what counts once and what is not averaged.

    Raises:
        RunError: a result is malformed.
    """
    groups: dict[str, list[Read]] = defaultdict(list)
    for run in runs:
        groups[key_of(run.conditions)].append(run)
    notes: list[str] = []
    sections = [_section(_name(place), group, notes) for place, group in enumerate(groups.values())]
    _label([line for section in sections for line in section.lines])
    notes += [_not_averaged(sections[0], section) for section in sections[1:]]
    return sections, notes


def _name(place: int) -> str:
    return chr(ord("A") + place) if place < 26 else f"Z{place - 25}"


def _section(name: str, runs: list[Read], notes: list[str]) -> Section:
    level = _level(runs[0])
    if level is not None:
        notes.append(f"{name} is a range: its plans are compared at {level}, which {runs[0].path} chose.")
    notes += _cautions(name, runs)
    lines = _lines([entry for run in runs for entry in _entries(run, level)], notes)
    return Section(name, runs[0].conditions, runs, level, lines)


def _cautions(name: str, runs: Sequence[Read]) -> list[str]:
    """What a mean over these runs passes over."""
    versions = sorted({str((run.result.device or {}).get("version")) for run in runs})
    notes = [f"{name} averages over versions of the runtime: {', '.join(versions)}."] if len(versions) > 1 else []
    if runs[0].conditions["test samples"] is None:
        notes.append(f"{name}: which samples its runs used was not recorded; the task's name stands for them.")
    return notes


def _entries(run: Read, level: str | None) -> list[Entry]:
    try:
        return run.entries(level)
    except (RunError, *MALFORMED) as reason:
        raise malformed(run.path, reason) from reason


def _level(run: Read) -> str | None:
    front = run.result.front
    return None if front is None else front.chosen


def _lines(entries: Iterable[Entry], notes: list[str]) -> list[Line]:
    """Entries of one method and settings together, each seed once."""
    groups: dict[str, dict[int, Entry]] = defaultdict(dict)
    twice: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        key = key_of({"method": entry.method, **entry.settings})
        if entry.seed in groups[key]:
            twice[key].append(entry)
        else:
            groups[key][entry.seed] = entry
    notes += _once(groups, twice)
    lines = [
        Line(first.method, first.settings, [group[seed] for seed in sorted(group)])
        for group in groups.values()
        for first in [next(iter(group.values()))]
    ]
    return _best_first(lines)


def _once(kept: Mapping[str, Mapping[int, Entry]], twice: Mapping[str, Sequence[Entry]]) -> list[str]:
    """Which searches came again, and whether they found other plans."""
    methods: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key, extra in twice.items():
        if extra[0].method not in SEEDLESS:
            seeds = ", ".join(dict.fromkeys(str(entry.seed) for entry in extra))
            firsts = [kept[key][entry.seed] for entry in extra]
            differs = any(one.row.widths != other.row.widths for one, other in zip(firsts, extra, strict=True))
            words = " (with another plan, though)" if differs else ""
            methods[seeds, _named(list(dict.fromkeys(entry.run for entry in [*firsts, *extra])))].append(
                extra[0].method + words
            )
    return [
        f"Counted once, where it came first: {', '.join(names)} with seed {seeds} and the same settings, in {places}."
        for (seeds, places), names in methods.items()
    ]


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
    standings = [line.entries[0].row.standing if single else _mean_standing(line) for line in pruned]
    return [*dense, *(pruned[place] for place in best_first(standings))]


def of_one_run(lines: Sequence[Line]) -> bool:
    """Whether nothing is a mean, so that the noise beside the best is known where the run tells it."""
    return len({entry.run for line in lines for entry in line.entries}) == 1


def _mean_standing(line: Line) -> Standing:
    return Standing(line.mean("score_validation") or 0.0, line.mean("divergence") or 0.0)


def _not_averaged(first: Section, other: Section) -> str:
    what = differences(first.conditions, other.conditions)
    return (
        f"Not averaged: {first.name} ({_named(first.paths)}) and {other.name} ({_named(other.paths)}) differ in {what}."
    )


def _named(runs: Sequence[str]) -> str:
    rest = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
    return ", ".join(runs[:3]) + rest
