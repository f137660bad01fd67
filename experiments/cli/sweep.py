"""``rlprune sweep``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlprune.experiments.settings.run_config import SweepConfig

if TYPE_CHECKING:
    from rlprune.experiments.sweeping.answer import SweepAnswer

CONFIG = SweepConfig
EXAMPLE = "rlprune sweep digits --processes 2"


def run(config: SweepConfig, command: str) -> SweepAnswer:
    """Run the members of a study that are missing."""
    from rlprune.experiments.sweeping.running import sweep

    return sweep(config, command)
