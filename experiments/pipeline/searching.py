"""Running the searchers, and choosing the best plan of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rlprune.agents import Episode, Policy, Searcher, best_outcomes, search_range
from rlprune.budgets.limits import format_cost
from rlprune.errors import RewardError, RunError
from rlprune.evaluation.evaluator import Evaluator, Quality
from rlprune.evaluation.problem import Outcome, PruningProblem
from rlprune.evaluation.resampling import Interval
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.runs.journal import SearchMemory
from rlprune.experiments.runs.ranking import best_first, standings
from rlprune.experiments.runs.result import AGENT, BASELINE, UNSEARCHED
from rlprune.experiments.tensorboard.events import EpisodeWriter
from rlprune.support.progress import Bar


@dataclass(frozen=True)
class Search:
    """What one method found.

    Attributes:
        name: of the method.
        episodes: all of them, in order.
        policy: what it learned, if anything.
        inference_seconds: spent in forward passes of pruned networks.
    """

    name: str
    episodes: list[Episode]
    policy: Policy | None
    inference_seconds: float

    @property
    def evaluations(self) -> int:
        """New plans that were evaluated."""
        return self.episodes[-1].evaluations

    def best(self, count: int) -> list[Outcome]:
        """The ``count`` different plans of highest reward."""
        return best_outcomes(self.episodes, count)


@dataclass(frozen=True, eq=False)
class Finalist:
    """A plan scored again on all validation samples, as it is delivered.

    Attributes:
        outcome: in the search.
        quality: on all validation samples.
        behind: see :class:`rlprune.experiments.runs.ranking.Standing`; among the finalists it was ranked with.
    """

    outcome: Outcome
    quality: Quality
    behind: Interval | None = None


def methods(agent: str, baselines: Sequence[str]) -> list[str]:
    """The searchers to run: baselines first, the agent last, each once; uniform and filled need no search."""
    names = dict.fromkeys([*baselines, agent])
    return [name for name in names if name not in (*UNSEARCHED, agent)] + ([] if agent in UNSEARCHED else [agent])


def role_of(name: str, agent: str) -> str:
    """What a method that was searched with is in a run."""
    return AGENT if name == agent else BASELINE


def run_search(
    name: str,
    searcher: Searcher,
    problems: Sequence[PruningProblem],
    episodes: int,
    seed: int,
    progress: Progress,
    writer: EpisodeWriter,
    memory: SearchMemory,
    heard: Callable[[Episode], None],
) -> Search:
    """Search with one method; every episode is drawn on the bar and written to TensorBoard as it ends.

    Args:
        problems: one, or the same at several budgets.
        memory: of an earlier process that did not come to the end.
        heard: called after every episode.

    Raises:
        BrokenSearch: the reward of an episode is NaN or infinite, or that of every episode.
        RunError: the search does not repeat what its memory holds.
    """
    evaluator = problems[0].evaluator
    evaluator.memory = memory
    before = evaluator.seconds
    if len(memory):
        progress.note(f"{name}: {len(memory)} evaluations are known; repeating the search up to there")
    with progress.bar(f"{name:>8}", episodes, unit="new plans") as bar:
        follower = _Follower(bar, episodes, writer, problems[-1], memory, heard)
        try:
            result = search_range(searcher, problems, episodes, seed, follower)
        except RewardError as reason:
            told = f"Episode {len(follower.episodes) + 1} of {name}: {reason}"
            raise BrokenSearch(name, follower.episodes, told) from reason
        follower.end()
    if not any(episode.outcome.defined for episode in result.episodes):
        told = f"A search needs a plan with a finite reward; {name} found none in {len(result.episodes)} episodes."
        raise BrokenSearch(name, result.episodes, f"{told} Correct the task or the reward.")
    if len(memory):
        raise RunError(
            f"A run goes on where its search repeats itself; {name} ended {len(memory)} evaluations before its journal "
            "does. It was made with other code, libraries or processor (see versions.json): start a new run."
        )
    return Search(name, result.episodes, result.policy, evaluator.seconds - before)


class BrokenSearch(RewardError):
    """A search that rewards ended.

    Attributes:
        method, episodes: what was searched with, and what was found until then.
    """

    def __init__(self, method: str, episodes: list[Episode], told: str) -> None:
        super().__init__(told)
        self.method, self.episodes = method, episodes


class _Follower:
    """Hands each episode on, and remembers the best."""

    def __init__(
        self,
        bar: Bar,
        total: int,
        writer: EpisodeWriter,
        problem: PruningProblem,
        memory: SearchMemory,
        heard: Callable[[Episode], None],
    ) -> None:
        self._bar, self._total, self._evaluated = bar, total, 0
        self._writer, self._memory, self._heard = writer, memory, heard
        self._metric = next(iter(problem.planner.limits), "macs")
        self._score = problem.evaluator.task.metric
        self._best: Outcome | None = None
        self.episodes: list[Episode] = []

    def __call__(self, episode: Episode) -> None:
        self.episodes.append(episode)
        if self._best is None or episode.outcome.reward > self._best.reward:
            self._best = episode.outcome
        self._writer.add(episode, self._memory.wall_time())
        new = episode.evaluations - self._evaluated
        self._evaluated = episode.evaluations
        self._bar.step(self._describe(self._best), new)
        self._heard(episode)

    def end(self) -> None:
        """Say why the bar is not full, where it is not."""
        if self._best is not None and self._evaluated < self._total:
            self._bar.step(f"the others were known; {self._describe(self._best)}", 0)

    def _describe(self, best: Outcome) -> str:
        quality = f"{self._score} {best.quality.score:.4f}, divergence {best.quality.divergence:.4f}"
        cost = f"{self._metric} {format_cost(self._metric, best.costs[self._metric])}"
        return f"best: reward {best.reward:.3f}, {quality}, {cost}"


def finalists(
    outcomes: Sequence[Outcome], evaluator: Evaluator, heard: Callable[[], object] = lambda: None
) -> list[Finalist]:
    """Score plans again on all validation samples; the best comes first, see :func:`ranked`.

    Args:
        heard: called after every plan.
    """
    scored = []
    for outcome in outcomes:
        scored.append(Finalist(outcome, evaluator.finalist(outcome.levels)))
        heard()
    return ranked(scored)


def ranked(scored: Sequence[Finalist]) -> list[Finalist]:
    """Finalists by :mod:`rlprune.experiments.runs.ranking`; of what is alike in score and divergence, the first."""
    found = standings([one.quality for one in scored])
    return [replace(scored[place], behind=found[place].behind) for place in best_first(found)]
