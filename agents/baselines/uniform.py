"""The uniform plan: the same keep ratio everywhere, as far as the widths allow, filled up to the budget."""

from __future__ import annotations

import numpy as np

from rlprune.agents.search import EpisodeCallback, EpisodeLog, SearchResult, require_episodes
from rlprune.envs import LayerPruningEnv


class UniformSearcher:
    """Walks the environment once with the neutral action; more episodes would only repeat it."""

    name = "uniform"

    def fewest_episodes(self, choices: int) -> int:
        """One."""
        return 1

    def search(
        self, env: LayerPruningEnv, episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """See :class:`rlprune.agents.search.Searcher`."""
        require_episodes(episodes, self, [env.problem])
        log = EpisodeLog(env.problem, callback)
        env.reset(seed=seed)
        terminated = False
        while not terminated:
            _, _, terminated, _, info = env.step(np.zeros(len(env.problem.space.kinds), dtype=np.float32))
        log.add(info["outcome"])
        return SearchResult(log.episodes)
