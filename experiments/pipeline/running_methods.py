"""The second step: every method searches, with nothing known of what another one tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rlprune.agents import (
    AGENTS,
    METHODS,
    TUNABLE,
    Episode,
    Policy,
    Searcher,
    best_outcomes,
    make_searcher,
    search_range,
)
from rlprune.agents.searcher import require_episodes
from rlprune.budgets.limits import format_cost
from rlprune.errors import ConfigError, RewardError, RunError
from rlprune.evaluation.problem import Outcome, PruningProblem
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.pipeline.run_in_progress import RunInProgress
from rlprune.experiments.runs.episodes import to_csv
from rlprune.experiments.runs.journal import Journal, SearchMemory
from rlprune.experiments.runs.row import AGENT, BASELINE, UNSEARCHED
from rlprune.experiments.settings.options import check_known
from rlprune.experiments.settings.verb_configs import TrainConfig
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


def methods(agent: str, baselines: Sequence[str]) -> list[str]:
    """The searchers to run: baselines first, the agent last, each once; uniform and filled need no search."""
    names = dict.fromkeys([*baselines, agent])
    return [name for name in names if name not in (*UNSEARCHED, agent)] + ([] if agent in UNSEARCHED else [agent])


def role_of(name: str, agent: str) -> str:
    """What a method that was searched with is in a run."""
    return AGENT if name == agent else BASELINE


def searcher_of(name: str, config: TrainConfig) -> Searcher:
    """A method with the settings of the run; a baseline has them only where it is what the run searches with.

    Raises:
        ConfigError: an unknown method, preset or setting; the nearest is offered.
    """
    if name not in AGENTS and name != config.agent:
        return make_searcher(name)
    return make_searcher(name, config.preset, config.agent_settings())


def check_searchers(config: TrainConfig) -> None:
    """Refuse methods, presets and settings of agents that do not exist or do not go together.

    Raises:
        ConfigError: see above; the nearest known name is offered.
    """
    check_known("method", [config.agent], METHODS)
    check_known("baseline", config.baselines, METHODS)
    if config.agent in UNSEARCHED:
        raise ConfigError(
            f"--agent must search; {config.agent} does not, and is compared in every run. Choose ddpg or random."
        )
    if config.agent not in TUNABLE and (config.preset != "default" or config.setting):
        raise ConfigError(f"{config.agent} has no presets and no settings. Leave --preset and --setting out.")
    searcher_of(config.agent, config)


def check_episodes(config: TrainConfig, problems: Sequence[PruningProblem]) -> None:
    """Refuse a search that is shorter than the warm-up of a method, which would fail when it begins.

    Raises:
        ConfigError: it names the method, and what it needs.
    """
    for name in methods(config.agent, config.baselines):
        require_episodes(config.episodes, searcher_of(name, config), problems)


def idle_workers(config: TrainConfig) -> list[str]:
    """That some workers have nothing to do, where the agent runs fewer episodes at once than there are workers."""
    at_once = getattr(getattr(searcher_of(config.agent, config), "settings", None), "at_once", None)
    if at_once is None or config.workers is None or at_once >= config.workers:
        return []
    return [
        f"{config.agent} evaluates {at_once} plans at once, so of {config.workers} workers some are idle; "
        f"--setting at_once={config.workers} makes use of them (and another search)."
    ]


def at_each_budget(config: TrainConfig, problem: PruningProblem) -> list[PruningProblem]:
    """The problem at each budget that is searched, lowest first: at those of a range, or at the single one.

    Raises:
        BudgetError: the lowest budget cannot be met.
    """
    wide = config.budget_range()
    if wide is None:
        return [problem]
    others = problem.planner.budgets[1:]
    return [problem.within([budget, *others]) for budget in wide.budgets(config.levels)]


def search_with_all(
    run: RunInProgress,
    problem: PruningProblem,
    journal: Journal,
    writers: Mapping[str, EpisodeWriter],
    progress: Progress,
) -> dict[str, Search]:
    """Search with every method of a run; what each found is written when it ends.

    Args:
        problem: at a budget, or at the upper end of a range.
        journal: of the run; what it holds is not evaluated again.
        writers: of TensorBoard's curves, by method.

    Raises:
        BrokenSearch: the reward of an episode is NaN or infinite, or that of every episode.
        RunError: a search does not repeat what the journal holds, or a file cannot be written.
    """
    config, found = run.config, {}
    for name in methods(config.agent, config.baselines):
        with progress.phase(f"search {name}"):
            problems = at_each_budget(config, problem.fresh())
            try:
                search = _search(run, name, problems, journal.memory_of(name), writers[name], progress)
            except BrokenSearch as broken:
                _write_table(run, name, broken.episodes)
                raise
        _write_table(run, name, search.episodes)
        if name == config.agent and search.policy is not None:
            search.policy.save(run.folder.path)
        found[name] = search
    return found


def _write_table(run: RunInProgress, name: str, episodes: Sequence[Episode]) -> None:
    if episodes:
        run.folder.write_text(f"episodes-{name}.csv", to_csv(episodes))


class BrokenSearch(RewardError):
    """A search that rewards ended; ``episodes`` are those until then."""

    def __init__(self, told: str, episodes: Sequence[Episode]) -> None:
        super().__init__(told)
        self.episodes = episodes


def _search(
    run: RunInProgress,
    name: str,
    problems: Sequence[PruningProblem],
    memory: SearchMemory,
    writer: EpisodeWriter,
    progress: Progress,
) -> Search:
    """Search with one method at one budget, or at several together. Raises as :func:`search_with_all`."""
    config, evaluator = run.config, problems[0].evaluator
    evaluator.memory, before = memory, evaluator.seconds
    if len(memory):
        progress.note(f"{name}: {len(memory)} evaluations are known; repeating the search up to there")
    with progress.bar(f"{name:>8}", config.episodes, unit="new plans") as bar:
        follower = _Follower(run, name, problems[-1], memory, writer, bar)
        try:
            result = search_range(searcher_of(name, config), problems, config.episodes, config.seed, follower)
        except RewardError as reason:
            told = f"Episode {len(follower.episodes) + 1} of {name}: {reason}"
            raise BrokenSearch(told, follower.episodes) from reason
        follower.end()
    if not any(episode.outcome.defined for episode in result.episodes):
        told = f"A search needs a plan with a finite reward; {name} found none in {len(result.episodes)} episodes."
        raise BrokenSearch(f"{told} Correct the task or the reward.", result.episodes)
    if len(memory):
        raise RunError(
            f"A run goes on where its search repeats itself; {name} ended {len(memory)} evaluations before its journal "
            "does. It was made with other code, libraries or processor (see versions.json): start a new run."
        )
    return Search(name, result.episodes, result.policy, evaluator.seconds - before)


class _Follower:
    """Hears every episode as it ends: draws it on the bar, writes it for TensorBoard, and remembers the best."""

    def __init__(
        self,
        run: RunInProgress,
        name: str,
        problem: PruningProblem,
        memory: SearchMemory,
        writer: EpisodeWriter,
        bar: Bar,
    ) -> None:
        self._run, self._name, self._problem = run, name, problem
        self._memory, self._writer, self._bar = memory, writer, bar
        self._best: Outcome | None = None
        self._evaluated = 0
        self.episodes: list[Episode] = []

    def __call__(self, episode: Episode) -> None:
        self.episodes.append(episode)
        if self._best is None or episode.outcome.reward > self._best.reward:
            self._best = episode.outcome
        self._writer.add(episode, self._memory.wall_time())
        new = episode.evaluations - self._evaluated
        self._evaluated = episode.evaluations
        self._bar.step(self._describe(self._best), new)
        self._run.found(self._name, episode.outcome, self._problem)

    def end(self) -> None:
        """Say why the bar is not full, where it is not."""
        if self._best is not None and self._evaluated < self._run.config.episodes:
            self._bar.step(f"the others were known; {self._describe(self._best)}", 0)

    def _describe(self, best: Outcome) -> str:
        metric, score = next(iter(self._problem.planner.limits), "macs"), self._problem.evaluator.task.metric
        quality = f"{score} {best.quality.score:.4f}, divergence {best.quality.divergence:.4f}"
        return f"best: reward {best.reward:.3f}, {quality}, {metric} {format_cost(metric, best.costs[metric])}"
