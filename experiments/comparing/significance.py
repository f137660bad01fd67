"""Which differences between methods go beyond the seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rlprune.experiments.comparing.bootstrap import FEWEST, Difference, paired_difference
from rlprune.experiments.comparing.sections import Line, Section
from rlprune.experiments.runs.row import FILLED

MEASURES = {"score_test": "{metric}, test", "divergence": "divergence", "reward": "reward"}


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


def trials_of(section: Section) -> list[Trial]:
    """The best method, by validation, against each other one, and each one against filled; every pair once."""
    return [_trial(first, second) for first, second in _pairs(section)]


def _pairs(section: Section) -> Iterator[tuple[Line, Line]]:
    best, *others = section.searched
    yield from ((best, other) for other in others)
    for filled in section.searched:
        if filled.method == FILLED and filled is not best:
            yield from ((line, filled) for line in others if line is not filled)


def _trial(first: Line, second: Line) -> Trial:
    return Trial(first.label, second.label, {name: _difference(first, second, name) for name in MEASURES})


def _difference(first: Line, second: Line, name: str) -> Difference:
    ours, theirs = first.values(name), second.values(name)
    seeds = [seed for seed in ours if seed in theirs]
    return paired_difference([ours[seed] for seed in seeds], [theirs[seed] for seed in seeds])


def p_text(found: Difference) -> str:
    """p for people, or why there is none."""
    if found.p is None:
        return f"too few seeds ({found.seeds})"
    return f"p {found.p:.2g}" + ("*" if found.p == found.least_p else "")


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
