"""What the steps of a training found together, from which everything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from rlprune.devices import DeviceProfile
from rlprune.experiments.pipeline.best_plans import Chosen
from rlprune.experiments.pipeline.candidate import Candidate, table
from rlprune.experiments.pipeline.provenance import Provenance
from rlprune.experiments.pipeline.running_methods import Search
from rlprune.experiments.runs.row import Row
from rlprune.experiments.runs.verdict import ranked
from rlprune.experiments.settings.verb_configs import TrainConfig


@dataclass(frozen=True, eq=False)
class Findings:
    """All that a training found.

    Attributes:
        profile: what the device promised, where that was asked.
        searches: by method.
        chosen: measured and tested.
        provenance: of the measured columns.
    """

    config: TrainConfig
    profile: DeviceProfile | None
    searches: Mapping[str, Search]
    chosen: Chosen
    provenance: Provenance

    @cached_property
    def rows(self) -> list[Row]:
        """The table, a row for each candidate of ``chosen.table``."""
        return table(self.chosen.table, self.chosen.problem.space, self.provenance)

    @property
    def winner(self) -> Candidate:
        """The best pruned network, whatever method found it."""
        best = ranked(self.rows)[0].name
        return next(item for item in self.chosen.table if item.name == best)
