"""The plans that an actor of SB3 makes, without evaluating them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy.typing as npt
from stable_baselines3.common.base_class import BaseAlgorithm

from rlprune.arrays import IntArray
from rlprune.envs.episode import plan_of
from rlprune.envs.observations import Observation, Observer
from rlprune.evaluation.problem import PruningProblem


def actor_plans(model: BaseAlgorithm, problems: Sequence[PruningProblem]) -> Callable[[int], IntArray]:
    """From the number of a problem to the actor's plan for it as it stands, ``[G]``."""
    observers = [Observer(problem) for problem in problems]

    def act(observation: Observation) -> npt.ArrayLike:
        return model.predict(observation, deterministic=True)[0]

    return lambda at: plan_of(act, problems[at], observers[at])
