"""Imagined episodes: an agent learns on what the loss model expects, thousands of times for each plan that is run.

Dyna (Sutton 1991) and MBPO (Janner et al. 2019, arXiv:1906.08253) with a model of the end of an episode: prices make
plans exactly, so only the loss of a whole plan is imagined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlprune.arrays import FloatArray, IntArray
from rlprune.envs.actions import action_space
from rlprune.envs.pricing import Pricing
from rlprune.envs.slots import observation_space
from rlprune.envs.vector import TogetherVecEnv

Expected = Callable[[IntArray], FloatArray]
"""From plans ``[N, K]`` to the logarithm of the loss that counts, ``[N]``."""


class ImaginedVecEnv(TogetherVecEnv):
    """Walks that price units together; their plans are judged by a model, in a few array operations for all of them.

    The return of an episode is by how much less is expected to be lost than by the reference plan, in logarithms. With
    ``shaped`` each price is rewarded at once with what it changes of that (a potential-based shaping, Ng et al., ICML
    1999, whose potential is the worth of the plan with the rest at price 0); else the last one is rewarded with all.

    Args:
        pricings: of the same network at one or several budgets, which the walks take in turn.
        count: walks at once, at least as many as there are pricings.
        expected: see :data:`Expected`; asked anew in every episode, so that what is known may grow.
    """

    def __init__(self, pricings: Sequence[Pricing], count: int, expected: Expected, shaped: bool = True) -> None:
        kinds = pricings[0].problem.space.kinds
        super().__init__(count, observation_space(kinds, "price"), action_space(kinds))
        self._pricings, self._expected, self._shaped = list(pricings), expected, shaped
        self._rows = np.array_split(np.arange(count), len(pricings))
        self._asked: npt.NDArray[Any] = np.zeros((count, len(kinds)))
        self.reset()

    def reset(self) -> npt.NDArray[Any]:
        """Start a round of episodes; ``[count, slots]``."""
        self._at = 0
        self._prices = np.zeros((self.num_envs, self._pricings[0].length, self._asked.shape[1]), dtype=np.float32)
        self._reference = np.repeat(
            self._expected(np.stack([pricing.reference for pricing in self._pricings])), [len(r) for r in self._rows]
        )
        self._worth = np.zeros(self.num_envs)
        return self._observations()

    def _observations(self) -> npt.NDArray[Any]:
        previous = self._prices[:, max(self._at - 1, 0)]
        parts = [
            pricing.observations(self._at, previous[rows])
            for pricing, rows in zip(self._pricings, self._rows, strict=True)
        ]
        return np.concatenate(parts)

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Take the actions, ``[count, kinds]``."""
        self._asked = actions

    def step_wait(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], list[dict[str, Any]]]:
        """Price one unit of every walk; after the last one, start anew."""
        self._prices[:, self._at] = self._pricings[0].executed(self._at, self._asked)
        self._at += 1
        done = self._at == self._prices.shape[1]
        rewards = np.zeros(self.num_envs, dtype=np.float32)
        if self._shaped or done:
            worth = self._reference - self._expected(self._plans())
            rewards[:], self._worth = worth - self._worth, worth
        observations = self._observations()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done:
            for info, last, total in zip(infos, observations, self._worth.tolist(), strict=True):
                info |= {"terminal_observation": last, "TimeLimit.truncated": False}
                info["episode"] = {"r": total, "l": self._at, "t": 0.0}
            observations = self.reset()
        return observations, rewards, np.full(self.num_envs, done), infos

    def _plans(self) -> IntArray:
        return np.concatenate(
            [pricing.plans(self._prices[rows]) for pricing, rows in zip(self._pricings, self._rows, strict=True)]
        )
