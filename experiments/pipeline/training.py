"""The training job: search with every method, choose, measure, test once, write everything down."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rlprune.agents import METHODS, TUNABLE
from rlprune.budgets.limits import Budget
from rlprune.budgets.planner import BudgetPlanner
from rlprune.costs.registry import known_costs
from rlprune.devices import Device, DeviceProfile, resolve_device
from rlprune.errors import ConfigError, RunError
from rlprune.evaluation.batchnorm_choice import StatisticsChoice
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import PruningProblem
from rlprune.experiments.pipeline.fronts import FrontJob
from rlprune.experiments.pipeline.job import Job, searcher_of
from rlprune.experiments.pipeline.measuring_device import (
    describe,
    fitting_profile,
    lacks_mixes,
    new_profile,
    refuse_hopeless,
    with_mixes,
)
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.pipeline.setup import (
    Material,
    idle_kinds,
    in_processes,
    is_measured,
    load_material,
    make_evaluator,
    make_problem,
    needs_profile,
    scarcity,
    statistics_notes,
    untouched,
)
from rlprune.experiments.runs.free_folder import check_free
from rlprune.experiments.runs.interruption import Interrupted
from rlprune.experiments.runs.journal import Journal, read_journal
from rlprune.experiments.runs.result import UNSEARCHED
from rlprune.experiments.runs.run_cost import RunCost
from rlprune.experiments.runs.run_folder import PROFILE, RESUMABLE, RunFolder
from rlprune.experiments.runs.versions import versions
from rlprune.experiments.settings import commands
from rlprune.experiments.settings.options import check_known, words_of
from rlprune.experiments.settings.problem import ProblemConfig
from rlprune.experiments.settings.trust import refuse_code
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.support.threads import torch_threads


def train(config: TrainConfig, command: str, progress: Progress | None = None) -> RunFolder:
    """Run the whole job and return its folder; with ``config.resume``, go on with a run that was broken off.

    Everything a user can get wrong is checked before anything is written; the folder is made when the search begins, or
    before a profile is measured for it.

    Raises:
        RlpruneError: a setting or an input is wrong.
        Interrupted: the user wants to stop; it names the best plan so far and the command that continues.
    """
    progress = progress or Progress()
    if config.resume is not None:
        return resume(config.resume, config, progress)
    config.check()
    check_searchers(config)
    check_free(config.folder())
    opened = partial(RunFolder.create, config.folder(), config, command, versions())
    return _Session(config, progress, config.device, opened).work()


def resume(path: str, config: TrainConfig, progress: Progress) -> RunFolder:
    """Go on with a run that was broken off, to the result that it would have had.

    Args:
        config: of its settings, ``workers`` count; network and task must be named where they are code.

    Raises:
        ConfigError: other settings were given, or code of the run was not named.
        RunError: there is no run, it is complete, or another process works on it.
    """
    config.check_resume()
    run = RunFolder(path)
    run.state(*RESUMABLE)
    settings = replace(run.config(), out=path)
    _check_named(config, settings, run.path)
    if config.workers is not None:
        settings = replace(settings, workers=config.workers)
    settings.check()
    check_searchers(settings)
    measured = run.path / PROFILE
    read_journal(run.path)  # what cannot be repeated is refused before anything is written
    progress.note(f"Going on with {path}")
    device = str(measured) if measured.is_file() else settings.device
    return _Session(settings, progress, device, partial(RunFolder.resume, path)).work()


def _check_named(config: TrainConfig, settings: TrainConfig, path: Path) -> None:
    network = None if config.network == TrainConfig.network else config.network
    for name, given, own in (("network", network, settings.network), ("task", config.task, settings.task)):
        if given not in (None, own):
            raise ConfigError(
                f"A run is continued with its own settings; its {name} is {own}, {given} came. Leave it out."
            )
    refuse_code(path, settings, network, config.task)


@dataclass(eq=False)
class _Session:
    """One piece of work on a run.

    Attributes:
        config: its settings.
        device: the one that they name; of a run that goes on, its own profile where there is one.
        opened: the folder, ours while its context lasts.
    """

    config: TrainConfig
    progress: Progress
    device: str
    opened: Callable[[], AbstractContextManager[RunFolder]]

    def work(self) -> RunFolder:
        """Prepare, search, choose, measure, test, write."""
        config, progress, cost = self.config, self.progress, RunCost()
        target = resolve_device(self.device, threads=config.threads)
        with torch_threads(config.threads), ExitStack() as stack:
            with progress.phase("load", f"Loading {config.network}"):
                material = load_material(config, config.multiple)
            evaluator = prepared(config, material, target, progress)
            profile = fitting_profile(target, material.network, config.watts)
            run: RunFolder | None = None
            if profile is None and needs_profile(config.budgets(), config.reward):
                run = stack.enter_context(self._open(cost))
                profile = new_profile(material.network, target, config, progress, run.path / PROFILE)
                words = shlex.join(words_of("device", run.path / PROFILE))
                progress.note(f"Other runs can use this profile: {words}")
            needed = needs_profile(config.budgets(), config.reward)
            if profile is not None and needed and lacks_mixes(profile, material.space):
                run = run or stack.enter_context(self._open(cost))
                profile = with_mixes(profile, material.space, target, config, progress, run.path / PROFILE)
            problem = stated(config, material, evaluator, profile, progress, config.on_nan)
            _note_idle_workers(config, progress)
            problem = stack.enter_context(in_processes(problem, config.workers or 1))
            kind = Job if config.budget_range() is None else FrontJob
            kind.check(config, problem)
            run = run or stack.enter_context(self._open(cost))
            if profile is not None:
                profile.save(run.path / PROFILE)
            journal = stack.enter_context(closing(Journal(run.path)))
            kind(config, run, material, problem, profile, target, progress, cost, journal).execute()
        return run

    @contextmanager
    def _open(self, cost: RunCost) -> Iterator[RunFolder]:
        with self.opened() as run, cost.kept(run):
            try:
                yield run
            except Interrupted:
                raise
            except KeyboardInterrupt as reason:
                raise Interrupted(f"Continue with: {commands.resume(run.path, self.config)}") from reason
            except OSError as reason:  # of a library that writes for us
                raise RunError(
                    f"Cannot write to {run.path}: {reason.strerror or reason}. What stands there is safe. Make room. "
                    f"Continue with: {commands.resume(run.path, self.config)}"
                ) from reason


def _note_idle_workers(config: TrainConfig, progress: Progress) -> None:
    envs = getattr(getattr(searcher_of(config.agent, config), "settings", None), "envs", None)
    if envs is not None and config.workers is not None and envs < config.workers:
        progress.note(
            f"{config.agent} runs {envs} episodes at once, so of {config.workers} workers some are idle; "
            f"--setting envs={config.workers} makes use of them (and another search)."
        )


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


def prepare(
    config: ProblemConfig,
    material: Material,
    target: Device,
    progress: Progress,
    on_nan: str = "stop",
    statistics: StatisticsChoice | None = None,
) -> tuple[PruningProblem, DeviceProfile | None]:
    """Prepare the tables, export, profile if a budget or the reward needs it, and state the problem.

    Args:
        statistics: of BatchNorms, where they were chosen before.
    """
    evaluator = prepared(config, material, target, progress, statistics)
    profile = fitting_profile(target, material.network, config.watts)
    if profile is None and needs_profile(config.budgets(), config.reward):
        profile = new_profile(material.network, target, config, progress)
    if profile is not None:
        profile = with_mixes(profile, material.space, target, config, progress)
    return stated(config, material, evaluator, profile, progress, on_nan), profile


def prepared(
    config: ProblemConfig,
    material: Material,
    target: Device,
    progress: Progress,
    statistics: StatisticsChoice | None = None,
) -> Evaluator:
    """The evaluator with its tables; what cannot be met or exported is refused before anything takes long."""
    text = f"Preparing the tables of {len(material.network.groups)} groups"
    with progress.phase("tables"), progress.bar(text, 100) as bar:
        evaluator = make_evaluator(material, config.samples, config.seed, statistics, bar.reach)
    for line in untouched(evaluator):
        progress.note(line)
    _check_countable(material, config.lowest_budgets())
    if target.runtime is not None:
        # The measurements use this export again.
        with progress.phase("export", f"Exporting {material.name}"):
            target.runtime.load(material.network, material.network.dense_widths)
        refuse_hopeless(material.space, target, config, progress)
    return evaluator


def stated(
    config: ProblemConfig,
    material: Material,
    evaluator: Evaluator,
    profile: DeviceProfile | None,
    progress: Progress,
    on_nan: str,
) -> PruningProblem:
    """The problem as the settings and the profile state it."""
    if profile is not None:
        progress.note(describe(profile))
    problem = make_problem(material, evaluator, profile, config.budgets(), config.reward, on_nan)
    for line in statistics_notes(problem.evaluator):
        progress.note(line)
    if idle := idle_kinds(problem.space):
        progress.note(f"Nothing limited is changed by {' or '.join(idle)}: left untouched.")
    for line in [] if config.budget_range() else scarcity(problem):  # of a range other levels have other plans
        progress.note(line)
    return problem


def _check_countable(material: Material, budgets: list[Budget]) -> None:
    """Refuse impossible budgets on MACs and parameters before a profile takes its minutes."""
    countable = [budget for budget in budgets if not is_measured(budget)]
    BudgetPlanner(
        material.space.choices, known_costs(material.space, None, [budget.metric for budget in countable]), countable
    )
