"""What every way of searching shares: episodes, results, and how the best plans are picked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rlprune.envs import LayerPruningEnv
from rlprune.errors import ConfigError
from rlprune.problem import Outcome

if TYPE_CHECKING:
    from rlprune.agents.policy import Policy


@dataclass(frozen=True)
class Episode:
    """One finished episode.

    Attributes:
        number: from 1.
        outcome: what its plan does.
        seconds: since the search began.
        evaluations, cache_hits: of this search so far; an episode that repeats a known plan costs no evaluation.
    """

    number: int
    outcome: Outcome
    seconds: float
    evaluations: int
    cache_hits: int


EpisodeCallback = Callable[[Episode], None]


@dataclass(frozen=True)
class SearchResult:
    """All episodes of a search and, where something was learned, the policy."""

    episodes: list[Episode]
    policy: Policy | None = None


class Searcher(Protocol):
    """A way to search: the same environment, the same number of episodes, one evaluation an episode at most."""

    name: str

    def search(
        self, env: LayerPruningEnv, episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """Run ``episodes`` episodes. The same seed gives the same plans on one machine.

        Raises:
            ConfigError: fewer than one episode.
        """
        ...


@dataclass
class EpisodeLog:
    """Counts and times the episodes of one search and hands each to the callback."""

    env: LayerPruningEnv
    callback: EpisodeCallback | None = None
    episodes: list[Episode] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._start = time.perf_counter()
        self._evaluations = self.env.problem.evaluations
        self._hits = self.env.problem.cache_hits

    def add(self, outcome: Outcome) -> None:
        """Record the plan with which an episode ended."""
        problem = self.env.problem
        episode = Episode(
            number=len(self.episodes) + 1,
            outcome=outcome,
            seconds=time.perf_counter() - self._start,
            evaluations=problem.evaluations - self._evaluations,
            cache_hits=problem.cache_hits - self._hits,
        )
        self.episodes.append(episode)
        if self.callback is not None:
            self.callback(episode)


def require_episodes(episodes: int) -> None:
    """Refuse a search of no episodes."""
    if episodes < 1:
        raise ConfigError(f"A search needs at least 1 episode; {episodes} came. Use --episodes 300, say.")


def best_outcomes(episodes: Iterable[Episode], count: int) -> list[Outcome]:
    """The ``count`` distinct plans of highest reward, best first; of equals, the earliest."""
    distinct: dict[tuple[int, ...], Outcome] = {}
    for episode in episodes:
        distinct.setdefault(tuple(episode.outcome.widths.tolist()), episode.outcome)
    return sorted(distinct.values(), key=lambda outcome: -outcome.reward)[:count]
