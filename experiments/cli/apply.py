"""``rlprune apply``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlprune.experiments.settings.run_config import ApplyConfig

if TYPE_CHECKING:
    from rlprune.experiments.pipeline.applying import ApplyAnswer

CONFIG = ApplyConfig
EXAMPLE = "rlprune apply runs/resnet20/plan.json --network fashion-resnet20 --out pruned"


def run(config: ApplyConfig, command: str) -> ApplyAnswer:
    """Prune as the plan says and write the network."""
    from rlprune.experiments.pipeline.applying import apply_plan

    return apply_plan(config)
