"""Random plans within the budget."""

from __future__ import annotations

import numpy as np

from rlprune.agents.searcher import EpisodeCallback, EpisodeLog, SearchResult, require_episodes
from rlprune.envs import LayerPruningEnv


class RandomSearcher:
    """Draws every action uniformly from the action space."""

    name = "random"

    def fewest_episodes(self, choices: int) -> int:
        """A search of any number of choices needs one episode."""
        return 1

    def search(
        self, env: LayerPruningEnv, episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """See :class:`rlprune.agents.searcher.Searcher`."""
        require_episodes(episodes, self, [env.problem])
        log = EpisodeLog(env.problem, callback, self.name)
        random = np.random.default_rng(seed)
        while log.goes_on(episodes):
            env.reset(seed=seed)
            terminated = False
            while not terminated:
                action = random.uniform(-1, 1, len(env.problem.space.kinds)).astype(np.float32)
                _, _, terminated, _, info = env.step(action)
            log.add(info["outcome"])
        return SearchResult(log.episodes)
