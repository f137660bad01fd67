"""The part of a training that writes into its folder: search, choose, measure, test once."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from rlprune.agents import AGENTS, Episode, Searcher, make_searcher
from rlprune.agents.searcher import require_episodes
from rlprune.devices import Device, DeviceProfile
from rlprune.evaluation.problem import Outcome, PruningProblem
from rlprune.experiments.pipeline import outputs
from rlprune.experiments.pipeline.device_facts import DeviceFacts
from rlprune.experiments.pipeline.measuring_device import measure
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.pipeline.scoring import Candidate, candidate, dense_candidate, score_on_test
from rlprune.experiments.pipeline.searching import (
    BrokenSearch,
    Search,
    finalists,
    methods,
    role_of,
    run_search,
)
from rlprune.experiments.pipeline.setup import Material
from rlprune.experiments.runs.episodes import to_csv
from rlprune.experiments.runs.interruption import Interrupted
from rlprune.experiments.runs.journal import Journal
from rlprune.experiments.runs.result import UNSEARCHED, Result
from rlprune.experiments.runs.run_cost import RunCost
from rlprune.experiments.runs.run_folder import PLAN, RunFolder
from rlprune.experiments.settings import commands
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.experiments.tensorboard.curves import curves_of
from rlprune.experiments.tensorboard.events import FOLDER, EpisodeWriter, entry_name, quiet_writers
from rlprune.plans.plan import PruningPlan


def searcher_of(name: str, config: TrainConfig) -> Searcher:
    """A method with the settings of the run; a baseline has them only where it is what the run searches with.

    Raises:
        ConfigError: an unknown method, preset or setting; the nearest is offered.
    """
    if name not in AGENTS and name != config.agent:
        return make_searcher(name)
    return make_searcher(name, config.preset, config.agent_settings())


@dataclass(frozen=True, eq=False)
class Found:
    """An episode and the method it is of."""

    method: str
    episode: Episode


@dataclass(eq=False)
class Job:
    """The part of a training that writes into its folder."""

    config: TrainConfig
    run: RunFolder
    material: Material
    problem: PruningProblem
    profile: DeviceProfile | None
    target: Device
    progress: Progress
    cost: RunCost
    journal: Journal
    best: Found | None = field(default=None, init=False)

    @classmethod
    def check(cls, config: TrainConfig, problem: PruningProblem) -> None:
        """Refuse, before anything is written, what would fail later.

        Raises:
            ConfigError: a search that is shorter than the warm-up of a method.
        """
        for name in methods(config.agent, config.baselines):
            require_episodes(config.episodes, searcher_of(name, config), cls.budgeted(config, problem))

    @classmethod
    def budgeted(cls, config: TrainConfig, problem: PruningProblem) -> list[PruningProblem]:
        """The problem at each budget that is searched."""
        return [problem]

    def problems(self) -> list[PruningProblem]:
        """What is searched: nothing evaluated yet, so that no method profits from what another one tried."""
        return self.budgeted(self.config, self.problem.fresh())

    def execute(self) -> Result:
        """Search, choose, measure, test, write.

        Raises:
            Interrupted: the user wants to stop; the best plan so far is written and named.
        """
        try:
            return self._execute()
        except KeyboardInterrupt as reason:
            raise Interrupted(self._leave()) from reason

    def _execute(self) -> Result:
        shutil.rmtree(self.run.path / FOLDER, ignore_errors=True)  # of a session that was broken off
        with quiet_writers(), ExitStack() as stack:
            problems = self.budgeted(self.config, self.problem)
            names = [*UNSEARCHED, *self._methods()]
            writers = {name: stack.enter_context(self._writer(name, problems)) for name in names}
            for name in UNSEARCHED:
                writers[name].add_level(name, self.config.episodes)
            searches = self._searches(writers)
            candidates = self._candidates(searches)
            with self.progress.phase("measure"):
                power = measure(candidates, self.problem, self.profile, self.target, self.config, self.progress)
            with self.progress.phase("test", "Scoring the chosen plans on the test samples, once"):
                score_on_test(candidates, self.problem.evaluator)
            return outputs.write_all(self.run, self._facts(power, searches, candidates), writers, self.progress)

    def _facts(self, power: DeviceFacts, searches: dict[str, Search], candidates: list[Candidate]) -> outputs.Facts:
        return outputs.Facts(self.config, self.problem, self.profile, power, searches, candidates, self.cost)

    def _methods(self) -> list[str]:
        return methods(self.config.agent, self.config.baselines)

    def _writer(self, name: str, problems: list[PruningProblem]) -> EpisodeWriter:
        entry = entry_name(name, self.config.seed)
        return EpisodeWriter(self.run.path / FOLDER / entry, curves_of(problems))

    def _searches(self, writers: dict[str, EpisodeWriter]) -> dict[str, Search]:
        found, config = {}, self.config
        for name in self._methods():
            with self.progress.phase(f"search {name}"):
                search = self._search(name, searcher_of(name, config), writers[name])
            self.run.write_text(f"episodes-{name}.csv", to_csv(search.episodes))
            if name == self.config.agent and search.policy is not None:
                search.policy.save(self.run.path)
            found[name] = search
        return found

    def _search(self, name: str, searcher: Searcher, writer: EpisodeWriter) -> Search:
        config, memory = self.config, self.journal.memory_of(name)

        def heard(episode: Episode) -> None:
            if self.best is None or episode.outcome.reward > self.best.episode.outcome.reward:
                self.best = Found(name, episode)
            self.cost.tick()

        try:
            return run_search(
                name,
                searcher,
                self.problems(),
                config.episodes,
                config.seed,
                self.progress,
                writer,
                memory,
                heard,
            )
        except BrokenSearch as broken:
            if broken.episodes:
                self.run.write_text(f"episodes-{name}.csv", to_csv(broken.episodes))
            raise

    def _leave(self) -> str:
        """Write the best plan so far, and say where it is and how to go on."""
        found, path = [], self.run.path
        if self.best is not None:
            outcome = self.best.episode.outcome
            notes = {**self.config.network_notes(), "method": self.best.method, "interrupted": True}
            PruningPlan.from_levels(self.problem.space, outcome.levels, notes).save(path / PLAN)
            score = f"{self.problem.evaluator.task.metric} {outcome.quality.score:.4f}"
            found = [f"Best plan so far: {path / PLAN}, of {self.best.method} ({score} on the samples of the search)."]
        return " ".join([*found, f"Continue with: {commands.resume(path, self.config)}"])

    def _candidates(self, searches: dict[str, Search]) -> list[Candidate]:
        """Dense, uniform, filled, and the best finalist of each method, in the order of the table."""
        evaluator = self.problem.evaluator
        plans: list[tuple[str, str, list[Outcome], int | None]]
        plans = [(name, name, [outcome], None) for name, outcome in self.problem.unsearched.items()]
        for name, search in searches.items():
            best = list(search.best(self.config.finalists))
            plans.append((name, role_of(name, self.config.agent), best, search.evaluations))
        chosen = [dense_candidate(self.problem)]
        text = f"Scoring finalists on {len(self.material.task.validation)} validation samples"
        total = sum(len(outcomes) for _, _, outcomes, _ in plans)
        with self.progress.phase("finalists", text), self.progress.bar("finalists", total) as bar:
            for name, role, outcomes, evaluations in plans:
                found = finalists(outcomes, evaluator, partial(bar.step, name))
                chosen.append(candidate(name, role, found, evaluator, evaluations))
        return chosen
