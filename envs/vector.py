"""Several episodes at once over one network, one evaluator and one cache, as a vector environment of SB3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv

from rlprune.arrays import IntArray
from rlprune.envs.actions import action_space
from rlprune.envs.episode import RunningEpisode, summary
from rlprune.envs.observations import Observer
from rlprune.envs.slots import observation_space
from rlprune.evaluation.problem import Outcome, PruningProblem

Course = tuple[int, IntArray | None]
"""An episode to come: which of the problems, and a plan to follow, if any."""


class Director(Protocol):
    """Who decides what the walks do, and learns how they ended."""

    def choose(self, count: int) -> Sequence[Course]:
        """What each of ``count`` walks does next."""
        ...

    def learn(self, at: int, episode: RunningEpisode, outcome: Outcome) -> None:
        """Take in how an episode of one of the problems ended."""
        ...


class PruningVecEnv(VecEnv):
    """``count`` walks that step together and end together; their plans are then evaluated as one batch.

    Spaces, rewards and ``info`` are those of :class:`rlprune.envs.LayerPruningEnv`. The problems differ in their
    budgets only. After the last of ``episodes`` episodes, walks that are left over in a round are not evaluated, and
    their ``info`` holds no outcome.

    Args:
        problems: the same network at one or several budgets, with one evaluator.
        count: walks at once.
        episodes: after which nothing is evaluated any more.
        director: told every outcome of a round before it is asked for the next. Where None is given, the walks take the
            problems in turn and follow no plan.

    Raises:
        RewardError: from the step that ends a round; see :meth:`rlprune.evaluation.problem.PruningProblem.outcome`.
    """

    def __init__(
        self, problems: Sequence[PruningProblem], count: int, episodes: int, director: Director | None = None
    ) -> None:
        kinds = problems[0].space.kinds
        super().__init__(count, observation_space(kinds), action_space(kinds))
        self.problems = list(problems)
        self._observers = [Observer(problem) for problem in self.problems]
        self._director = director
        self._left = episodes
        self._lowest = 0.0
        self._walks: list[RunningEpisode] = []
        self._actions: npt.NDArray[Any] = np.zeros((count, len(kinds)), dtype=np.float32)

    def _in_turn(self, count: int) -> list[Course]:
        return [((place - self._left) % len(self.problems), None) for place in range(count)]

    def _start(self) -> npt.NDArray[Any]:
        ask = self._in_turn if self._director is None or self._left == 0 else self._director.choose
        courses = ask(self.num_envs)
        self._places = [at for at, _ in courses]
        self._walks = [RunningEpisode(self.problems[at], self._observers[at], plan) for at, plan in courses]
        return self._observations()

    def _observations(self) -> npt.NDArray[Any]:
        return np.stack([walk.observation for walk in self._walks])

    def reset(self) -> npt.NDArray[Any]:
        """Start a round; ``[count, slots]``."""
        return self._start()

    def planned_actions(self) -> list[npt.NDArray[np.float32] | None]:
        """For each walk, what the plan that it follows asks for now; None where it follows none."""
        return [walk.next_action() for walk in self._walks]

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Take the actions, ``[count, entries]``."""
        self._actions = actions

    def step_wait(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], list[dict[str, Any]]]:
        """Decide one unit of every walk; after the last, evaluate and start anew."""
        infos = [walk.decide(action) for walk, action in zip(self._walks, self._actions, strict=True)]
        observations = self._observations()
        rewards = np.zeros(self.num_envs, dtype=np.float32)
        done = self._walks[0].walk.done
        if done:
            for place, outcome in enumerate(self._outcomes()):
                rewards[place] = self._reward(outcome)
                infos[place] |= {"terminal_observation": observations[place], "TimeLimit.truncated": False}
                if place < self._left:
                    infos[place] |= summary(outcome, self._walks[place].problem)
                    if self._director is not None:
                        self._director.learn(self._places[place], self._walks[place], outcome)
            self._left = max(self._left - self.num_envs, 0)
            observations = self._start()
        return observations, rewards, np.full(self.num_envs, done), infos

    def _outcomes(self) -> list[Outcome]:
        """Outcomes of all walks: one call of the evaluator, then each problem's own reward."""
        wanted, spare = self._walks[: self._left], self._walks[self._left :]
        qualities = self.problems[0].evaluator.many([walk.walk.levels for walk in wanted])
        found = [walk.problem.judged(walk.walk.levels, q) for walk, q in zip(wanted, qualities, strict=True)]
        return found + [walk.problem.filled for walk in spare]

    def _reward(self, outcome: Outcome) -> float:
        """A plan without a reward earns the lowest that there was: algorithms without ranks feel the scale."""
        if not outcome.defined:
            return self._lowest
        self._lowest = min(self._lowest, outcome.reward)
        return outcome.reward

    def close(self) -> None:
        """Nothing to close: whoever made the evaluator closes it."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The attribute of this object, once for each walk."""
        return [getattr(self, attr_name, None) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute that all walks share."""
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Call a method of this object, once for each walk."""
        method = getattr(self, method_name)
        return [method(*method_args, **method_kwargs) for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Nothing is wrapped."""
        return [False for _ in self._get_indices(indices)]
