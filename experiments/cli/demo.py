"""``rlprune demo``."""

from __future__ import annotations

import itertools
from pathlib import Path

from rlprune.experiments.cli.train import RunAnswer
from rlprune.experiments.settings.run_config import DemoConfig, TrainConfig

CONFIG = DemoConfig
EXAMPLE = "rlprune demo --budget latency=0.4 --decide channels"


def run(config: DemoConfig, command: str) -> RunAnswer:
    """The whole job on the network of the digits."""
    from rlprune.experiments.cli.train import run as train

    settings = TrainConfig(
        network="digits-resnet",
        budget=config.budget,
        decide=config.decide,
        episodes=config.episodes,
        seed=config.seed,
        out=config.out or str(free_folder(Path("runs"))),
        profile_plans=40,
        profile_checks=12,
    )
    return train(settings, command)


def free_folder(parent: Path) -> Path:
    """The first of ``demo-1``, ``demo-2``, ... that does not exist."""
    return next(path for number in itertools.count(1) if not (path := parent / f"demo-{number}").exists())
