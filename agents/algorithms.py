"""The algorithms of stable-baselines3 that can be asked for: unmodified, with settings. A new one is one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from rlprune.agents.policy import Policy
from rlprune.choices.choice import Kind
from rlprune.envs.actions import Meaning
from rlprune.errors import ConfigError

NOISE = 0.3
"""Standard deviation of the noise on actions of algorithms that have none of their own."""
BUFFER = 100_000
UPDATES = 4
"""Gradient steps of off-policy algorithms after each step of all walks."""


@dataclass(frozen=True)
class Algorithm:
    """An algorithm of SB3, and how it is set.

    Attributes:
        path: ``module:class``.
        settings: of the class, beside those that all share.
        noise: whether its exploration needs noise on actions.
    """

    path: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    noise: bool = False

    def load(self) -> type[BaseAlgorithm]:
        """The class.

        Raises:
            ConfigError: sb3-contrib is not installed.
        """
        try:
            found: type[BaseAlgorithm] = resolve_name(self.path)
        except ImportError as reason:
            name = self.path.partition(":")[2]
            raise ConfigError(
                f"Agent {name.lower()!r} needs sb3-contrib, which is not installed. Run: pip install "
                "'rlprune[contrib]'."
            ) from reason
        return found


ALGORITHMS = {
    "ddpg": Algorithm("stable_baselines3:DDPG", noise=True),  # Lillicrap et al., ICLR 2016
    "td3": Algorithm("stable_baselines3:TD3", noise=True),  # Fujimoto et al., ICML 2018
    "sac": Algorithm("stable_baselines3:SAC", {"ent_coef": 0.01}),  # Haarnoja et al., ICML 2018
    "tqc": Algorithm("sb3_contrib:TQC", {"ent_coef": 0.01}),  # Kuznetsov et al., ICML 2020
    "ppo": Algorithm("stable_baselines3:PPO"),  # Schulman et al., 2017
}


def make_algorithm(
    name: str, env: VecEnv, length: int, *, hidden: tuple[int, ...], learning_rate: float, gamma: float, seed: int
) -> BaseAlgorithm:
    """An algorithm before it learns.

    Args:
        length: steps of an episode; all walks of ``env`` end together.
        hidden: units of each hidden layer of actor and critic.
        gamma: discount of a step.
    """
    algorithm = ALGORITHMS[name]
    made = algorithm.load()
    settings: dict[str, Any] = {"learning_rate": learning_rate, "gamma": gamma, "seed": seed, "device": "cpu"}
    if issubclass(made, OnPolicyAlgorithm):
        steps = max(length, 2)
        settings |= {"n_steps": steps, "batch_size": max(steps * env.num_envs // 4, 2), "n_epochs": 4}
        settings["policy_kwargs"] = {"net_arch": list(hidden), "activation_fn": nn.Tanh, "log_std_init": -1.0}
    else:
        settings |= {"train_freq": (1, "step"), "gradient_steps": UPDATES, "batch_size": 256, "buffer_size": BUFFER}
        settings |= {"learning_starts": length * env.num_envs}
        settings["policy_kwargs"] = {"net_arch": list(hidden), "activation_fn": nn.ReLU}
        if algorithm.noise:
            entries = int(np.prod(env.action_space.shape or ()))
            settings["action_noise"] = NormalActionNoise(np.zeros(entries), np.full(entries, NOISE))
    return made(policy="MlpPolicy", env=env, **settings, **algorithm.settings)


def policy_of(name: str, model: BaseAlgorithm, kinds: tuple[Kind, ...], meaning: Meaning) -> Policy:
    """The actor of an agent, apart from the agent: what it does without noise."""
    actor: Any = model.policy
    if isinstance(model, OnPolicyAlgorithm):
        parts, activation, squash = [actor.mlp_extractor.policy_net, actor.action_net], "tanh", False
    else:
        actor = actor.actor
        parts = [actor.latent_pi, actor.mu] if hasattr(actor, "latent_pi") else [actor.mu]
        activation, squash = "relu", True
    linears = [layer for part in parts for layer in part.modules() if isinstance(layer, nn.Linear)]
    return Policy.from_layers(name, linears, activation, squash, kinds, meaning)  # type: ignore[arg-type]
