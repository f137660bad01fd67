"""PPO (Schulman et al., 2017), as SB3 implements it, learning from its own episodes and from proposed plans."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from rlprune.agents.exploration import Exploration
from rlprune.agents.learning import LearningSearcher, linears_of
from rlprune.agents.policy import Policy
from rlprune.choices.choice import Kind
from rlprune.envs.vector import PruningVecEnv
from rlprune.errors import ConfigError

ON_POLICY = 0.25


@dataclass(frozen=True)
class PPOSettings:
    """Settings of :class:`PPOSearcher`.

    Attributes:
        hidden: units of each hidden layer of actor and critic.
        learning_rate: of both (Adam).
        episodes_per_update: episodes collected before each update.
        epochs: passes over them.
        log_std: logarithm of the initial standard deviation of actions.
        imitation: steps after the last episode in which the policy that is kept learns from the best episodes (see
            :func:`rlprune.agents.imitation.imitate`).
        planned: whether whole plans are explored beside the policy's own episodes.
        envs: episodes that run at once.
        exploration: where the plans come from; ``on_policy`` is the share of the policy's own episodes.
    """

    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 1e-3
    episodes_per_update: int = 16
    epochs: int = 4
    log_std: float = -0.7
    imitation: int = 250
    planned: bool = True
    envs: int = 4
    exploration: Exploration = field(default_factory=lambda: replace(Exploration(), on_policy=ON_POLICY))

    def __post_init__(self) -> None:
        if min(self.episodes_per_update, self.epochs, self.envs) < 1 or self.learning_rate <= 0:
            raise ConfigError("PPO needs at least 1 episode, epoch and environment, and a positive learning rate.")


class PlannedPolicy(ActorCriticPolicy):
    """Acts as the plans say that the environment's walks follow, and as itself where there are none.

    The advantage of a planned action then raises or lowers its probability as that of a sampled one does: imitation
    weighted by advantage (Oh et al., "Self-Imitation Learning", ICML 2018). The ratio of PPO is taken to the policy
    that collected the round, as always.
    """

    planned_env: PruningVecEnv | None = None

    def forward(
        self, obs: torch.Tensor, deterministic: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Actions, values and log probabilities for a batch of observations."""
        actions, values, log_probability = super().forward(obs, deterministic)
        planned = [] if self.planned_env is None else self.planned_env.planned_actions()
        if all(action is None for action in planned):
            return actions, values, log_probability
        for place, action in enumerate(planned):
            if action is not None:
                actions[place] = torch.from_numpy(action)
        return actions, values, self.get_distribution(obs).log_prob(actions)


class PPOSearcher(LearningSearcher):
    """Learns a policy by PPO while it searches. Returns are undiscounted: each action shares in the final reward."""

    name = "ppo"

    def __init__(self, settings: PPOSettings | None = None) -> None:
        self.settings: PPOSettings = settings or PPOSettings()

    def _model(self, env: PruningVecEnv, episodes: int, seed: int) -> PPO:
        settings, length = self.settings, len(env.problems[0].space.units)
        rounds = max(min(settings.episodes_per_update, max(episodes, 2)) // settings.envs, 1)
        steps = max(rounds * length, 2)
        model = PPO(
            PlannedPolicy,
            env,
            learning_rate=settings.learning_rate,
            n_steps=steps,
            batch_size=steps * settings.envs,
            n_epochs=settings.epochs,
            gamma=1.0,
            gae_lambda=1.0,
            policy_kwargs={
                "net_arch": {"pi": list(settings.hidden), "vf": list(settings.hidden)},
                "activation_fn": nn.Tanh,
                "log_std_init": settings.log_std,
            },
            seed=seed,
            device="cpu",
        )
        policy: Any = model.policy
        policy.planned_env = env
        return model

    def _policy(self, model: BaseAlgorithm, kinds: tuple[Kind, ...]) -> Policy:
        policy: Any = model.policy
        actor = linears_of(policy.mlp_extractor.policy_net, policy.action_net)
        return Policy.from_layers(self.name, actor, "tanh", squash=False, kinds=kinds)
