"""The default agent: DDPG with episode returns, executed actions, ranks and screened exploration."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from rlprune.agents.learning import EpisodeCollector, isolated_random_state, linears_of
from rlprune.agents.policy import Policy
from rlprune.agents.returns import EpisodeReturnBuffer
from rlprune.agents.screened_ddpg import ScreenedDDPG
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
        warmup: random episodes, as a share of all; at most ``warmup_most``.
        candidates, noise, final_noise: see :class:`ScreenedDDPG`.
        ranks: whether returns are learned as ranks.
    """

    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 1e-3
    batch: int = 128
    updates: int = 12
    warmup: float = 0.1
    warmup_most: int = 20
    candidates: int = 32
    noise: float = 0.5
    final_noise: float = 0.1
    ranks: bool = True
    caution: float = 0.0
    elite: float = 0.0
    adaptive: bool = False
    heads: int = 1
    still: float = 0.0
    top: int = 1
    warm: float = 0.5
    tau: float = 0.0
    up: float = 1.5
    down: float = 0.9

    def __post_init__(self) -> None:
        if self.candidates < 1 or self.updates < 1 or self.batch < 1:
            raise ConfigError("DDPG needs at least 1 candidate, 1 update and a batch of 1.")
        if not 0 < self.final_noise <= self.noise:
            raise ConfigError(f"DDPG's noise must fall: 0 < final_noise <= noise; {self.final_noise} and {self.noise} came.")


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
            model.learn(steps, callback=EpisodeCollector(log, episodes), log_interval=None)
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
            policy_kwargs={"net_arch": list(settings.hidden), "activation_fn": nn.ReLU, "n_critics": settings.heads},
            seed=seed,
            device="cpu",
            candidates=settings.candidates,
            caution=settings.caution,
            elite=settings.elite,
            still=settings.still,
            top=settings.top,
            warm=settings.warm,
            tau=settings.tau,
            up=settings.up,
            down=settings.down,
            adaptive=settings.adaptive,
            noise=settings.noise,
            final_noise=settings.final_noise,
            warmup=min(int(settings.warmup * episodes), settings.warmup_most),
            episodes=episodes,
            episode_length=length,
            noise_seed=seed,
        )
