"""A replay buffer for episodes that are rewarded once, at the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize


class EpisodeReturnBuffer(ReplayBuffer):
    """Gives every transition its whole episode's return, as a rank, and nothing to bootstrap from.

    Three changes to SB3's buffer, each worth it in a search of a few hundred episodes:

    - the reward of each transition is the return of its episode and every transition is final, so that the critic
      regresses on what was measured instead of passing one sparse reward back through as many updates as groups;
    - the action stored is the one that was executed (``info["executed_action"]``), not the one the budget overruled;
    - returns are sampled as ranks in [-1, 1] among the episodes so far: the scale of rewards does not matter, and a
      few very bad plans do not flatten the differences between good ones. Equal returns share a rank.

    Episodes of several environments are stored one after the other; one without an ``info["outcome"]`` is left out.

    Args:
        buffer_size: transitions kept; all episodes of a search should fit.
        episode_length: steps of every episode.
        seed: of the sampling.
        ranks: whether returns are sampled as ranks.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        device: torch.device | str = "cpu",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = False,
        *,
        episode_length: int,
        seed: int,
        ranks: bool = True,
    ) -> None:
        whole_episodes = max(buffer_size // episode_length, 1) * episode_length
        super().__init__(whole_episodes, observation_space, action_space, device, 1, False, False)
        self.episode_length = episode_length
        self.ranks = ranks
        self._random = np.random.default_rng(seed)
        self._targets = np.zeros(whole_episodes, dtype=np.float32)
        self._finished = 0
        self._steps: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]] = []

    def add(
        self,
        obs: npt.NDArray[Any],
        next_obs: npt.NDArray[Any],
        action: npt.NDArray[Any],
        reward: npt.NDArray[Any],
        done: npt.NDArray[Any],
        infos: list[dict[str, Any]],
    ) -> None:
        """Add one step of every environment, ``[environments, ...]``; they end their episodes together."""
        self._steps.append((obs.copy(), np.stack([info["executed_action"] for info in infos])))
        if not done[0]:
            return
        observations, actions = (np.stack(part, axis=1) for part in zip(*self._steps, strict=True))
        self._steps = []
        for place, info in enumerate(infos):
            if "outcome" in info:
                self.add_episode(observations[place], actions[place], float(reward[place]))

    def add_episode(self, observations: npt.NDArray[Any], actions: npt.NDArray[Any], episode_return: float) -> None:
        """Add a whole episode: observations ``[episode_length, slots]``, actions ``[episode_length, entries]``."""
        rows = slice(self.pos, self.pos + self.episode_length)
        self.observations[rows, 0] = observations
        self.next_observations[rows, 0] = observations
        self.actions[rows, 0] = actions
        self.rewards[rows, 0] = episode_return
        self.dones[rows, 0] = 1.0
        self.pos += self.episode_length
        self.full = self.full or self.pos == self.buffer_size
        self._finished = self.buffer_size if self.full else self.pos
        self.pos %= self.buffer_size
        self._update_targets()

    def _update_targets(self) -> None:
        returns = self.rewards[: self._finished : self.episode_length, 0]
        if self.ranks:
            distinct, place = np.unique(returns, return_inverse=True)
            returns = 2 * place / max(len(distinct) - 1, 1) - 1
        self._targets[: self._finished] = np.repeat(returns, self.episode_length)

    @property
    def finished(self) -> int:
        """Transitions of finished episodes, the only ones that are sampled."""
        return self._finished

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> ReplayBufferSamples:
        """Draw transitions of finished episodes, with replacement."""
        return self._get_samples(self._random.integers(0, self._finished, size=batch_size), env)

    def _get_samples(self, batch_inds: npt.NDArray[Any], env: VecNormalize | None = None) -> ReplayBufferSamples:
        samples = super()._get_samples(batch_inds, env)
        return samples._replace(rewards=self.to_torch(self._targets[batch_inds, None]))
