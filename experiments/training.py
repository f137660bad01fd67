"""The training job: search with every method, choose, measure, test once, write everything down."""

from __future__ import annotations

from rlprune.agents import AGENTS, METHODS
from rlprune.budget import Budget, BudgetPlanner
from rlprune.devices import Device, DeviceProfile, resolve_device
from rlprune.errors import ConfigError
from rlprune.experiments.config import ProblemConfig, check_known
from rlprune.experiments.cost import RunCost
from rlprune.experiments.device import describe, fitting_profile, new_profile
from rlprune.experiments.fronts import FrontJob
from rlprune.experiments.job import Job, searcher_of
from rlprune.experiments.progress import Progress
from rlprune.experiments.run_config import TrainConfig
from rlprune.experiments.run_folder import RunFolder, check_free
from rlprune.experiments.searches import UNIFORM
from rlprune.experiments.setup import (
    Material,
    costs_of,
    in_processes,
    is_measured,
    load_material,
    make_evaluator,
    make_problem,
    needs_profile,
    untouched,
)
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
        problem, profile = prepare(config, material, target, progress, config.on_nan)
        kind = Job if config.budget_range() is None else FrontJob
        with in_processes(problem, config.workers) as problem:
            kind.check(config, problem)
            run = RunFolder.create(config.folder(), config, command, versions())
            with run.recording():
                cost = RunCost(run.path)
                kind(config, run, material, problem, profile, target, progress, cost).execute()
                cost.end("complete")
    return run


def _check_searchers(config: TrainConfig) -> None:
    check_known("method", [config.agent], METHODS)
    check_known("baseline", config.baselines, METHODS)
    if config.agent == UNIFORM:
        raise ConfigError("What searches cannot be uniform, which is compared in every run. Choose ddpg or random.")
    if config.agent not in AGENTS and (config.preset != "default" or config.setting):
        raise ConfigError(f"{config.agent} has no presets and no settings. Leave --preset and --setting out.")
    searcher_of(config.agent, config)


def prepare(
    config: ProblemConfig, material: Material, target: Device, progress: Progress, on_nan: str = "stop"
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
    return make_problem(material, evaluator, profile, budgets, config.reward, on_nan), profile


def _check_countable(material: Material, budgets: list[Budget]) -> None:
    """Refuse impossible budgets on MACs and parameters before a profile takes its minutes."""
    countable = [budget for budget in budgets if not is_measured(budget)]
    BudgetPlanner(material.network.groups, costs_of(material.network, None), countable)
