"""Plans that need no search: equal keep ratios, and those of least additive loss."""

from __future__ import annotations

from collections.abc import Callable

from rlprune.agents.searcher import EpisodeCallback, EpisodeLog, SearchResult, require_episodes
from rlprune.arrays import IntArray
from rlprune.budgets.knapsack import Knapsack
from rlprune.envs import LayerPruningEnv
from rlprune.evaluation.probes import LossTables, error_tables
from rlprune.evaluation.problem import PruningProblem

PLANS: dict[str, Callable[[PruningProblem], IntArray]] = {
    "uniform": lambda problem: problem.planner.uniform,
    "filled": lambda problem: problem.planner.filled,
    "prior": lambda problem: _of_least_loss(
        problem, error_tables(problem.space.choices, problem.evaluator.error_curve)
    ),
    "probe": lambda problem: problem.probe,
    "probe-shrunk": lambda problem: _of_least_loss(problem, problem.evaluator.loss_tables.shrunk()),
}
"""The largest equal keep ratio that fits; the same filled up layer by layer; the plan that loses least by error curves;
by these through two measurements of each choice (:mod:`rlprune.evaluation.probes`); by those drawn to their mean."""


class FixedPlanSearcher:
    """Evaluates one plan; more episodes would only repeat it.

    Args:
        name: of :data:`PLANS`.
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
        log.add(env.problem.outcome(PLANS[self.name](env.problem)))
        return SearchResult(log.episodes)


def _of_least_loss(problem: PruningProblem, tables: LossTables) -> IntArray:
    return Knapsack(problem.planner, problem.space.canonical).solve(tables.of(problem.space.choices))
