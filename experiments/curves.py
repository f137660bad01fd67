"""What TensorBoard shows of each episode: at one budget the plan that was tried and the best so far, else the front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rlprune.agents.search import Episode
from rlprune.budget import cost_name
from rlprune.experiments.hypervolume import Corner
from rlprune.problem import Outcome, PruningProblem

Scalars = dict[str, float]
ALREADY_SHOWN = ("score", "divergence")
"""Terms of every reward that are curves of their own."""


class Curves(Protocol):
    """From episodes to scalars by tag."""

    def of(self, episode: Episode, best: Outcome) -> Scalars:
        """The scalars of an episode; ``best`` is the outcome of highest reward so far."""
        ...

    def uniform(self) -> Scalars:
        """The same for uniform pruning, which needs no search."""
        ...


def curves_of(problems: Sequence[PruningProblem]) -> Curves:
    """The curves of a search at one budget, or at several that are searched together (lowest first)."""
    return BudgetCurves(problems[0]) if len(problems) == 1 else FrontCurves(problems)


class BudgetCurves:
    """``tried/...``: the episode's own plan. ``run/best_...``: the plan of highest reward so far."""

    def __init__(self, problem: PruningProblem) -> None:
        self._metric = problem.evaluator.task.metric
        self._uniform = problem.uniform

    def of(self, episode: Episode, best: Outcome) -> Scalars:
        """See :class:`Curves`."""
        return self._search(best) | self._tried(episode.outcome) | {"run/evaluations": episode.evaluations}

    def uniform(self) -> Scalars:
        """See :class:`Curves`."""
        return self._search(self._uniform) | self._tried(self._uniform)

    def _search(self, best: Outcome) -> Scalars:
        return {f"run/best_{name}": value for name, value in self._worth(best).items()}

    def _tried(self, outcome: Outcome) -> Scalars:
        terms = {f"reward_{name}": value for name, value in outcome.terms.items() if name not in ALREADY_SHOWN}
        costs = {cost_name(metric): cost for metric, cost in outcome.costs.items()}
        return {f"tried/{name}": value for name, value in (self._worth(outcome) | costs | terms).items()}

    def _worth(self, outcome: Outcome) -> Scalars:
        quality = outcome.quality
        return {self._metric: quality.score, "divergence": quality.divergence, "reward": outcome.reward}


class FrontCurves:
    """``run/hypervolume``: of everything tried so far. Plans of different budgets never share a curve."""

    def __init__(self, problems: Sequence[PruningProblem]) -> None:
        self._corner = Corner.of(problems, problems[-1].planner.budgets[0].metric)
        self._uniform = [problem.uniform for problem in problems]
        self._front: list[Outcome] = []

    def of(self, episode: Episode, best: Outcome) -> Scalars:
        """See :class:`Curves`."""
        self._front = self._corner.undominated([*self._front, episode.outcome])
        return self._volume(self._front) | {"run/evaluations": episode.evaluations}

    def uniform(self) -> Scalars:
        """See :class:`Curves`."""
        return self._volume(self._uniform)

    def _volume(self, outcomes: Sequence[Outcome]) -> Scalars:
        return {"run/hypervolume": self._corner.volume(outcomes)}
