"""Agents and baselines: ways to search for a plan, all behind one interface."""

from __future__ import annotations

from collections.abc import Callable

from rlprune.agents.baselines.optuna_search import OptunaSearcher
from rlprune.agents.baselines.random_search import RandomSearcher
from rlprune.agents.baselines.uniform import UniformSearcher
from rlprune.agents.ddpg import DDPGSearcher, DDPGSettings
from rlprune.agents.policy import Policy
from rlprune.agents.ppo import PPOSearcher, PPOSettings
from rlprune.agents.replay import replay
from rlprune.agents.search import Episode, EpisodeCallback, Searcher, SearchResult, best_outcomes
from rlprune.errors import ConfigError, unknown_name

SEARCHERS: dict[str, Callable[[], Searcher]] = {
    "ddpg": DDPGSearcher,
    "ppo": PPOSearcher,
    "random": RandomSearcher,
    "uniform": UniformSearcher,
    "tpe": lambda: OptunaSearcher("tpe"),
    "evolutionary": lambda: OptunaSearcher("evolutionary"),
}

__all__ = [
    "SEARCHERS",
    "DDPGSearcher",
    "DDPGSettings",
    "Episode",
    "EpisodeCallback",
    "OptunaSearcher",
    "PPOSearcher",
    "PPOSettings",
    "Policy",
    "RandomSearcher",
    "SearchResult",
    "Searcher",
    "UniformSearcher",
    "best_outcomes",
    "make_searcher",
    "replay",
]


def make_searcher(name: str) -> Searcher:
    """A searcher by name, with its default settings.

    Raises:
        ConfigError: unknown name; the nearest is offered.
    """
    if name not in SEARCHERS:
        raise ConfigError(unknown_name("agent", name, SEARCHERS))
    return SEARCHERS[name]()
