"""``rlprune inspect``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlprune.experiments.settings.config import InspectConfig

if TYPE_CHECKING:
    from rlprune.experiments.pipeline.inspecting import InspectAnswer

CONFIG = InspectConfig
EXAMPLE = "rlprune inspect --network mine:network --input-shape 1,3,32,32"


def run(config: InspectConfig, command: str) -> InspectAnswer:
    """Find the groups and what stays whole."""
    from rlprune.experiments.pipeline.inspecting import inspect_network

    return inspect_network(config)
