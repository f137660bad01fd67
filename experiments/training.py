"""The training job: search with every method, choose, measure, test once, write everything down."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from rlprune.agents import SEARCHERS
from rlprune.budget import Budget, BudgetPlanner
from rlprune.devices import Device, DeviceProfile, resolve_device
from rlprune.errors import ConfigError
from rlprune.experiments import outputs
from rlprune.experiments.config import ProblemConfig, TrainConfig, check_known
from rlprune.experiments.device import describe, fitting_profile, measure, new_profile
from rlprune.experiments.episodes import to_csv
from rlprune.experiments.progress import Progress
from rlprune.experiments.run_folder import PROFILE, RunFolder, check_free
from rlprune.experiments.scoring import Candidate, candidate, dense_candidate, score_on_test
from rlprune.experiments.searches import UNIFORM, Search, finalists, methods, run_search
from rlprune.experiments.setup import (
    Material,
    costs_of,
    fresh,
    is_measured,
    load_material,
    make_evaluator,
    make_problem,
    needs_profile,
    untouched,
)
from rlprune.experiments.tensorboard import EpisodeWriter
from rlprune.experiments.versions import versions
from rlprune.problem import PruningProblem
from rlprune.threads import torch_threads


def train(config: TrainConfig, command: str, progress: Progress | None = None) -> RunFolder:
    """Run the whole job and return its folder.

    Everything a user can get wrong is checked before anything is written; the folder is made when the search begins.

    Raises:
        RlpruneError: a setting or an input is wrong.
    """
    progress = progress or Progress()
    config.check()
    _check_searchers(config)
    check_free(config.folder())
    target = resolve_device(config.device, threads=config.threads)
    with torch_threads(config.threads):
        with progress.phase("load", f"Loading {config.network}"):
            material = load_material(config, config.multiple)
        problem, profile = prepare(config, material, target, progress)
        run = RunFolder.create(config.folder(), config, command, versions())
        with run.recording():
            Job(config, run, material, problem, profile, target, progress).execute()
    return run


def _check_searchers(config: TrainConfig) -> None:
    check_known("agent", [config.agent], sorted(SEARCHERS))
    check_known("baseline", config.baselines, sorted(SEARCHERS))
    if config.agent == UNIFORM:
        raise ConfigError("--agent must search; uniform is compared in every run. Choose ddpg, or --agent random.")


def prepare(
    config: ProblemConfig, material: Material, target: Device, progress: Progress
) -> tuple[PruningProblem, DeviceProfile | None]:
    """Prepare the tables, export, profile if a budget or the reward needs it, and state the problem."""
    budgets = config.budgets()
    profile = fitting_profile(target, material.network, config.watts)
    with progress.phase("tables", f"Preparing the tables of {len(material.network.groups)} groups"):
        evaluator = make_evaluator(material, config.samples, config.seed)
    for line in untouched(evaluator.tables):
        progress.note(line)
    _check_countable(material, budgets)
    if target.runtime is not None:
        # What cannot be exported is refused before the search; the measurements use this export again.
        with progress.phase("export", f"Exporting {material.name}"):
            target.runtime.load(material.network, material.network.dense_widths)
    if profile is None and needs_profile(budgets, config.reward):
        with progress.phase("profile"):
            profile = new_profile(material.network, target, config, progress)
    if profile is not None:
        progress.note(describe(profile))
    return make_problem(material, evaluator, profile, budgets, config.reward), profile


def _check_countable(material: Material, budgets: list[Budget]) -> None:
    """Refuse impossible budgets on MACs and parameters before a profile takes its minutes."""
    countable = [budget for budget in budgets if not is_measured(budget)]
    BudgetPlanner(material.network.groups, costs_of(material.network, None), countable)


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

    def execute(self) -> dict[str, Any]:
        """Search, choose, measure, test, write."""
        if self.profile is not None:
            self.profile.save(self.run.path / PROFILE)
        with ExitStack() as stack:
            writers = {name: stack.enter_context(self._writer(name)) for name in [UNIFORM, *self._methods()]}
            writers[UNIFORM].add_constant(self.problem.uniform, self.config.episodes)
            searches = self._searches(writers)
            candidates = self._candidates(searches)
            with self.progress.phase("measure"):
                power = measure(
                    candidates, self.material.network, self.profile, self.target, self.config, self.progress
                )
            with self.progress.phase("test", "Scoring the chosen plans on the test images, once"):
                score_on_test(candidates, self.problem.evaluator)
            facts = outputs.Facts(self.config, self.problem, self.profile, power, searches, candidates)
            return outputs.write_all(self.run, facts, writers, self.progress)

    def _methods(self) -> list[str]:
        return methods(self.config.agent, self.config.baselines)

    def _writer(self, name: str) -> EpisodeWriter:
        network = self.problem.network
        names, dense = [group.name for group in network.groups], network.dense_widths.tolist()
        return EpisodeWriter(self.run.path / "tensorboard" / name, names, dense, self.material.task.metric)

    def _searches(self, writers: dict[str, EpisodeWriter]) -> dict[str, Search]:
        found = {}
        for name in self._methods():
            problem = fresh(self.problem)
            with self.progress.phase(f"search {name}"):
                search = run_search(name, problem, self.config.episodes, self.config.seed, self.progress, writers[name])
            self.run.write_text(f"episodes-{name}.csv", to_csv(search.episodes))
            if name == self.config.agent and search.policy is not None:
                search.policy.save(self.run.path)
            found[name] = search
        return found

    def _candidates(self, searches: dict[str, Search]) -> list[Candidate]:
        """Dense, uniform, and the best finalist of each method, in the order of the table."""
        evaluator = self.problem.evaluator
        chosen = [dense_candidate(self.problem)]
        with self.progress.phase(
            "finalists", f"Scoring finalists on {len(self.material.task.validation)} validation images"
        ):
            chosen.append(candidate(UNIFORM, UNIFORM, finalists([self.problem.uniform], evaluator), evaluator))
            for name, search in searches.items():
                role = "learned" if name == self.config.agent else "baseline"
                ranked = finalists(search.best(self.config.finalists), evaluator)
                chosen.append(candidate(name, role, ranked, evaluator))
        return chosen
