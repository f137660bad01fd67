"""Uniform plans: the same keep ratio everywhere, plain or filled up to the budget."""

from __future__ import annotations

from rlprune.agents.searcher import EpisodeCallback, EpisodeLog, SearchResult, require_episodes
from rlprune.envs import LayerPruningEnv


class UniformSearcher:
    """Evaluates one plan; more episodes would only repeat it.

    Args:
        name: ``uniform``, the largest equal keep ratio that fits, or ``filled``, the same filled up layer by layer.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def fewest_episodes(self, choices: int) -> int:
        """A search of any number of choices needs one episode."""
        return 1

    def search(
        self, env: LayerPruningEnv, episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """See :class:`rlprune.agents.searcher.Searcher`."""
        require_episodes(episodes, self, [env.problem])
        log = EpisodeLog(env.problem, callback, self.name)
        log.add(env.problem.unsearched[self.name])
        return SearchResult(log.episodes)
