"""``rlprune replay``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlprune.experiments.settings.run_config import ReplayConfig

if TYPE_CHECKING:
    from rlprune.experiments.pipeline.replaying import ReplayAnswer

CONFIG = ReplayConfig
EXAMPLE = "rlprune replay runs/resnet20 --network fashion-vgg --budget latency=0.4"


def run(config: ReplayConfig, command: str) -> ReplayAnswer:
    """Walk the policy of a run over a network."""
    from rlprune.experiments.pipeline.replaying import replay_run

    return replay_run(config, command)
