"""DDPG whose exploration is screened by its critic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3 import DDPG
from stable_baselines3.common.noise import ActionNoise
from torch.nn import functional

from rlprune.agents.returns import EpisodeReturnBuffer
from rlprune.envs import LayerPruningEnv
from rlprune.errors import ConfigError

Actions = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Exploration:
    """How :class:`ScreenedDDPG` explores.

    Attributes:
        warmup: share of all episodes that are random around the uniform plan before the actor decides, at most
            ``warmup_most`` of them; the very first is the uniform plan itself.
        warmup_noise: standard deviation of their actions.
        candidates: noisy actions the critic chooses from at each step; 1 is plain exploration.
        temperature: spread of the Gumbel noise on the critic's values, which are ranks in [-1, 1]; 0 takes the best.
        noise, final_noise: standard deviation around the centre, falling geometrically over the search.
        elite: share of episodes that explore around the best plan so far instead of around the actor.
        fresh: whether the last step of an episode avoids plans that were evaluated before, and an episode that repeated
            one is followed by one of random actions around its centre.
    """

    warmup: float = 0.1
    warmup_most: int = 20
    warmup_noise: float = 0.5
    candidates: int = 32
    temperature: float = 0.2
    noise: float = 0.4
    final_noise: float = 0.3
    elite: float = 0.8
    fresh: bool = True

    def __post_init__(self) -> None:
        if self.candidates < 1:
            raise ConfigError(f"Exploration needs at least 1 candidate; {self.candidates} came.")
        if not 0 < self.final_noise <= self.noise:
            raise ConfigError(f"Noise must fall: 0 < final_noise <= noise; {self.final_noise} and {self.noise} came.")
        if not (0 <= self.elite <= 1 and 0 <= self.warmup <= 1 and self.temperature >= 0):
            raise ConfigError("Exploration needs elite and warmup in [0, 1] and a temperature of at least 0.")

    def warmup_episodes(self, episodes: int) -> int:
        """Random episodes of a search, the uniform one included."""
        return 1 + min(int(self.warmup * episodes), self.warmup_most)

    def sigma(self, episode: int, episodes: int) -> float:
        """Standard deviation of the noise in an episode after the warm-up, counted from 0."""
        first = self.warmup_episodes(episodes)
        share = (episode - first) / max(episodes - first - 1, 1)
        return float(self.noise * (self.final_noise / self.noise) ** min(max(share, 0.0), 1.0))


class ScreenedDDPG(DDPG):
    """DDPG (Lillicrap et al., ICLR 2016) for short searches over episodes with one reward.

    An actor that climbs its critic settles after a few dozen episodes, far too early, and repeats one plan. So each
    episode explores around a centre, the actor's action or that of the best plan so far; at each step the critic
    chooses among noisy candidates around it, and the last step avoids plans that are known already.

    With :class:`EpisodeReturnBuffer` every transition is final: no target network is needed, and an update is one
    regression step of the critic and one ascent step of the actor.

    Args:
        exploration: see :class:`Exploration`.
        episodes: length of the search.
        episode_length: steps of an episode.
        pruning_env: the environment itself, asked which plans are known.
        exploration_seed: of the exploration.
    """

    replay_buffer: EpisodeReturnBuffer

    def __init__(
        self,
        *args: Any,
        exploration: Exploration,
        episodes: int,
        episode_length: int,
        pruning_env: LayerPruningEnv,
        exploration_seed: int,
        **kwargs: Any,
    ) -> None:
        self.exploration = exploration
        self.episodes, self.episode_length = episodes, episode_length
        self._pruning_env = pruning_env
        self._random = np.random.default_rng(exploration_seed)
        self._elite: Actions | None = None
        self._evaluations, self._bold = -1, False
        super().__init__(*args, **kwargs)

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[Actions, Actions]:
        episode, step = divmod(self.num_timesteps, self.episode_length)
        entries = cast(tuple[int, ...], self.action_space.shape)[0]
        if episode == 0:
            action = np.zeros((1, entries), dtype=np.float32)
        elif episode < self.exploration.warmup_episodes(self.episodes):
            noise = self._random.normal(0, self.exploration.warmup_noise, (1, entries))
            action = noise.clip(-1, 1).astype(np.float32)
        else:
            action = self._explore(episode, step)
        return action, action

    def _explore(self, episode: int, step: int) -> Actions:
        if step == 0:
            evaluations = self._pruning_env.problem.evaluations
            self._bold = self.exploration.fresh and evaluations == self._evaluations
            self._evaluations = evaluations
            follow = self._random.random() < self.exploration.elite
            self._elite = self.replay_buffer.best_actions() if follow else None
        with torch.inference_mode():
            observation = torch.as_tensor(self._last_obs)
            centre = self.actor(observation).numpy() if self._elite is None else self._elite[step][None]
            sigma = self.exploration.warmup_noise if self._bold else self.exploration.sigma(episode, self.episodes)
            actions = self._candidates(centre, sigma)
            if self.exploration.fresh and step == self.episode_length - 1:
                actions = self._unknown(actions)
            value = self.critic.q1_forward(observation.expand(len(actions), -1), torch.from_numpy(actions))
        if self._bold:
            return actions[:1]
        luck = self.exploration.temperature * self._random.gumbel(size=len(actions))
        return np.asarray(actions[np.argmax(value[:, 0].numpy() + luck)][None])

    def _candidates(self, centre: Actions, sigma: float) -> Actions:
        noise = self._random.normal(0, sigma, (self.exploration.candidates, centre.shape[1]))
        return np.asarray((centre + noise).clip(-1, 1), dtype=np.float32)

    def _unknown(self, actions: Actions) -> Actions:
        """Those that end in a plan that was not evaluated yet; all where there is none."""
        fresh = [action for action in actions if not self._pruning_env.repeats(action)]
        return np.stack(fresh) if fresh else actions

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Regress the critic on returns and climb it with the actor, ``gradient_steps`` times."""
        if self.num_timesteps < self.exploration.warmup_episodes(self.episodes) * self.episode_length:
            return
        self.policy.set_training_mode(True)
        for _ in range(gradient_steps):
            batch = self.replay_buffer.sample(batch_size)
            critic_loss = functional.mse_loss(self.critic.q1_forward(batch.observations, batch.actions), batch.rewards)
            _step(self.critic.optimizer, critic_loss)
            actor_loss = -self.critic.q1_forward(batch.observations, self.actor(batch.observations)).mean()
            _step(self.actor.optimizer, actor_loss)
            self._n_updates += 1
        self.policy.set_training_mode(False)
        self.logger.record("train/critic_loss", float(critic_loss.detach()))
        self.logger.record("train/actor_loss", float(actor_loss.detach()))


def _step(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """Clear the gradients, compute them anew, and take one step."""
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
