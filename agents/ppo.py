"""PPO (Schulman et al., 2017), as SB3 implements it, set for episodes of one reward."""

from __future__ import annotations

from dataclasses import dataclass

from stable_baselines3 import PPO
from torch import nn

from rlprune.agents.learning import NO_LOG, EpisodeCollector, isolated_random_state, linears_of
from rlprune.agents.policy import Policy
from rlprune.agents.search import EpisodeCallback, EpisodeLog, SearchResult, require_episodes
from rlprune.envs import LayerPruningEnv


@dataclass(frozen=True)
class PPOSettings:
    """Settings of :class:`PPOSearcher`.

    Attributes:
        hidden: units of each hidden layer of actor and critic.
        learning_rate: of both (Adam).
        episodes_per_update: episodes collected before each update.
        epochs: passes over them.
        log_std: logarithm of the initial standard deviation of actions.
    """

    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 1e-3
    episodes_per_update: int = 8
    epochs: int = 10
    log_std: float = -0.7


class PPOSearcher:
    """Learns a policy by PPO while it searches. Returns are undiscounted: each action shares in the final reward."""

    name = "ppo"

    def __init__(self, settings: PPOSettings | None = None) -> None:
        self.settings = settings or PPOSettings()

    def search(
        self, env: LayerPruningEnv, episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """See :class:`rlprune.agents.search.Searcher`."""
        require_episodes(episodes)
        log = EpisodeLog(env, callback)
        settings, length = self.settings, len(env.problem.network.groups)
        steps = min(settings.episodes_per_update, max(episodes, 2)) * length
        with isolated_random_state(seed):
            model = PPO(
                "MlpPolicy",
                env,
                learning_rate=settings.learning_rate,
                n_steps=steps,
                batch_size=steps,
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
            model.learn(episodes * length, callback=EpisodeCollector(log, episodes), log_interval=NO_LOG)
            actor = linears_of(model.policy.mlp_extractor.policy_net, model.policy.action_net)
        return SearchResult(log.episodes, Policy.from_layers(self.name, actor, "tanh", squash=False))
