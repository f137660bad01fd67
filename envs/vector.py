"""Several episodes at once over one network, one evaluator and one cache, as a vector environment of SB3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv

from rlprune.envs.actions import Meaning, action_space
from rlprune.envs.episode import Episode, starter, summary
from rlprune.envs.slots import observation_space
from rlprune.evaluation.problem import Outcome, PruningProblem


class TogetherVecEnv(VecEnv):
    """Walks that one object steps together: what SB3 asks of each of them is asked of the object."""

    def close(self) -> None:
        """Nothing to close."""

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
        """False for every walk: none is wrapped."""
        return [False for _ in self._get_indices(indices)]


class PruningVecEnv(TogetherVecEnv):
    """``count`` walks that step together and end together; their plans are then evaluated as one batch.

    Spaces, rewards and ``info`` are those of :class:`rlprune.envs.LayerPruningEnv`. The problems differ in their
    budgets only. After the last of ``episodes`` episodes, walks that are left over in a round are not evaluated, and
    their ``info`` holds no outcome.

    Args:
        problems: the same network at one or several budgets, with one evaluator.
        count: walks at once.
        episodes: after which nothing is evaluated any more.
        meaning: of the actions, see :mod:`rlprune.envs.actions`.

    Raises:
        RewardError: from the step that ends a round; see :meth:`rlprune.evaluation.problem.PruningProblem.outcome`.
    """

    def __init__(
        self, problems: Sequence[PruningProblem], count: int, episodes: int, meaning: Meaning = "ratio"
    ) -> None:
        kinds = problems[0].space.kinds
        super().__init__(count, observation_space(kinds, meaning), action_space(kinds))
        self.problems = list(problems)
        self._begin = [starter(problem, meaning) for problem in self.problems]
        self._left = episodes
        self._lowest = 0.0
        self._walks: list[Episode] = []
        self._actions: npt.NDArray[Any] = np.zeros((count, len(kinds)), dtype=np.float32)

    def _start(self) -> npt.NDArray[Any]:
        self._walks = [self._begin[(place - self._left) % len(self._begin)]() for place in range(self.num_envs)]
        return self._observations()

    def _observations(self) -> npt.NDArray[Any]:
        return np.stack([walk.observation for walk in self._walks])

    def reset(self) -> npt.NDArray[Any]:
        """Start a round; ``[count, slots]``."""
        return self._start()

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Take the actions, ``[count, entries]``."""
        self._actions = actions

    def step_wait(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], list[dict[str, Any]]]:
        """Decide one unit of every walk; after the last, evaluate and start anew."""
        infos = [walk.decide(action) for walk, action in zip(self._walks, self._actions, strict=True)]
        observations = self._observations()
        rewards = np.zeros(self.num_envs, dtype=np.float32)
        done = self._walks[0].done
        if done:
            for place, outcome in enumerate(self._outcomes()):
                rewards[place] = self._reward(outcome)
                infos[place] |= {"terminal_observation": observations[place], "TimeLimit.truncated": False}
                if place < self._left:
                    infos[place] |= summary(outcome, self._walks[place].problem)
                    infos[place]["episode"] = {"r": outcome.reward, "l": self._walks[place].at, "t": 0.0}
            self._left = max(self._left - self.num_envs, 0)
            observations = self._start()
        return observations, rewards, np.full(self.num_envs, done), infos

    def _outcomes(self) -> list[Outcome]:
        """Outcomes of all walks: one call of the evaluator, then each problem's own reward."""
        wanted, spare = self._walks[: self._left], self._walks[self._left :]
        qualities = self.problems[0].evaluator.many([walk.levels for walk in wanted])
        found = [walk.problem.judged(walk.levels, q) for walk, q in zip(wanted, qualities, strict=True)]
        return found + [walk.problem.filled for walk in spare]

    def _reward(self, outcome: Outcome) -> float:
        """A plan without a reward earns the lowest that there was: algorithms without ranks feel the scale."""
        if not outcome.defined:
            return self._lowest
        self._lowest = min(self._lowest, outcome.reward)
        return outcome.reward
