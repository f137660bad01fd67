"""A search by the loss model alone, without an agent."""

from __future__ import annotations

from collections.abc import Sequence

from rlprune.agents.rounds import Proposal, Rounds
from rlprune.agents.searcher import EpisodeCallback, EpisodeLog, RangeSearcher, SearchResult, require_episodes
from rlprune.agents.surrogate import Known, Surrogate, SurrogateSettings
from rlprune.evaluation.problem import PruningProblem

AT_ONCE = 4
"""Plans chosen before the model learns from them, so that workers evaluate them side by side."""


class SurrogateSearcher(RangeSearcher):
    """Evaluates the plans that the :class:`~rlprune.agents.loss_model.LossModel` expects most of.

    It starts from the probes' plan, and learns from every evaluation; no policy is learned.

    Args:
        settings: see :class:`SurrogateSettings`.
    """

    name = "surrogate"

    def __init__(self, settings: SurrogateSettings | None = None) -> None:
        self.settings = settings or SurrogateSettings()

    def fewest_episodes(self, choices: int) -> int:
        """The plans that are evaluated before the model chooses."""
        return 2

    def search_range(
        self, problems: Sequence[PruningProblem], episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """See :class:`rlprune.agents.searcher.RangeSearcher`."""
        require_episodes(episodes, self, problems)
        log, surrogate = EpisodeLog(problems[0], callback, self.name), Surrogate(problems, self.settings, seed)
        rounds = Rounds(problems, surrogate, log, episodes)
        rounds.start()

        def propose(at: int, known: Known) -> Proposal:
            return Proposal(at, surrogate.proposed(at, known), "surrogate")

        while rounds.left:
            rounds.play(AT_ONCE, propose)
        return SearchResult(log.episodes)
