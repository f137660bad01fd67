"""Greedy search after NetAdapt (Yang et al., ECCV 2018)."""

from __future__ import annotations

import numpy as np

from rlprune.agents.searcher import EpisodeCallback, EpisodeLog, SearchResult, require_episodes
from rlprune.arrays import IntArray
from rlprune.budgets.completion import FITS
from rlprune.envs import LayerPruningEnv
from rlprune.evaluation.problem import PruningProblem

MOST_ROUNDS = 12
"""With more, a round asks for less than one step of most groups saves, and the plans got worse, not better."""


class GreedySearcher:
    """Narrows the dense network round by round; each round takes from the group that it hurts least.

    In a round every group in turn gives up as many channels as the round's share of the cost asks for, alone; each such
    plan is evaluated, and the best is kept. There are as many rounds as the evaluations allow, at most twelve. All
    plans but the last are over the budget, so only the filled uniform plan and the last one are episodes; the others
    count as evaluations.
    """

    name = "greedy"

    def fewest_episodes(self, choices: int) -> int:
        """One round over all choices, the filled plan before it and the plan after it."""
        return choices + 2

    def search(
        self, env: LayerPruningEnv, episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """See :class:`rlprune.agents.searcher.Searcher`. Nothing is drawn at random.

        Raises:
            ConfigError: fewer episodes than a round needs.
        """
        problem = env.problem
        choices = len(problem.space.choices)
        require_episodes(episodes, self, [problem])
        log = EpisodeLog(problem, callback, self.name)
        log.add(problem.outcome(problem.planner.filled))
        plan = problem.planner.full.copy()
        first = float(problem.planner.usage(plan[None])[0])
        rounds = min(max((episodes - 2) // choices, 1), MOST_ROUNDS)
        for number in range(1, rounds + 1):
            plan = self._round(problem, plan, first + (1.0 - first) * number / rounds)
        log.add(problem.outcome(_used_up(problem, plan)))
        return SearchResult(log.episodes)

    def _round(self, problem: PruningProblem, plan: IntArray, allowed: float) -> IntArray:
        """The best of the plans in which one group gives up what it takes to use at most ``allowed`` of the budget."""
        if float(problem.planner.usage(plan[None])[0]) <= allowed * FITS:
            return plan
        narrowed = [_narrowed(problem, plan, choice, allowed) for choice in range(len(plan))]
        candidates = [row for row in narrowed if row is not None]
        if not candidates:
            return _cheapened(problem, plan, allowed)
        qualities = problem.evaluator.many(candidates)
        return candidates[int(np.argmin([quality.divergence for quality in qualities]))]


def _narrowed(problem: PruningProblem, plan: IntArray, choice: int, allowed: float) -> IntArray | None:
    """``plan`` with one choice as high as ``allowed`` lets it be; None where no level of it is low enough."""
    levels = [level for level in problem.space.choices[choice].levels if level < plan[choice]]
    rows = np.repeat(plan[None], len(levels), axis=0)
    rows[:, choice] = levels
    fits = np.flatnonzero(problem.planner.usage(rows) <= allowed * FITS) if len(rows) else np.empty(0, dtype=np.int64)
    return rows[fits[-1]] if len(fits) else None


def _cheapened(problem: PruningProblem, plan: IntArray, allowed: float) -> IntArray:
    """Where no group alone can give up enough: the step that saves most, again and again."""
    while float(problem.planner.usage(plan[None])[0]) > allowed * FITS:
        rows = []
        for index, choice in enumerate(problem.space.choices):
            place = choice.levels.index(int(plan[index]))
            if place > 0:
                rows.append(plan.copy())
                rows[-1][index] = choice.levels[place - 1]
        plan = rows[int(np.argmin(problem.planner.usage(np.stack(rows))))]
    return plan


def _used_up(problem: PruningProblem, plan: IntArray) -> IntArray:
    """``plan``, widened group by group where the budget still allows it."""
    for index, choice in enumerate(problem.space.choices):
        rows = np.repeat(plan[None], len(choice.levels), axis=0)
        rows[:, index] = choice.levels
        fits = np.flatnonzero(problem.planner.usage(rows) <= FITS)
        plan = rows[max(fits[-1], choice.levels.index(int(plan[index])))]
    return plan
