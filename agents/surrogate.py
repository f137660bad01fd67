"""A search by the loss model alone: what the agents explore by, without an agent."""

from __future__ import annotations

from collections.abc import Sequence

from rlprune.agents.exploration import Exploration, Explorer
from rlprune.agents.searcher import EpisodeCallback, EpisodeLog, SearchResult, require_episodes
from rlprune.envs import LayerPruningEnv
from rlprune.evaluation.problem import PruningProblem

AT_ONCE = 4
"""Plans chosen before the model learns from them, so that workers evaluate them side by side."""


class SurrogateSearcher:
    """Evaluates the plans that the :class:`~rlprune.agents.loss_model.LossModel` expects most of.

    It starts from the probe plan, and learns from every evaluation; no policy is learned.

    Args:
        settings: see :class:`Exploration`.
    """

    name = "surrogate"

    def __init__(self, settings: Exploration | None = None) -> None:
        self.settings = settings or Exploration(actor=0.0)

    def fewest_episodes(self, choices: int) -> int:
        """The plans that are evaluated before the model chooses."""
        return self.settings.warmup

    def search(
        self, env: LayerPruningEnv, episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """See :class:`rlprune.agents.searcher.Searcher`."""
        return self.search_range([env.problem], episodes, seed, callback)

    def search_range(
        self, problems: Sequence[PruningProblem], episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """See :class:`rlprune.agents.searcher.RangeSearcher`."""
        require_episodes(episodes, self, problems)
        log, explorer = EpisodeLog(problems[0], callback), Explorer(problems, self.settings, seed)
        while len(log.episodes) < episodes:
            courses = explorer.choose(min(AT_ONCE, episodes - len(log.episodes)))
            qualities = problems[0].evaluator.many([plan for _, plan in courses])
            for (at, plan), quality in zip(courses, qualities, strict=True):
                outcome = problems[at].judged(plan, quality)
                explorer.record(outcome)
                log.add(outcome)
        return SearchResult(log.episodes)
