"""What our uses of SB3 algorithms share: the search itself, isolation of random state, the exported actor."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from torch import nn

from rlprune.agents.actor_plans import actor_plans
from rlprune.agents.exploration import Exploration, Explorer
from rlprune.agents.imitation import imitate
from rlprune.agents.policy import Policy
from rlprune.agents.searcher import EpisodeCallback, EpisodeLog, SearchResult, require_episodes
from rlprune.choices.choice import Kind
from rlprune.envs import LayerPruningEnv
from rlprune.envs.vector import PruningVecEnv
from rlprune.evaluation.problem import PruningProblem

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


class LearningSettings(Protocol):
    """What the settings of every agent hold."""

    @property
    def planned(self) -> bool:
        """Whether whole plans are explored."""
        ...

    @property
    def envs(self) -> int:
        """Episodes that run at once."""
        ...

    @property
    def imitation(self) -> int:
        """Steps in which the policy that is kept learns from the best episodes."""
        ...

    @property
    def exploration(self) -> Exploration:
        """Where plans come from."""
        ...


class LearningSearcher(ABC):
    """Learns a policy while it searches, at one budget or at several.

    Attributes:
        name: of the algorithm.
        settings: of the agent.
    """

    name: str
    settings: LearningSettings

    def fewest_episodes(self, choices: int) -> int:
        """The warm-up."""
        return self.settings.exploration.warmup if self.settings.planned else 1

    def search(
        self, env: LayerPruningEnv, episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """See :class:`rlprune.agents.searcher.Searcher`."""
        return self.search_range([env.problem], episodes, seed, callback)

    def search_range(
        self, problems: Sequence[PruningProblem], episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """See :class:`rlprune.agents.searcher.RangeSearcher`."""
        settings, length = self.settings, len(problems[0].space.units)
        require_episodes(episodes, self, problems)
        log = EpisodeLog(problems[0], callback)
        with isolated_random_state(seed):
            explorer = Explorer(problems, settings.exploration, seed)
            env = PruningVecEnv(problems, settings.envs, episodes, explorer if settings.planned else None)
            model = self._model(env, episodes, seed)
            explorer.policy = actor_plans(model, problems)
            model.learn((episodes + settings.envs) * length, EpisodeCollector(log, episodes), NO_LOG)
            kept = self._policy(model, problems[0].space.kinds)
        imitate(kept, explorer.demonstrations, settings.imitation, seed)
        return SearchResult(log.episodes, kept)

    @abstractmethod
    def _model(self, env: PruningVecEnv, episodes: int, seed: int) -> BaseAlgorithm:
        """The algorithm of SB3, before it learns."""

    @abstractmethod
    def _policy(self, model: BaseAlgorithm, kinds: tuple[Kind, ...]) -> Policy:
        """Its actor on its own."""
