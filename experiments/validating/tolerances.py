"""How far a number that is computed again may be from the recorded one, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlprune.experiments.runs.checked import Within
from rlprune.experiments.validating.claims import EXACT, SUMS, Tolerance

DECIDING = ("torch", "numpy", "platform", "cpu", "gpu")
"""What decides in which order floats are summed, together with the threads, which are the run's."""

SAME = "the same machine and libraries compute the same bits; this leaves room for the last ones"
OTHER = (
    "another processor or library sums float32 in another order; between instruction sets divergences moved by 2e-6 of "
    "themselves and weights by 1e-5, and a close sample or channel may turn"
)

RATIO = Tolerance(relative=0.1, why="share of the dense latency in the same rounds; it repeats to a few percent")
ENERGY = Tolerance(relative=0.2, why="share of the dense energy as metered; meters read the whole processor")
MEMORY = Tolerance(relative=0.1, why="the runtime's allocator takes whole blocks")
LATER = Tolerance(60.0, why="report and pictures are written after it was noted")


@dataclass(frozen=True)
class Tolerances:
    """Of what is computed from the network's outputs.

    Attributes:
        same: whether machine and libraries are those of the run.
        samples: that each kind of score is of.
    """

    same: bool
    samples: Mapping[Within, int]

    @classmethod
    def of(cls, then: Mapping[str, Any], now: Mapping[str, Any], samples: Mapping[Within, int]) -> Tolerances:
        """From the versions of the run and those of this process."""
        return cls(all(then.get(name) == now.get(name) for name in DECIDING), samples)

    def __getitem__(self, within: Within) -> Tolerance:
        if within in self.samples:
            return self.score(self.samples[within])
        return {
            Within.EXACT: EXACT,
            Within.SUMS: SUMS,
            Within.LATER: LATER,
            Within.DIVERGENCE: self._either((1e-9, 1e-5), (1e-6, 1e-3)),
            Within.REWARD: self._either((1e-5, 1e-5), (2e-3, 1e-3)),  # mostly a logarithm of two divergences
        }[within]

    def _either(self, here: tuple[float, float], elsewhere: tuple[float, float]) -> Tolerance:
        return Tolerance(*(here if self.same else elsewhere), why=SAME if self.same else OTHER)

    def score(self, samples: int) -> Tolerance:
        """Of a score on so many samples."""
        return self._either((1e-9, 1e-9), (2.5 / samples, 1e-3))

    @property
    def count(self) -> Tolerance:
        """Of a number of samples."""
        return self._either((0.0, 0.0), (2.5, 1e-3))

    @property
    def weight(self) -> Tolerance:
        """Of a weight, as a share of its tensor's largest."""
        return self._either((1e-5, 0.0), (1e-3, 0.0))
