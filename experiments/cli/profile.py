"""``rlprune profile``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlprune.experiments.settings.device_config import ProfileConfig

if TYPE_CHECKING:
    from rlprune.experiments.pipeline.profiling import LayerProfileAnswer, ProfileAnswer

CONFIG = ProfileConfig
EXAMPLE = "rlprune profile --network fashion-resnet20 --out resnet20-here.json"


def run(config: ProfileConfig, command: str) -> ProfileAnswer | LayerProfileAnswer:
    """Measure and write the profile."""
    from rlprune.experiments.pipeline.profiling import measure_profile

    return measure_profile(config)
