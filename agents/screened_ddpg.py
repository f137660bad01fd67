"""DDPG whose exploration is screened by its critic."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3 import DDPG
from stable_baselines3.common.noise import ActionNoise
from torch.nn import functional

from rlprune.agents.returns import EpisodeReturnBuffer


class ScreenedDDPG(DDPG):
    """DDPG (Lillicrap et al., ICLR 2016) for short searches over episodes with one reward.

    - *Screening*: around the actor's action, ``candidates`` noisy ones are drawn, and the critic's favourite is
      executed; with one candidate this is plain exploration.
    - *Noise* falls geometrically from ``noise`` to ``final_noise`` over the episodes after the warm-up.
    - *Warm-up*: the first episode is the neutral action (the uniform plan), the next ``warmup`` ones are random.
    - *Targets*: with :class:`EpisodeReturnBuffer` every transition is final, so no target network is needed and an
      update is a regression of the critic and one ascent step of the actor.

    Args:
        candidates: actions the critic compares at each step.
        noise, final_noise: standard deviation of exploration at its start and end.
        warmup: random episodes before the actor decides.
        episodes: length of the search, over which the noise falls.
        episode_length: steps of an episode.
        noise_seed: of the exploration.
    """

    replay_buffer: EpisodeReturnBuffer

    def __init__(
        self,
        *args: Any,
        candidates: int,
        noise: float,
        final_noise: float,
        warmup: int,
        episodes: int,
        episode_length: int,
        noise_seed: int,
        caution: float,
        adaptive: bool,
        still: float,
        top: int,
        warm: float,
        tau: float,
        up: float,
        down: float,
        elite: float,
        **kwargs: Any,
    ) -> None:
        self.candidates = candidates
        self.noise, self.final_noise = noise, final_noise
        self.warmup, self.episodes, self.episode_length = warmup, episodes, episode_length
        self._random = np.random.default_rng(noise_seed)
        self.caution, self.elite = caution, elite
        self._tau, self.up, self.down = tau, up, down
        self.warm = warm
        self.still, self.top = still, top
        self.adaptive, self._adapted, self._head = adaptive, noise, 0
        self._follow = False
        super().__init__(*args, **kwargs)

    def _sigma(self, episode: int) -> float:
        if self.adaptive:
            return self._adapted
        share = (episode - self.warmup - 1) / max(self.episodes - self.warmup - 2, 1)
        return float(self.noise * (self.final_noise / self.noise) ** min(max(share, 0.0), 1.0))

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        episode = self.num_timesteps // self.episode_length
        shape = (1, self.action_space.shape[0]) if self.action_space.shape else (1, 1)
        if episode == 0:
            action = np.zeros(shape, dtype=np.float32)
        elif episode <= self.warmup:
            action = self._random.normal(0, self.warm, shape).clip(-1, 1).astype(np.float32)
        else:
            action = self._screened(self._sigma(episode))
        return action, action

    def _screened(self, sigma: float) -> npt.NDArray[np.float32]:
        """The critic's favourite among the actor's action and noisy versions of it, ``[1, entries]``."""
        with torch.inference_mode():
            observation = torch.as_tensor(self._last_obs)
            centre = self.actor(observation)
            step = self.num_timesteps % self.episode_length
            if step == 0:
                self._follow = self._random.random() < self.elite
                self._pick = int(self._random.integers(self.top))
            if self._follow:
                centre = torch.from_numpy(self.replay_buffer.best_episode(self._pick)[step][None])
            if self._random.random() < self.still:
                sigma = 0.02
            noise = self._random.normal(0, sigma, (self.candidates, centre.shape[1])).astype(np.float32)
            actions = (centre + torch.from_numpy(noise)).clamp(-1, 1)
            if self.candidates == 1:
                return actions.numpy()
            if step == 0:
                self._head = int(self._random.integers(len(self.critic.q_networks)))
            features = torch.cat([observation.expand(self.candidates, -1), actions], dim=1)
            values = self.critic.q_networks[self._head](features)
            values = values + self._tau * torch.from_numpy(self._random.gumbel(size=(self.candidates, 1)).astype(np.float32))
            return actions[values.argmax()][None].numpy()

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Regress the critic on returns and climb it with the actor, ``gradient_steps`` times."""
        if self.replay_buffer.finished:
            if self.replay_buffer.repeated():
                self._adapted = min(self._adapted * 1.15, 1.0)
                self._tau = min(self._tau * self.up, 1.0)
            else:
                self._adapted = max(self._adapted * 0.97, self.final_noise)
                self._tau = max(self._tau * self.down, 0.01)
        if self.replay_buffer.finished == 0 or self.num_timesteps <= self.warmup * self.episode_length:
            return
        self.policy.set_training_mode(True)
        for _ in range(gradient_steps):
            batch = self.replay_buffer.sample(batch_size)
            values = self.critic(batch.observations, batch.actions)
            if len(values) > 1:
                masks = self.replay_buffer.masks(len(values))
                critic_loss = sum((m * (v - batch.rewards).square()).mean() for m, v in zip(masks, values))
            else:
                critic_loss = functional.mse_loss(values[0], batch.rewards)
            self.critic.optimizer.zero_grad()
            critic_loss.backward()
            self.critic.optimizer.step()
            chosen = self.actor(batch.observations)
            actor_loss = -torch.stack(self.critic(batch.observations, chosen)).mean() + self.caution * chosen.square().mean()
            self.actor.optimizer.zero_grad()
            actor_loss.backward()
            self.actor.optimizer.step()
            self._n_updates += 1
        self.policy.set_training_mode(False)
        self.logger.record("train/critic_loss", float(critic_loss.detach()))
        self.logger.record("train/actor_loss", float(actor_loss.detach()))
