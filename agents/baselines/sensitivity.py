"""Independent sensitivities and a knapsack, as HALP (Shen et al., NeurIPS 2022) and ModelOpt's FastNAS choose plans."""

from __future__ import annotations

import numpy as np

from rlprune.agents.proposals import Neighbourhood, climb
from rlprune.agents.searcher import EpisodeCallback, EpisodeLog, SearchResult, require_episodes
from rlprune.arrays import FloatArray, IntArray
from rlprune.envs import LayerPruningEnv
from rlprune.evaluation.problem import PruningProblem

ROUNDS, ROWS = 60, 1000


class SensitivitySearcher:
    """Measures each group alone, then solves for the plan whose sensitivities add up to the least.

    One evaluation measures one width of one group, the rest of the network whole. Where there are more widths than half
    of the evaluations, they are measured at equal distances and read off in between. The plans of least sum are then
    evaluated, best first, with what evaluations are left.
    """

    name = "sensitivity"

    def fewest_episodes(self, choices: int) -> int:
        """As many plans as are measured, and half of them one width of each group."""
        return 2 * choices + 2

    def search(
        self, env: LayerPruningEnv, episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """See :class:`rlprune.agents.searcher.Searcher`.

        Raises:
            ConfigError: fewer episodes than two for each group.
        """
        problem = env.problem
        require_episodes(episodes, self, [problem])
        log = EpisodeLog(problem, callback, self.name)
        before = problem.evaluations
        log.add(problem.outcome(problem.planner.filled))
        tables = measure_alone(problem, episodes // 2)
        known = {tuple(problem.planner.filled.tolist())}
        near = Neighbourhood(problem, np.random.default_rng(seed), ROWS)
        best = problem.planner.filled
        while problem.evaluations - before < episodes:
            plan = climb(best, near, lambda plans: _sum(tables, plans), known, ROUNDS)
            if plan is None:
                break
            if len(known) == 1:
                best = plan
            known.add(tuple(plan.tolist()))
            log.add(problem.outcome(plan))
        return SearchResult(log.episodes)


def measure_alone(problem: PruningProblem, evaluations: int) -> list[FloatArray]:
    """For each choice, the divergence at each level ``0..full`` with the rest untouched; ``[full + 1]``."""
    choices = problem.space.choices
    each = max(evaluations // len(choices), 1)
    tables = []
    for index, choice in enumerate(choices):
        narrower = np.array(choice.levels[:-1], dtype=np.int64)
        chosen = narrower[np.unique(np.linspace(0, len(narrower) - 1, min(each, len(narrower))).round().astype(int))]
        rows = np.repeat(problem.planner.full[None], len(chosen), axis=0)
        rows[:, index] = chosen
        losses = [quality.divergence for quality in problem.evaluator.many(list(rows))]
        tables.append(np.interp(np.arange(choice.full + 1), [*chosen, choice.full], [*losses, 0.0]))
    return tables


def _sum(tables: list[FloatArray], plans: IntArray) -> FloatArray:
    return np.asarray(np.sum([table[plans[:, index]] for index, table in enumerate(tables)], axis=0))
