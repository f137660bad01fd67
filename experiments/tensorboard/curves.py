"""What TensorBoard shows of each episode: at one budget the plan that was tried and the best so far, else the front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from rlprune.agents.searcher import Episode
from rlprune.arrays import FloatArray
from rlprune.budgets.limits import cost_name
from rlprune.evaluation.pareto import hypervolume, undominated
from rlprune.evaluation.problem import Outcome, PruningProblem
from rlprune.evaluation.range_plane import RangePlane
from rlprune.experiments.fronting.objectives import DIVERGENCE, SCORE, default_objectives, losses_of, reference_of

Scalars = dict[str, float]
EVALUATIONS, OBJECTIVE_VOLUME = "run/evaluations", "run/hypervolume_of_objectives"
ALREADY_SHOWN = ("score", DIVERGENCE)
"""Terms of every reward that are curves of their own."""


class Curves(Protocol):
    """From episodes to scalars by tag."""

    def of(self, episode: Episode) -> Scalars:
        """The scalars of the next episode; those of what is best so far count every earlier one."""
        ...

    def level(self, name: str) -> Scalars:
        """The same for a plan that needs no search: ``uniform`` or ``filled``."""
        ...


def curves_of(problems: Sequence[PruningProblem]) -> Curves:
    """The curves of a search at one budget, or at several that are searched together (lowest first)."""
    return BudgetCurves(problems[0]) if len(problems) == 1 else FrontCurves(problems)


class BudgetCurves:
    """``tried/...``: the episode's own plan. ``run/best_...``: the best of each figure so far, of whichever plan.

    Every plan that is tried keeps to the budget.
    """

    def __init__(self, problem: PruningProblem) -> None:
        self._metric = problem.evaluator.task.metric
        self._problem = problem
        self._objectives = ObjectiveVolume(problem)
        self._best: Scalars = {}

    def of(self, episode: Episode) -> Scalars:
        """See :class:`Curves`."""
        outcome = episode.outcome
        if outcome.defined:
            self._best = self._better(self._worth(outcome))
        volume = {OBJECTIVE_VOLUME: self._objectives.after(outcome)}
        return _named("run/best", self._best) | self._tried(outcome) | volume | {EVALUATIONS: episode.evaluations}

    def level(self, name: str) -> Scalars:
        """See :class:`Curves`."""
        outcome = self._problem.unsearched[name]
        volume = {OBJECTIVE_VOLUME: self._objectives.of([outcome])}
        return _named("run/best", self._worth(outcome)) | self._tried(outcome) | volume

    def _worth(self, outcome: Outcome) -> Scalars:
        quality = outcome.quality
        return {self._metric: quality.score, DIVERGENCE: quality.divergence, "reward": outcome.reward}

    def _better(self, worth: Scalars) -> Scalars:
        """Of score and reward the highest so far, of the divergence the lowest."""
        pairs = {name: (value, self._best.get(name, value)) for name, value in worth.items()}
        return {name: min(pair) if name == DIVERGENCE else max(pair) for name, pair in pairs.items()}

    def _tried(self, outcome: Outcome) -> Scalars:
        costs = {cost_name(metric): cost for metric, cost in outcome.costs.items()}
        terms = {f"reward_{name}": value for name, value in outcome.terms.items() if name not in ALREADY_SHOWN}
        return {f"tried/{name}": value for name, value in (self._worth(outcome) | costs | terms).items()}


def _named(prefix: str, scalars: Scalars) -> Scalars:
    return {f"{prefix}_{name}": value for name, value in scalars.items()}


class FrontCurves:
    """``run/hypervolume``: over cost and loss, of all so far. Plans of different budgets share no curve."""

    def __init__(self, problems: Sequence[PruningProblem]) -> None:
        self._plane = RangePlane.of(problems, problems[-1].planner.budgets[0].metric)
        self._problems = list(problems)
        self._front: list[Outcome] = []
        self._objectives = ObjectiveVolume(problems[-1])

    def of(self, episode: Episode) -> Scalars:
        """See :class:`Curves`."""
        self._front = self._plane.undominated([*self._front, episode.outcome])
        volume = {OBJECTIVE_VOLUME: self._objectives.after(episode.outcome)}
        return self._volume(self._front) | volume | {EVALUATIONS: episode.evaluations}

    def level(self, name: str) -> Scalars:
        """See :class:`Curves`."""
        outcomes = [problem.unsearched[name] for problem in self._problems]
        return self._volume(outcomes) | {OBJECTIVE_VOLUME: self._objectives.of(outcomes)}

    def _volume(self, outcomes: Sequence[Outcome]) -> Scalars:
        return {"run/hypervolume": self._plane.hypervolume(outcomes)}


class ObjectiveVolume:
    """Hypervolume over score, latency, energy and what is limited, where they are known, of all plans so far.

    See ``REFERENCE_NOTE`` of :mod:`rlprune.experiments.fronting.objectives`.
    """

    def __init__(self, problem: PruningProblem) -> None:
        self._dense = {SCORE: problem.evaluator.dense.score, **problem.dense_costs}
        self._names = default_objectives(problem.dense_costs, problem.planner.limits)
        self._front: FloatArray = np.empty((0, len(self._names)))
        self._volume = 0.0

    def after(self, outcome: Outcome) -> float:
        """The volume with one more plan."""
        known = len(self._front)
        rows = np.concatenate([self._front, self._rows([outcome])])
        best = undominated(rows)
        if known in best:
            self._front = rows[best]
            self._volume = hypervolume(self._front, reference_of(self._names))
        return self._volume

    def of(self, outcomes: Sequence[Outcome]) -> float:
        """The volume of these plans alone."""
        return hypervolume(self._rows(outcomes), reference_of(self._names))

    def _rows(self, outcomes: Sequence[Outcome]) -> FloatArray:
        """Losses, ``[N, M]``; plans without a reward do not count."""
        rows = [
            losses_of(self._names, {SCORE: outcome.quality.score, **outcome.costs}, self._dense)
            for outcome in outcomes
            if outcome.defined
        ]
        return np.array(rows, dtype=np.float64).reshape(-1, len(self._names))
