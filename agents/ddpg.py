"""The default agent: DDPG with episode returns, executed actions, ranks and screened exploration."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from rlprune.agents.learning import NO_LOG, EpisodeCollector, isolated_random_state, linears_of
from rlprune.agents.policy import Policy
from rlprune.agents.returns import EpisodeReturnBuffer
from rlprune.agents.screened_ddpg import Exploration, ScreenedDDPG
from rlprune.agents.search import EpisodeCallback, EpisodeLog, SearchResult, require_episodes
from rlprune.envs import LayerPruningEnv
from rlprune.errors import ConfigError


@dataclass(frozen=True)
class DDPGSettings:
    """Settings of :class:`DDPGSearcher`.

    Attributes:
        hidden: units of each hidden layer of actor and critic.
        learning_rate: of both (Adam).
        batch: transitions of one update.
        updates: updates after each episode.
        ranks: whether returns are learned as ranks.
        exploration: see :class:`Exploration`.
    """

    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 1e-3
    batch: int = 256
    updates: int = 4
    ranks: bool = True
    exploration: Exploration = field(default_factory=Exploration)

    def __post_init__(self) -> None:
        if self.updates < 1 or self.batch < 1 or self.learning_rate <= 0:
            raise ConfigError("DDPG needs at least 1 update, a batch of at least 1 and a positive learning rate.")


class DDPGSearcher:
    """Learns a policy by DDPG while it searches. See :class:`ScreenedDDPG` and :class:`EpisodeReturnBuffer`."""

    name = "ddpg"

    def __init__(self, settings: DDPGSettings | None = None) -> None:
        self.settings = settings or DDPGSettings()

    def search(
        self, env: LayerPruningEnv, episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """See :class:`rlprune.agents.search.Searcher`."""
        require_episodes(episodes)
        log = EpisodeLog(env, callback)
        with isolated_random_state(seed):
            model = self._model(env, episodes, seed)
            steps = episodes * len(env.problem.network.groups)
            model.learn(steps, callback=EpisodeCollector(log, episodes), log_interval=NO_LOG)
            actor = linears_of(model.actor.mu)
        return SearchResult(log.episodes, Policy.from_layers(self.name, actor, "relu", squash=True))

    def _model(self, env: LayerPruningEnv, episodes: int, seed: int) -> ScreenedDDPG:
        settings, length = self.settings, len(env.problem.network.groups)
        return ScreenedDDPG(
            "MlpPolicy",
            env,
            learning_rate=settings.learning_rate,
            buffer_size=episodes * length,
            learning_starts=0,
            batch_size=settings.batch,
            train_freq=(1, "episode"),
            gradient_steps=settings.updates,
            replay_buffer_class=EpisodeReturnBuffer,
            replay_buffer_kwargs={"episode_length": length, "seed": seed, "ranks": settings.ranks},
            policy_kwargs={"net_arch": list(settings.hidden), "activation_fn": nn.ReLU},
            seed=seed,
            device="cpu",
            exploration=settings.exploration,
            episodes=episodes,
            episode_length=length,
            pruning_env=env,
            exploration_seed=seed,
        )
