"""Studies: many runs that differ in a few settings; what is missing is run, and nothing twice."""

from rlprune.experiments.sweeping.answer import SweepAnswer
from rlprune.experiments.sweeping.running import sweep

__all__ = ["SweepAnswer", "sweep"]
