"""``rlprune compare``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlprune.experiments.settings.run_config import CompareConfig

if TYPE_CHECKING:
    from rlprune.experiments.comparing.comparison import Comparison

CONFIG = CompareConfig
EXAMPLE = "rlprune compare runs/seed0 runs/seed1 runs/seed2 --out comparison"


def run(config: CompareConfig, command: str) -> Comparison:
    """Put finished runs side by side."""
    from rlprune.experiments.comparing.comparison import compare_runs

    return compare_runs(config)
