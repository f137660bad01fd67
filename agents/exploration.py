"""How the agents explore: whole plans, proposed around good ones and screened by what is known already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rlprune.agents.imitation import Demonstrations
from rlprune.agents.loss_model import PRIOR_WEIGHT, LossModel
from rlprune.agents.proposals import Neighbourhood, climb
from rlprune.arrays import FloatArray, IntArray
from rlprune.envs.episode import RunningEpisode
from rlprune.envs.vector import Course
from rlprune.errors import ConfigError
from rlprune.evaluation.problem import Outcome, PruningProblem

PolicyPlan = Callable[[int], IntArray]
"""The plan that the actor makes for one of the problems."""


@dataclass(frozen=True)
class Exploration:
    """Where the plans of a search come from. Each part can be switched off.

    Attributes:
        warm_start: the first episodes are the filled uniform plan and the sensitivity plan (the best one by the
            groups' reconstruction errors alone); else ``random_episodes`` episodes of random changes.
        model: proposals are screened by the loss model; else the first one that is new is taken.
        prior_weight: see :class:`AdditiveLoss`.
        residuals: whether the model learns which decisions matter together.
        actor: share of episodes that start from the actor's own plan instead of one of the best so far.
        restarts: share of episodes that start from a random plan within the budget.
        elites: mean rank of the plan that the other episodes start from; 0 is always the best.
        optimism: how many standard deviations of the model a proposal is forgiven, on average.
        rows, rounds, most: changes tried at once, how often, and groups that one changes at most.
        random_episodes: without a warm start.
        on_policy: share of episodes that the algorithm's own actions decide, with its own noise and no plan.
    """

    warm_start: bool = True
    model: bool = True
    prior_weight: float = PRIOR_WEIGHT
    residuals: bool = True
    actor: float = 0.2
    restarts: float = 0.15
    elites: float = 5.0
    optimism: float = 1.0
    rows: int = 400
    rounds: int = 6
    most: int = 4
    random_episodes: int = 10
    on_policy: float = 0.0

    def __post_init__(self) -> None:
        shares = (self.actor, self.restarts, self.on_policy)
        if not all(0 <= share <= 1 for share in shares):
            raise ConfigError(f"Shares of episodes lie between 0 and 1; {shares} came for actor, restarts, on_policy.")
        if min(self.elites, self.optimism) < 0 or self.prior_weight <= 0:
            raise ConfigError("Exploration needs elites and optimism of at least 0, and a prior weight over 0.")
        if min(self.rows, self.rounds, self.most) < 1 or self.random_episodes < 0:
            raise ConfigError("Exploration needs at least one row, one round and one group to change.")

    @property
    def warmup(self) -> int:
        """Episodes before anything learned decides, where there is one budget."""
        return 2 if self.warm_start else 1 + self.random_episodes


class Explorer:
    """Chooses the plan of every episode of a search.

    An episode starts from a plan, the actor's or one of the best so far, and goes downhill in what the
    :class:`LossModel` expects, some of its uncertainty forgiven (optimism, drawn anew each time). It ends in a plan
    that is new. The model is of the loss, which means the same at every budget: what was tried at one teaches for all.

    Args:
        problems: the same network at one or several budgets.
        settings: see :class:`Exploration`.
        seed: of everything that is drawn.

    Attributes:
        policy: the actor's plans, where there is an actor.
        demonstrations: all episodes so far.
    """

    def __init__(self, problems: Sequence[PruningProblem], settings: Exploration, seed: int) -> None:
        self.problems = list(problems)
        self.policy: PolicyPlan | None = None
        self.demonstrations = Demonstrations()
        self._settings = settings
        self._random = np.random.default_rng(seed)
        self._near = [Neighbourhood(problem, self._random, settings.rows, settings.most) for problem in self.problems]
        self._model = LossModel(self.problems[0], settings.prior_weight, settings.residuals)
        self._losses: dict[tuple[int, ...], float] = {}
        self._stale = False
        self._begun = [0] * len(self.problems)
        self._round = 0

    def learn(self, at: int, episode: RunningEpisode, outcome: Outcome) -> None:
        """Take in how an episode at one of the budgets ended."""
        if outcome.defined:
            self._losses[tuple(outcome.levels.tolist())] = outcome.loss
            self._stale = True
            self.demonstrations.add(np.stack(episode.seen), np.stack(episode.done), outcome.reward, at)

    def choose(self, count: int) -> list[Course]:
        """Problems and plans of the next ``count`` episodes; the problems are taken in turn."""
        pending: set[tuple[int, ...]] = set()
        courses: list[Course] = []
        for _ in range(count):
            at = self._round % len(self.problems)
            self._round += 1
            plan = self._plan(at, pending)
            courses.append((at, plan))
            if plan is not None:
                pending.add(tuple(plan.tolist()))
        return courses

    def _plan(self, at: int, pending: set[tuple[int, ...]]) -> IntArray | None:
        number = self._begun[at]
        self._begun[at] += 1
        if number == 0:
            return self.problems[at].planner.filled
        if number >= self._settings.warmup and self._random.random() < self._settings.on_policy:
            return None
        known = self._losses.keys() | pending
        start, worth = self._start(at, number), self._worth(number)
        found = climb(start, self._near[at], worth, known, self._settings.rounds)
        if found is None:  # all around it is known
            found = climb(self._random_plan(self.problems[at]), self._near[at], worth, known, self._settings.rounds)
        return start if found is None else found

    def _start(self, at: int, number: int) -> IntArray:
        problem = self.problems[at]
        if number < self._settings.warmup or not self._losses:
            return problem.planner.filled
        if self._random.random() < self._settings.restarts:
            return self._random_plan(problem)
        if self.policy is not None and self._random.random() < self._settings.actor:
            return self.policy(at)
        return self._elite(problem)

    def _elite(self, problem: PruningProblem) -> IntArray:
        """A plan among the best that meet this budget and make use of it, or else the filled plan."""
        plans, losses = self._table()
        used = problem.planner.usage(plans)
        fitting = np.flatnonzero((used <= 1.0) & (used >= problem.planner.target))
        if not len(fitting):
            return problem.planner.filled
        rank = min(int(self._random.exponential(self._settings.elites)), len(fitting) - 1)
        return np.asarray(plans[fitting[np.argsort(losses[fitting], kind="stable")[rank]]])

    def _random_plan(self, problem: PruningProblem) -> IntArray:
        walk = problem.planner.start()
        while not walk.done:
            walk.decide(int(self._random.choice(walk.options())))
        return walk.levels

    def _table(self) -> tuple[IntArray, FloatArray]:
        return np.array(list(self._losses), dtype=np.int64), np.array(list(self._losses.values()))

    def _worth(self, number: int) -> Callable[[IntArray], FloatArray]:
        """What is made small while going downhill."""
        if not self._settings.model or (number < self._settings.warmup and not self._settings.warm_start):
            return lambda plans: self._random.random(len(plans))
        if self._stale:
            self._model.fit(*self._table())
            self._stale = False
        optimism = self._settings.optimism * abs(self._random.normal())

        def worth(plans: IntArray) -> FloatArray:
            expected, spread = self._model.predict(plans)
            return expected - optimism * spread

        return worth
