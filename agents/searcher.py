"""What every way of searching shares: episodes, results, and how the best plans are picked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rlprune.envs import LayerPruningEnv
from rlprune.errors import ConfigError
from rlprune.evaluation.problem import Outcome, PruningProblem

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
        origin: who decided the plan, one of :data:`ORIGINS`, or the name of a baseline.
    """

    number: int
    outcome: Outcome
    seconds: float
    evaluations: int
    cache_hits: int
    origin: str


ORIGINS = {
    "policy": "the learned policy by itself",
    "sampled": "the learned policy: of its walks with noise, the one that the surrogate expected to lose least",
    "refined": "the learned policy and the surrogate, which changed the policy's plan a little",
    "surrogate": "the surrogate, near one of the best plans so far",
    "explored": "the algorithm of SB3 with its own noise",
    "filled": "no search: equal keep ratios, filled up",
    "probe": "no search: what each choice loses alone",
}
"""Who may decide a plan of an agent's search."""

EpisodeCallback = Callable[[Episode], None]
MOST_REPEATED = 50
"""After so many known plans in a row, and at least as many episodes as were asked for, a search has no new ones."""


@dataclass(frozen=True)
class SearchResult:
    """All episodes of a search and, where something was learned, the policy."""

    episodes: list[Episode]
    policy: Policy | None = None


class Searcher(Protocol):
    """A way to search: the same environment, the same number of new plans that may be evaluated.

    Agents and methods that plan ahead end after so many episodes, which repeat few plans. Those that draw at random go
    on until they evaluated as many new plans, or find no more (:meth:`EpisodeLog.goes_on`).
    """

    name: str

    def search(
        self, env: LayerPruningEnv, episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """Evaluate ``episodes`` new plans at most. The same seed gives the same plans on one machine.

        Raises:
            ConfigError: fewer episodes than :meth:`fewest_episodes`.
        """
        ...

    def fewest_episodes(self, choices: int) -> int:
        """What a search of so many choices needs at least, at one budget."""
        ...


class RangeSearcher(ABC):
    """A searcher of several budgets at once, so that what is learned at one serves all."""

    name: str

    def search(
        self, env: LayerPruningEnv, episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """See :class:`Searcher`."""
        return self.search_range([env.problem], episodes, seed, callback)

    @abstractmethod
    def search_range(
        self, problems: Sequence[PruningProblem], episodes: int, seed: int, callback: EpisodeCallback | None = None
    ) -> SearchResult:
        """Run ``episodes`` episodes over problems that differ in their budgets only and share one evaluator.

        Raises:
            ConfigError: fewer episodes than the warm-up needs.
        """

    @abstractmethod
    def fewest_episodes(self, choices: int) -> int:
        """See :class:`Searcher`."""


@dataclass
class EpisodeLog:
    """Counts and times the episodes of one search and hands each to the callback."""

    problem: PruningProblem
    callback: EpisodeCallback | None = None
    method: str = ""
    episodes: list[Episode] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._start = self.problem.evaluator.clock()
        self._evaluations = self.problem.evaluations
        self._hits = self.problem.cache_hits
        self._repeated = 0

    def goes_on(self, evaluations: int) -> bool:
        """Whether a method that draws plans at random, and some of them again, draws another one."""
        if not self.episodes:
            return True
        exhausted = len(self.episodes) >= evaluations and self._repeated >= MOST_REPEATED
        return self.episodes[-1].evaluations < evaluations and not exhausted

    def add(self, outcome: Outcome, origin: str | None = None) -> None:
        """Record the plan with which an episode ended, and who decided it: the method, where nothing is said."""
        episode = Episode(
            number=len(self.episodes) + 1,
            outcome=outcome,
            seconds=self.problem.evaluator.clock() - self._start,
            evaluations=self.problem.evaluations - self._evaluations,
            cache_hits=self.problem.cache_hits - self._hits,
            origin=origin or self.method,
        )
        known = episode.evaluations == (self.episodes[-1].evaluations if self.episodes else 0)
        self._repeated = self._repeated + 1 if known else 0
        self.episodes.append(episode)
        if self.callback is not None:
            self.callback(episode)


def require_episodes(episodes: int, searcher: Searcher, problems: Sequence[PruningProblem]) -> None:
    """Refuse a search that is over before it begins.

    Raises:
        ConfigError: fewer episodes than the method's warm-up needs at all budgets.
    """
    needed = searcher.fewest_episodes(len(problems[0].space.choices)) * len(problems)
    if episodes < needed:
        raise ConfigError(
            f"{searcher.name} needs at least {needed} episode{'' if needed == 1 else 's'} here; {episodes} came. "
            "Use --episodes 300, say."
        )


def search_range(
    searcher: Searcher,
    problems: Sequence[PruningProblem],
    episodes: int,
    seed: int,
    callback: EpisodeCallback | None = None,
) -> SearchResult:
    """Search at several budgets: together where the method can, else one after the other with equal shares.

    Raises:
        ConfigError: fewer episodes than there are budgets.
    """
    if isinstance(searcher, RangeSearcher):
        return searcher.search_range(problems, episodes, seed, callback)
    require_episodes(episodes, searcher, problems)
    log = EpisodeLog(problems[0], callback, searcher.name)
    for place, problem in enumerate(problems):
        share = episodes // len(problems) + (place < episodes % len(problems))
        searcher.search(
            LayerPruningEnv(problem), share, seed + place, lambda episode: log.add(episode.outcome, episode.origin)
        )
    return SearchResult(log.episodes)


def best_outcomes(episodes: Iterable[Episode], count: int) -> list[Outcome]:
    """The ``count`` distinct plans of highest reward, best first; of equals, the earliest."""
    distinct: dict[tuple[int, ...], Outcome] = {}
    for episode in episodes:
        distinct.setdefault(tuple(episode.outcome.levels.tolist()), episode.outcome)
    return sorted(distinct.values(), key=lambda outcome: -outcome.reward)[:count]
