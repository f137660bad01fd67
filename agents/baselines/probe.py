"""Plans of least additive loss: by error curves alone, and by what each choice was measured to lose alone."""

from __future__ import annotations

from rlprune.agents.searcher import EpisodeCallback, EpisodeLog, SearchResult, require_episodes
from rlprune.arrays import IntArray
from rlprune.budgets.knapsack import Knapsack
from rlprune.envs import LayerPruningEnv
from rlprune.evaluation.probes import LossTables, error_tables
from rlprune.evaluation.problem import PruningProblem


class TableSearcher:
    """Evaluates the one plan that loses least if losses add up; more episodes would only repeat it.

    Args:
        name: ``prior``, losses are the error curves; ``probe``, those bent through two measurements of each choice
            (:mod:`rlprune.evaluation.probes`); ``probe-shrunk``, these drawn towards their mean.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def fewest_episodes(self, choices: int) -> int:
        """A search of any number of choices needs one episode."""
        return 1

    def search(
        self, env: LayerPruningEnv, episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """See :class:`rlprune.agents.searcher.Searcher`. Nothing is drawn at random."""
        require_episodes(episodes, self, [env.problem])
        log = EpisodeLog(env.problem, callback, self.name)
        log.add(env.problem.outcome(self._plan(env.problem)))
        return SearchResult(log.episodes)

    def _plan(self, problem: PruningProblem) -> IntArray:
        losses = self._tables(problem).of(problem.space.choices)
        return Knapsack(problem.planner, problem.space.canonical).solve(losses)

    def _tables(self, problem: PruningProblem) -> LossTables:
        if self.name == "prior":
            return error_tables(problem.space.choices, problem.evaluator.error_curve)
        probed = problem.evaluator.loss_tables
        return probed.shrunk() if self.name == "probe-shrunk" else probed
