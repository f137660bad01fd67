"""Which differences between methods go beyond the seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rlprune.experiments.comparing.bootstrap import FEWEST, Difference, paired_difference
from rlprune.experiments.comparing.comparable import ComparableRuns, Line
from rlprune.experiments.runs.row import FILLED

TRIED = {"score_test": "{metric}, test", "divergence": "divergence", "reward": "reward"}
"""Measures in which methods are held against each other, and their heads."""


@dataclass(frozen=True)
class Trial:
    """One method against another.

    Attributes:
        first, second: labels of the lines.
        found: measure to the difference, first minus second.
    """

    first: str
    second: str
    found: dict[str, Difference]

    @property
    def tells(self) -> bool:
        """Whether there are seeds enough for any interval."""
        return any(found.p is not None for found in self.found.values())

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"first": self.first, "second": self.second, **{name: asdict(diff) for name, diff in self.found.items()}}


def trials_of(runs: ComparableRuns) -> list[Trial]:
    """The best method, by validation, against each other one, and each one against filled; every pair once."""
    return [Trial(one.label, other.label, _differences(one, other)) for one, other in _pairs(runs.searched)]


def _pairs(lines: Sequence[Line]) -> Iterator[tuple[Line, Line]]:
    best, *others = lines
    yield from ((best, other) for other in others)
    for filled in others:
        if filled.method == FILLED:
            yield from ((line, filled) for line in others if line is not filled)


def _differences(first: Line, second: Line) -> dict[str, Difference]:
    found = {}
    for name in TRIED:
        ours, theirs = first.values(name), second.values(name)
        seeds = [seed for seed in ours if seed in theirs]
        found[name] = paired_difference([ours[seed] for seed in seeds], [theirs[seed] for seed in seeds])
    return found


def trial_table(
    runs: ComparableRuns, trials: Sequence[Trial], names: Sequence[str] = tuple(TRIED)
) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of the paired differences; a measure without any value is left out."""
    percent = {"score_test"} if runs.in_percent else set()
    known = [name for name in names if any(trial.found[name].mean is not None for trial in trials)]
    heads = ["first - second", *(TRIED[name].format(metric=runs.conditions["metric"]) for name in known)]
    return heads, [
        [f"{trial.first} - {trial.second}", *(difference_text(trial.found[name], name in percent) for name in known)]
        for trial in trials
    ]


def difference_text(found: Difference, percent: bool) -> str:
    """Mean difference, its interval and p, or why there is none."""
    p = f"too few seeds ({found.seeds})"
    if found.p is not None:
        p = f"p {found.p:.2g}" + ("*" if found.p == found.least_p else "")
    if found.mean is None:
        return p
    scale, form, unit = (100, "+.2f", "%") if percent else (1, "+.4f", "")
    bounds = ""
    if found.low is not None and found.high is not None:
        bounds = f" [{scale * found.low:{form}}, {scale * found.high:{form}}]"
    return f"{scale * found.mean:{form}}{unit}{bounds}, {p}"


def method_note(trials: int) -> str:
    """How it was computed, and what it cannot tell, of so many pairs that have a p."""
    tried = f" {trials} {'pair is' if trials == 1 else 'pairs are'} tried; p is not corrected for that."
    return (
        "Intervals: 95%, percentile bootstrap over seeds with 10000 draws; with two seeds the range, with one "
        "none (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). Differences: paired by "
        "seed, the same bootstrap; p is that of the sign-flip test, two-sided and exact (Fisher, The Design of "
        f"Experiments, 1935). * is the least p that so many seeds can tell, 2^(1-n). Below {FEWEST} seeds none is "
        "given. With fewer than ten seeds take the intervals for too narrow: of normal values they hold the truth "
        "in 76% of cases with three seeds, 84% with five, 90% with ten. "
        "The best method is chosen by validation, not by test."
    ) + (tried if trials else "")
