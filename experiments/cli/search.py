"""``rlprune search``."""

from __future__ import annotations

from rlprune.experiments.cli.train import RunAnswer
from rlprune.experiments.cli.train import run as train
from rlprune.experiments.settings.run_config import SearchConfig

CONFIG = SearchConfig
EXAMPLE = "rlprune search --method evolutionary --network fashion-resnet20 --budget macs=0.5 --episodes 300"


def run(config: SearchConfig, command: str) -> RunAnswer:
    """Search with one method; uniform and filled stand beside it."""
    return train(config.as_training(), command)
