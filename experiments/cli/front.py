"""``rlprune front``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlprune.experiments.settings.run_config import FrontConfig

if TYPE_CHECKING:
    from rlprune.experiments.fronting.fronts import Fronts

CONFIG = FrontConfig
EXAMPLE = "rlprune front runs/a runs/b --within latency=0.5 --within accuracy=0.98 --choose energy --out front"


def run(config: FrontConfig, command: str) -> Fronts:
    """Put the plans of finished runs into fronts, and choose one."""
    from rlprune.experiments.fronting.joining import join_fronts

    return join_fronts(config)
