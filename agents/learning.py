"""What our uses of SB3 algorithms share: isolation of random state, the episode callback, the exported actor."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import nn

from rlprune.agents.search import EpisodeLog

NO_LOG = 10**9
"""Episodes between SB3's own tables on stdout: never."""


@contextmanager
def isolated_random_state(seed: int) -> Iterator[None]:
    """SB3 seeds and draws from the global generators; seed them inside, and put back what was there outside."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002


class EpisodeCollector(BaseCallback):
    """Hands every finished episode to the log and stops after the last."""

    def __init__(self, log: EpisodeLog, episodes: int) -> None:
        super().__init__()
        self._log = log
        self._episodes = episodes

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "outcome" in info:
                self._log.add(info["outcome"])
        return len(self._log.episodes) < self._episodes


def linears_of(*modules: nn.Module) -> list[nn.Linear]:
    """All linear layers of some modules, in order."""
    return [layer for module in modules for layer in module.modules() if isinstance(layer, nn.Linear)]
