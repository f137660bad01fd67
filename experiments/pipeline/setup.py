"""From settings to the things a job works with: network, task, evaluator, problem."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from rlprune.budgets.limits import Budget
from rlprune.choices.choice import Choice
from rlprune.choices.space import Space
from rlprune.costs.registry import METRICS, known_costs
from rlprune.devices import DeviceProfile
from rlprune.errors import TaskError
from rlprune.evaluation.batchnorm_choice import StatisticsChoice
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import PruningProblem
from rlprune.evaluation.workers import ParallelEvaluator, Workers
from rlprune.experiments.pipeline.reasons import alike, listed, told
from rlprune.experiments.runs.result import StatedChoice
from rlprune.experiments.runs.verdict import few_plans
from rlprune.experiments.settings.parsing import REST
from rlprune.experiments.settings.problem import NetworkConfig
from rlprune.networks.inputs import call
from rlprune.networks.network import Network
from rlprune.networks.outputs import everything, names_of, whole_for
from rlprune.pruning.tables import PruningTables
from rlprune.tasks import Task, load_task
from rlprune.zoo import resolve_network
from rlprune.zoo.loaded import ExampleInputs


@dataclass(frozen=True, eq=False)
class Material:
    """What is pruned, and on which data.

    Attributes:
        name: as the network was asked for.
        space: what may be decided about it.
        known_task: None only where none is known and none was asked for.
    """

    name: str
    space: Space
    known_task: Task | None

    @property
    def network(self) -> Network:
        """With every width that rounding allows."""
        return self.space.network

    @property
    def task(self) -> Task:
        """Data and metric.

        Raises:
            TaskError: none is known for this network.
        """
        if self.known_task is None:
            raise TaskError(f"Network {self.name!r} does not say which task it was trained for. Name one with --task.")
        return self.known_task


def load_material(config: NetworkConfig, multiple: int) -> Material:
    """Load network and task; widths are multiples of ``multiple``.

    Raises:
        NetworkError, TaskError: see :func:`rlprune.zoo.resolve_network` and :func:`rlprune.tasks.load_task`.
    """
    loaded = resolve_network(config.network)
    name = config.task or loaded.task
    task = load_task(name, config.data_dir) if name else None
    examples = loaded.example_inputs
    if examples is None:
        if task is None:
            raise TaskError(
                f"Network {config.network!r} gives no example inputs; name a --task that has samples of them."
            )
        examples = task.calibration.take(1).arguments
    network = make_network(loaded.model, examples, config, multiple)
    return Material(config.network, Space(network, config.decisions()), task)


def make_network(model: nn.Module, examples: ExampleInputs, config: NetworkConfig, multiple: int) -> Network:
    """Find the groups, as the settings ask.

    Raises:
        NetworkError: see :class:`rlprune.networks.network.Network`.
    """
    rules = config.width_rules(multiple)
    return Network(
        model,
        examples,
        ignore=config.ignore,
        only=config.only,
        multiple=rules.multiple,
        minimum=rules.minimum,
        outputs=config.outputs,
    )


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


def labelled(space: Space) -> list[tuple[str, Choice]]:
    """Every choice with the name that tables and pictures give it; of its kind too, where there are several."""
    return [(f"{c.name} {c.kind}" if space.layered else c.name, c) for c in space.choices]


def choices_of(space: Space) -> list[StatedChoice]:
    """Every choice as a result states it; of mixed decisions with its kind and what it is of."""
    mixed = space.layered
    return [
        StatedChoice(label, c.full, c.kind if mixed else None, c.name if mixed else None)
        for label, c in labelled(space)
    ]


def idle_kinds(space: Space) -> list[str]:
    """Kinds of which no choice has anything to decide."""
    return [kind for kind in space.kinds if all(len(c.levels) == 1 for c in space.choices if c.kind == kind)]


FEW = 100
"""Plans within a budget, from which down a run says how many there are."""


def scarcity(problem: PruningProblem) -> list[str]:
    """That there is little to search, where that is so, and the remedy where widths are coarse."""
    planner = problem.planner
    plans = planner.count(FEW) if planner.limits else None
    if plans is None:
        return []
    told = f"{few_plans(plans, planner.budgets, planner.target)}, as plans must: there is little to search for."
    finer = _finer(problem.space)
    return [f"{told} Widths in finer steps give more plans: --multiple {finer}." if finer else told]


def _finer(space: Space) -> int:
    """The ``--multiple`` that halves the coarsest step of widths; 0 where no multiple does."""
    multiple = space.network.rules.multiple
    rest = multiple if isinstance(multiple, int) else multiple.get(REST, 8)
    decided = {choice.name for choice in space.choices if choice.kind == "channels" and len(choice.levels) > 1}
    steps = [g.widths[1] - g.widths[0] for g in space.network.groups if g.name in decided and len(g.widths) > 1]
    return min(rest, max(steps, default=1)) // 2


def untouched(evaluator: Evaluator) -> list[str]:
    """What pruning leaves alone, with the reasons: layers left whole, and consumers that are cut but not repaired."""
    network, tables = evaluator.tables.network, evaluator.tables
    titles = (("Left whole", network.left_whole), ("Cut, not repaired", tables.unrepaired))
    lines = [f"{title}: {told(reasons)}." for title, reasons in titles if reasons]
    return [*lines, *_outputs_told(network, evaluator.task)]


def _outputs_told(network: Network, task: Task) -> list[str]:
    """Which of several outputs hold layers though no score reads them, and which may change, as asked."""
    if len(network.output_names) < 2:
        return []
    with torch.no_grad():
        answer = call(network.model, network.example_inputs)
    kept, scored = names_of(network.outputs, answer), names_of(task.outputs, answer)
    held = {name: layers for name in kept if name not in scored and (layers := whole_for(network.left_whole, name))}
    free = [name for name in names_of(everything, answer) if name not in kept]
    lines = [f"May lose channels and change their order, as asked: output {listed(free)}."] if kept and free else []
    if scored and held:
        whole = alike(dict.fromkeys(layer for layers in held.values() for layer in layers))
        flags = " ".join(f"--outputs {shlex.quote(name)}" for name in scored)
        lines.append(f"Not scored, but kept whole: output {listed(held)}, and for it {whole}. {flags} makes it free.")
    return lines


def statistics_notes(evaluator: Evaluator) -> list[str]:
    """What BatchNorms are normalised with, and whether the samples carry it."""
    return evaluator.statistics.notes(evaluator.dense.samples, len(evaluator.task.validation))


def needs_profile(budgets: Sequence[Budget], reward: str) -> bool:
    """Whether a budget or the reward asks for measured costs."""
    return reward == "weighted" or any(is_measured(budget) for budget in budgets)


def is_measured(budget: Budget) -> bool:
    """Whether the budget is on a cost that only a device profile knows."""
    return METRICS[budget.metric].is_timed


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
    return PruningProblem(
        space, evaluator, known_costs(space, profile, [budget.metric for budget in budgets]), budgets, reward, on_nan
    )
