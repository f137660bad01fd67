"""Off-policy agents: DDPG, TD3, SAC and TQC of SB3, exploring by whole plans and learning from episode returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3 import DDPG, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import ActionNoise, NormalActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import nn

from rlprune.agents.exploration import Exploration
from rlprune.agents.learning import LearningSearcher, linears_of
from rlprune.agents.policy import Policy
from rlprune.agents.returns import EpisodeReturnBuffer
from rlprune.choices.choice import Kind
from rlprune.envs.vector import PruningVecEnv
from rlprune.errors import ConfigError


class PlannedActions(OffPolicyAlgorithm):
    """Takes the actions of the plans that the environment's walks follow; where there are none, its own."""

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        assert isinstance(self.env, PruningVecEnv)  # what our searchers give
        planned = self.env.planned_actions()
        if all(action is not None for action in planned):
            actions = np.stack([action for action in planned if action is not None])
            return actions, actions
        own = super()._sample_action(learning_starts, action_noise, n_envs)[0]
        actions = np.stack([mine if action is None else action for action, mine in zip(planned, own, strict=True)])
        return actions, actions


class PlannedDDPG(PlannedActions, DDPG):
    """DDPG (Lillicrap et al., ICLR 2016)."""


class PlannedTD3(PlannedActions, TD3):
    """TD3 (Fujimoto et al., ICML 2018) that walks planned episodes."""


class PlannedSAC(PlannedActions, SAC):
    """SAC (Haarnoja et al., ICML 2018) that walks planned episodes."""


def _planned_tqc() -> type[OffPolicyAlgorithm]:
    """TQC (Kuznetsov et al., ICML 2020), which sb3-contrib has."""
    try:
        from sb3_contrib import TQC
    except ImportError as reason:
        raise ConfigError(
            "Agent 'tqc' needs sb3-contrib, which is not installed. Run: pip install 'rlprune[contrib]'."
        ) from reason
    return type("PlannedTQC", (PlannedActions, TQC), {})


ALGORITHMS: dict[str, Callable[[], type[Any]]] = {
    "ddpg": lambda: PlannedDDPG,
    "td3": lambda: PlannedTD3,
    "sac": lambda: PlannedSAC,
    "tqc": _planned_tqc,
}
# SAC's and TQC's entropy bonus is fixed and small: returns are ranks in [-1, 1], and exploration is not their task.
OWN: dict[str, dict[str, Any]] = {
    "ddpg": {},
    "td3": {"policy_delay": 1},
    "sac": {"ent_coef": 0.02},
    "tqc": {"ent_coef": 0.02},
}


@dataclass(frozen=True)
class OffPolicySettings:
    """Settings of :class:`OffPolicySearcher`.

    Attributes:
        hidden: units of each hidden layer of actor and critic.
        learning_rate: of both (Adam).
        batch: transitions of one update.
        episodes_per_update: episodes between updates, each of which is ``updates`` steps.
        imitation: steps after the last episode in which the policy that is kept learns from the best episodes (see
            :func:`rlprune.agents.imitation.imitate`).
        returns: whether each transition learns its episode's return (see :class:`EpisodeReturnBuffer`); else SB3's
            buffer, which passes the reward back step by step.
        ranks: whether returns are learned as ranks.
        planned: whether whole plans are explored (see :class:`Exploration`); else SB3's own noise of ``noise``.
        noise: standard deviation of that noise.
        envs: episodes that run at once.
        exploration: where their plans come from.
    """

    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 1e-3
    batch: int = 128
    episodes_per_update: int = 4
    updates: int = 2
    imitation: int = 250
    returns: bool = True
    ranks: bool = True
    planned: bool = True
    noise: float = 0.3
    envs: int = 4
    exploration: Exploration = field(default_factory=Exploration)

    def __post_init__(self) -> None:
        if (
            min(self.updates, self.episodes_per_update, self.batch, self.envs) < 1
            or self.learning_rate <= 0
            or self.imitation < 0
        ):
            raise ConfigError(
                "An agent needs at least 1 update, a batch and environments of at least 1, and a positive learning "
                f"rate; {self.updates}, {self.batch}, {self.envs} and {self.learning_rate} came."
            )


class OffPolicySearcher(LearningSearcher):
    """Learns a policy while it searches, at one budget or at several.

    Args:
        name: ``ddpg``, ``td3``, ``sac`` or ``tqc``.
        settings: see :class:`OffPolicySettings`.

    Raises:
        ConfigError: ``tqc`` without sb3-contrib.
    """

    def __init__(self, name: str, settings: OffPolicySettings | None = None) -> None:
        self.name = name
        self.settings: OffPolicySettings = settings or OffPolicySettings()
        self._algorithm = ALGORITHMS[name]()

    def _model(self, env: PruningVecEnv, episodes: int, seed: int) -> OffPolicyAlgorithm:
        settings, length = self.settings, len(env.problems[0].space.units)
        buffer: dict[str, Any] = {}
        if settings.returns:
            own = {"episode_length": length, "seed": seed, "ranks": settings.ranks}
            buffer = {"replay_buffer_class": EpisodeReturnBuffer, "replay_buffer_kwargs": own}
        model: OffPolicyAlgorithm = self._algorithm(
            "MlpPolicy",
            env,
            learning_rate=settings.learning_rate,
            buffer_size=(episodes + settings.envs) * length,
            learning_starts=settings.exploration.warmup * length,
            batch_size=settings.batch,
            gamma=1.0,
            train_freq=(max(settings.episodes_per_update // settings.envs, 1) * length, "step"),
            gradient_steps=settings.updates,
            action_noise=None if settings.planned else _noise(env, settings.noise),
            policy_kwargs={"net_arch": list(settings.hidden), "activation_fn": nn.ReLU},
            seed=seed,
            device="cpu",
            **buffer,
            **OWN[self.name],
        )
        return model

    def _policy(self, model: BaseAlgorithm, kinds: tuple[Kind, ...]) -> Policy:
        return Policy.from_layers(self.name, linears_of(*_actor(model)), "relu", squash=True, kinds=kinds)


def _noise(env: PruningVecEnv, deviation: float) -> NormalActionNoise:
    entries = len(env.problems[0].space.kinds)
    return NormalActionNoise(np.zeros(entries), np.full(entries, deviation))


def _actor(model: BaseAlgorithm) -> list[nn.Module]:
    """The parts of the actor that lead to the action it takes without noise."""
    algorithm: Any = model
    actor = algorithm.actor
    return [actor.mu] if hasattr(actor, "mu") and not hasattr(actor, "latent_pi") else [actor.latent_pi, actor.mu]
