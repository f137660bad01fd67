"""The first step: from settings and material to the problem, with its tables, export and device profile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rlprune.budgets.limits import Budget
from rlprune.budgets.planner import BudgetPlanner
from rlprune.costs.registry import known_costs
from rlprune.devices import Device, DeviceProfile
from rlprune.evaluation.batchnorm_choice import StatisticsChoice
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import PruningProblem
from rlprune.evaluation.workers import ParallelEvaluator, Workers
from rlprune.experiments.pipeline import remarks
from rlprune.experiments.pipeline.device_profile import describe, is_measured, needed_profile, refuse_hopeless
from rlprune.experiments.pipeline.loading import Material
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.settings.problem import ProblemConfig
from rlprune.pruning.tables import PruningTables


@dataclass(frozen=True, eq=False)
class Prepared:
    """What is searched, or replayed on, and where it is measured.

    Attributes:
        target: the device.
        profile: what the device promises; None where none was given and nothing needs one.
        problem: network, evaluator, costs, budgets and reward; of a range, at its upper end.
    """

    target: Device
    profile: DeviceProfile | None
    problem: PruningProblem


def prepare(
    config: ProblemConfig,
    material: Material,
    target: Device,
    progress: Progress,
    *,
    on_nan: str = "stop",
    statistics: StatisticsChoice | None = None,
    place: Callable[[], Path] | None = None,
) -> Prepared:
    """Prepare the tables, export, profile if a budget or the reward needs it, and state the problem.

    What cannot be met or exported is refused before anything takes long.

    Args:
        on_nan: see :class:`rlprune.evaluation.problem.PruningProblem`.
        statistics: of BatchNorms, where they were chosen before.
        place: asked where to keep a profile, once one is measured; None where it is not kept.

    Raises:
        BudgetError: a budget that cannot be met.
        NetworkError: the network cannot be exported.
        DeviceError, ProfileError: see :func:`needed_profile`.
    """
    text = f"Preparing the tables of {len(material.network.groups)} groups"
    with progress.phase("tables"), progress.bar(text, 100) as bar:
        evaluator = make_evaluator(material, config.samples, config.seed, statistics, bar.reach)
    progress.notes(remarks.untouched(evaluator))
    _check_countable(material, config.lowest_budgets())
    if target.runtime is not None:
        # The measurements use this export again.
        with progress.phase("export", f"Exporting {material.name}"):
            target.runtime.load(material.network, material.network.dense_widths)
        refuse_hopeless(material.space, target, config, progress)
    profile = needed_profile(material.space, target, config, progress, place)
    if profile is not None:
        progress.note(describe(profile))
    problem = make_problem(material, evaluator, profile, config.budgets(), config.reward, on_nan)
    progress.notes(remarks.of_problem(problem))
    if config.budget_range() is None:  # of a range other levels have other plans
        progress.notes(remarks.scarcity(problem))
    return Prepared(target, profile, problem)


def _check_countable(material: Material, budgets: list[Budget]) -> None:
    """Refuse impossible budgets on MACs and parameters before a profile takes its minutes."""
    countable = [budget for budget in budgets if not is_measured(budget)]
    costs = known_costs(material.space, None, [budget.metric for budget in countable])
    BudgetPlanner(material.space.choices, costs, countable)


def make_evaluator(
    material: Material,
    samples: int,
    seed: int,
    statistics: StatisticsChoice | None = None,
    progress: Callable[[float], None] | None = None,
) -> Evaluator:
    """Prepare the tables of a network and the evaluator on its task.

    Args:
        statistics: of BatchNorms, where they were chosen before.
        progress: told what share of the tables is prepared.
    """
    tables = PruningTables(material.network, material.task.calibration, seed=seed, progress=progress)
    return Evaluator(tables, material.task, samples=samples, statistics=statistics)


def make_problem(
    material: Material,
    evaluator: Evaluator,
    profile: DeviceProfile | None,
    budgets: Sequence[Budget],
    reward: str,
    on_nan: str = "stop",
) -> PruningProblem:
    """The problem on the widths that the profile allows.

    Raises:
        BudgetError: a budget that cannot be met.
    """
    space = material.space if profile is None else profile.restrict(material.space)
    costs = known_costs(space, profile, [budget.metric for budget in budgets])
    return PruningProblem(space, evaluator, costs, budgets, reward, on_nan)


@contextmanager
def in_processes(problem: PruningProblem, workers: int) -> Iterator[PruningProblem]:
    """The same problem with plans evaluated in several processes, while the block runs; with 1 worker, as it is.

    Raises:
        ConfigError, WorkerError: see :class:`rlprune.evaluation.workers.Workers`.
    """
    if workers == 1:
        yield problem
        return
    known = problem.evaluator
    samples, statistics, space = known.dense.samples, known.statistics, problem.space
    with Workers(workers, known.tables, known.task, samples, statistics, space, known.builder) as pool:
        evaluator = ParallelEvaluator(
            pool, known.tables, known.task, samples=samples, space=space, builder=known.builder
        )
        yield PruningProblem(space, evaluator, problem.costs, problem.planner.budgets, problem.reward, problem.on_nan)
