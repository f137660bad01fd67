"""``rlprune validate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlprune.experiments.settings.run_config import ValidateConfig

if TYPE_CHECKING:
    from rlprune.experiments.validating import ValidateAnswer

CONFIG = ValidateConfig
EXAMPLE = "rlprune validate runs/resnet20 --evaluations 50 --out validation.json"


def run(config: ValidateConfig, command: str) -> ValidateAnswer:
    """Rebuild the networks of a run and check each claim."""
    from rlprune.experiments.validating import validate_run

    return validate_run(config)
