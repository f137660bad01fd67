"""What is known of plans from those that were tried, and where it leads: better plans, without an agent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlprune.agents.loss_model import PRIOR_WEIGHT, LossModel
from rlprune.agents.proposals import Neighbourhood, climb
from rlprune.arrays import FloatArray, IntArray
from rlprune.budgets.completion import FITS
from rlprune.errors import ConfigError
from rlprune.evaluation.problem import Outcome, PruningProblem

Known = set[tuple[int, ...]]


@dataclass(frozen=True)
class SurrogateSettings:
    """How plans are proposed. Each part can be switched off.

    Attributes:
        model: proposals are screened by the loss model; else the first one that is new is taken.
        prior_weight: see :class:`~rlprune.agents.loss_model.AdditiveLoss`.
        residuals: whether the model learns which decisions matter together.
        restarts: share of proposals that start from a random plan within the budget.
        elites: mean rank of the plan that the others start from; 0 is always the best.
        optimism: how many standard deviations of the model a proposal is forgiven, on average.
        rows, rounds, most: changes tried at once, how often, and choices that one changes at most.

    Raises:
        ConfigError: a share outside [0, 1], or numbers below their least.
    """

    model: bool = True
    prior_weight: float = PRIOR_WEIGHT
    residuals: bool = True
    restarts: float = 0.1
    elites: float = 5.0
    optimism: float = 1.0
    rows: int = 400
    rounds: int = 6
    most: int = 4

    def __post_init__(self) -> None:
        if not 0 <= self.restarts <= 1:
            raise ConfigError(f"The share of restarts lies between 0 and 1; {self.restarts} came.")
        if min(self.elites, self.optimism) < 0 or self.prior_weight <= 0:
            raise ConfigError("A surrogate needs elites and optimism of at least 0, and a prior weight over 0.")
        if min(self.rows, self.rounds, self.most) < 1:
            raise ConfigError("A surrogate needs at least one row, one round and one choice to change.")


class Surrogate:
    """A model of the loss, which means the same at every budget: what was tried at one teaches for all.

    Args:
        problems: the same network at one or several budgets.
        settings: see :class:`SurrogateSettings`.
        seed: of everything that is drawn.
    """

    def __init__(self, problems: Sequence[PruningProblem], settings: SurrogateSettings, seed: int) -> None:
        self.problems, self._settings = list(problems), settings
        self._random = np.random.default_rng(seed)
        self._near = [Neighbourhood(problem, self._random, settings.rows, settings.most) for problem in self.problems]
        first = self.problems[0]
        tables = first.evaluator.loss_tables
        self._model = LossModel(first.space.choices, tables, settings.prior_weight, settings.residuals)
        self._losses: dict[tuple[int, ...], float] = {}
        self._undefined: Known = set()
        self._stale = False

    @property
    def known(self) -> Known:
        """The plans that were recorded, those without a reward too."""
        return self._undefined.union(self._losses)

    def record(self, outcome: Outcome) -> None:
        """Take in what a plan does; one without a reward teaches nothing."""
        plan = tuple(outcome.levels.tolist())
        if outcome.defined:
            self._losses[plan] = outcome.loss
            self._stale = True
        else:
            self._undefined.add(plan)

    def expected(self, plans: IntArray) -> tuple[FloatArray, FloatArray]:
        """Logarithm of the loss that is expected of plans ``[N, K]``, and its standard deviation, each ``[N]``."""
        if self._stale:
            self._model.fit(*self._table())
            self._stale = False
        return self._model.predict(plans)

    def log_loss(self, plan: IntArray) -> float:
        """Logarithm of a plan's loss: measured, or else expected; infinite where it was found to have no reward."""
        key = tuple(plan.tolist())
        if key in self._losses:
            return float(np.log(self._losses[key]))
        return math.inf if key in self._undefined else float(self.expected(plan[None])[0][0])

    def refined(self, at: int, start: IntArray, known: Known) -> IntArray | None:
        """The best plan not ``known`` that is met going downhill from ``start`` at one of the problems; None if none.

        Downhill is what the model expects, some of its uncertainty forgiven (optimism, drawn anew each time).
        """
        optimism = self._settings.optimism * abs(self._random.normal())

        def worth(plans: IntArray) -> FloatArray:
            if not self._settings.model:
                return self._random.random(len(plans))
            mean, spread = self.expected(plans)
            return mean - optimism * spread

        return climb(start, self._near[at], worth, known, self._settings.rounds)

    def proposed(self, at: int, known: Known) -> IntArray:
        """A plan for one of the problems: new where one is found, near one of the best or a random one."""
        problem = self.problems[at]
        restart = self._random.random() < self._settings.restarts
        start = self.random_plan(problem) if restart else self._elite(problem)
        found = self.refined(at, start, known)
        if found is None:  # all around it is known
            start = self.random_plan(problem)
            found = self.refined(at, start, known)
        return start if found is None else found

    def _elite(self, problem: PruningProblem) -> IntArray:
        """A plan among the best that meet this budget and make use of it, or else the probes' plan."""
        if not self._losses:
            return problem.probe
        plans, losses = self._table()
        used = problem.planner.usage(plans)
        fitting = np.flatnonzero((used <= FITS) & (used >= problem.planner.target))
        if not len(fitting):
            return problem.probe
        rank = min(int(self._random.exponential(self._settings.elites)), len(fitting) - 1)
        return np.asarray(plans[fitting[np.argsort(losses[fitting], kind="stable")[rank]]])

    def random_plan(self, problem: PruningProblem) -> IntArray:
        """A plan within the budget, walked at random."""
        walk = problem.planner.start()
        while not walk.done:
            walk.decide(int(self._random.choice(walk.options())))
        return walk.levels

    def _table(self) -> tuple[IntArray, FloatArray]:
        return np.array(list(self._losses), dtype=np.int64), np.array(list(self._losses.values()))
