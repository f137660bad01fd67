"""What a run tells about its network, samples and plans before it searches, and again in its notes."""

from __future__ import annotations

import shlex

import torch

from rlprune.choices.space import Space
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import PruningProblem
from rlprune.experiments.pipeline.reasons import alike, listed, told
from rlprune.experiments.runs.verdict import few_plans
from rlprune.experiments.settings.parsing import REST
from rlprune.networks.inputs import call
from rlprune.networks.network import Network
from rlprune.networks.outputs import everything, names_of, whole_for
from rlprune.tasks import Task

FEW = 100
"""Plans within a budget, from which down a run says how many there are."""


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


def of_statistics(evaluator: Evaluator) -> list[str]:
    """What BatchNorms are normalised with, and whether the samples carry it."""
    return evaluator.statistics.notes(evaluator.dense.samples, len(evaluator.task.validation))


def of_problem(problem: PruningProblem) -> list[str]:
    """Kinds of decisions that change nothing limited, and that there is little to search, where that is so."""
    idle = _idle_kinds(problem.space)
    lines = [f"Nothing limited is changed by {' or '.join(idle)}: left untouched."] if idle else []
    return [*of_statistics(problem.evaluator), *lines]


def _idle_kinds(space: Space) -> list[str]:
    """Kinds of which no choice has anything to decide."""
    return [kind for kind in space.kinds if all(len(c.levels) == 1 for c in space.choices if c.kind == kind)]


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
