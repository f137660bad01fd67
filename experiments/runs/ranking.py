"""The one rule by which plans are chosen: of the finalists of a method, of all methods, and at each budget of a range.

Plans whose score is not behind the best one's beyond the noise are equals, of which the smallest divergence from the
dense network decides; the others follow by score. The noise is that of the validation samples
(:mod:`rlprune.evaluation.resampling`). Where it is not known, plans of equal scores alone are equals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlprune.evaluation.quality import Quality
from rlprune.evaluation.resampling import Interval, paired_interval


@dataclass(frozen=True)
class Standing:
    """What a plan is ranked by.

    Attributes:
        score, divergence: on all validation samples.
        behind: 95% interval of how far its score is behind the best one's; None where it is not known.
    """

    score: float
    divergence: float
    behind: Interval | None = None

    def equals(self, best_score: float) -> bool:
        """Whether its score is the best, or behind the best one's by no more than the noise."""
        return self.score == best_score or (self.behind is not None and self.behind[0] <= 0)


def standings(qualities: Sequence[Quality]) -> list[Standing]:
    """Of finalists, each beside the one of the highest score; of several, the one of least divergence."""
    if not qualities:
        return []
    best = min(qualities, key=lambda quality: (-quality.score, quality.divergence))
    return [Standing(one.score, one.divergence, paired_interval(best.resampled, one.resampled)) for one in qualities]


def leaders(found: Sequence[Standing]) -> list[int]:
    """Places of the plans that are equals of the best, in the order in which they came."""
    best = max(one.score for one in found)
    return [place for place, one in enumerate(found) if one.equals(best)]


def best_first(found: Sequence[Standing]) -> list[int]:
    """Places in the order of worth; what is the same in all stays in the order in which it came."""
    if not found:
        return []
    first = set(leaders(found))

    def worth(place: int) -> tuple[float, float, float]:
        one = found[place]
        return (0.0, one.divergence, -one.score) if place in first else (1.0, -one.score, one.divergence)

    return sorted(range(len(found)), key=worth)
