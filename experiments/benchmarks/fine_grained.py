"""Densities per layer at equal remaining weights: what the refit brings, and what learning brings.

    python -m rlprune.experiments.benchmarks.fine_grained --network fashion-resnet20 --budget weights=0.1 --out out.json

AMC's fine-grained case (He et al., ECCV 2018, section 4.1): an agent chooses the density of every layer. Rivals at the
same number of remaining weights: the same density everywhere, one threshold for the whole network (Han et al., NeurIPS
2015), and searches with as many evaluations. Every plan is finished twice, its weights as they were and refitted by
least squares, BatchNorm re-estimated in both; some refitted ones are then fine-tuned, their masks held.
The pattern 2:4 in all layers stands beside them; it leaves about half. All is told on the validation samples; test
samples are scored once, at the end.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from rlprune.agents import best_outcomes
from rlprune.arrays import FloatArray, IntArray
from rlprune.budgets.limits import Budget
from rlprune.choices.scope import Scope
from rlprune.choices.space import Space
from rlprune.costs import WeightsCost
from rlprune.costs.registry import known_costs
from rlprune.delivery.delivered import Delivered
from rlprune.envs.plan_figure import new_figure
from rlprune.errors import ConfigError
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import PruningProblem
from rlprune.experiments.benchmarks.columns import groups, mean, percent, table, values
from rlprune.experiments.benchmarks.harness import Benchmark, Case, Row, Rows
from rlprune.experiments.benchmarks.searches import at_least, evaluator_of, material_of, searched, searcher_of
from rlprune.experiments.presenting.document import Section
from rlprune.finetuning.finetune import FineTuning, finetune
from rlprune.plans.builder import PlanBuilder
from rlprune.plans.treatment import PlanTensors
from rlprune.pruning.weights import WeightRule, global_densities

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FINE = range(1, 101)
EQUAL = 0.99
"""Least share of the budget that a compared plan uses, where the levels allow it."""
TUNED = ("uniform", "one threshold", "ddpg")
"""Methods whose plan of the first seed is fine-tuned: that takes longer than a search."""
NO_REFIT = "/no-refit"
"""Behind a method: its search sees weights that are not refitted."""
PATTERN = "2:4"


@dataclass(frozen=True)
class Subject:
    """A network with a budget on its weights.

    Attributes:
        coarse: what searches are given.
        fine: any whole percent in any layer; all plans are finished in it.
    """

    coarse: PruningProblem
    fine: PruningProblem

    @classmethod
    def of(cls, tables_of: Evaluator, budget: Budget) -> Subject:
        """Both problems on the tables of an evaluator."""
        network = tables_of.tables.network
        spaces = (Space(network, Scope(("weights",), densities)) for densities in (Scope.densities, FINE))
        coarse, fine = (problem_of(space, tables_of.deciding(space), budget) for space in spaces)
        return cls(coarse, fine)


def problem_of(space: Space, evaluator: Evaluator, budget: Budget) -> PruningProblem:
    """A budget on weights, of which plans use at least what the uniform one does, up to 99%."""
    problem = PruningProblem(space, evaluator, known_costs(space, None, [budget.metric]), [budget], "agreement")
    planner = problem.planner
    planner.target = min(EQUAL, float(planner.usage(planner.filled[None])[0]))
    return problem


def without_refit(evaluator: Evaluator) -> Evaluator:
    """One that leaves the weights which remain as they were."""
    tables, task, space = evaluator.tables, evaluator.task, evaluator.space
    builder = PlanBuilder(tables, space, task.calibration)
    builder.tensors = PlanTensors(tables, space)
    statistics = evaluator.statistics
    return Evaluator(tables, task, samples=evaluator.dense.samples, statistics=statistics, space=space, builder=builder)


def weights_of(problem: PruningProblem) -> dict[str, torch.Tensor]:
    """Layer -> weight, in the order of the choices."""
    state = problem.network.model.state_dict()
    keys = {layer.name: layer.weight or "" for layer in problem.network.layers}
    return {choice.name: state[keys[choice.name]] for choice in problem.space.choices}


def uniform(problem: PruningProblem) -> IntArray:
    """The same density in every layer."""
    share = problem.planner.budgets[0].value
    return fitted(problem, np.full(len(problem.space.choices), round(100 * share, 9)))


def one_threshold(problem: PruningProblem) -> IntArray:
    """The densities that one threshold for the whole network leaves."""
    densities = global_densities(weights_of(problem), problem.planner.budgets[0].value)
    return fitted(problem, 100 * np.array(list(densities.values())))


def fitted(problem: PruningProblem, percents: FloatArray) -> IntArray:
    """Whole percents near the wanted ones, ``[K]``, that use the budget.

    At least 1% stays. What that and rounding add is taken from the smallest layer of which one percent is enough, else
    from the largest; then what is left is given.
    """
    row: IntArray = np.maximum(np.floor(percents), 1).astype(np.int64)
    entries = np.array([weight.numel() for weight in weights_of(problem).values()])
    limit = problem.planner.limits["weights"]
    while (excess := (problem.planner.usage(row[None])[0] - 1) * limit) > 0 and (row > 1).any():
        step = np.where(row > 1, entries / 100, 0)
        enough = np.where(step >= excess, step, np.inf)
        row[enough.argmin() if np.isfinite(enough).any() else step.argmax()] -= 1
    for place in np.argsort(row - percents, kind="stable"):
        wider = row.copy()
        wider[place] = min(row[place] + 1, 100)
        if problem.planner.usage(wider[None])[0] <= 1:
            row = wider
    return row


def best_of(problem: PruningProblem, method: str, episodes: int, seed: int) -> IntArray:
    """The best plan of a search that starts with an empty cache."""
    name, _, refit = method.partition("/")
    evaluator = without_refit(problem.evaluator) if refit else problem.evaluator.fresh()
    own = problem_of(problem.space, evaluator, problem.planner.budgets[0])
    [winner] = best_outcomes(searched(own, name, episodes, seed).episodes, 1)
    return winner.levels


def plans(subject: Subject, case: Case) -> Iterator[tuple[str, int, IntArray]]:
    """Method, seed and plan."""
    yield "uniform", 0, uniform(subject.fine)
    yield "one threshold", 0, one_threshold(subject.fine)
    for method in case.methods:
        for seed in range(case.seeds):
            yield method, seed, best_of(subject.coarse, method, case.episodes, seed)


def finished(evaluator: Evaluator, row: IntArray, steps: int) -> Row:
    """Scores of a plan on the validation samples, and of the refitted network on the test samples."""
    task, plain = evaluator.task, without_refit(evaluator)
    bare, refit = plain.on(plain.repaired(row), task.validation), evaluator.delivered(row)
    mended = evaluator.on(refit.module, task.validation)
    found = {
        "levels": row.tolist(),
        "left": share_left(evaluator.space, row),
        "bare": bare.score, "bare_divergence": bare.divergence,
        "refitted": mended.score, "refitted_divergence": mended.divergence,
        "test": evaluator.score(refit.module, task.test),
    }  # fmt: skip
    if steps:
        tuned = held(refit, evaluator, FineTuning(steps=steps))
        found |= {"tuned": evaluator.score(tuned.module, task.validation)}
        found |= {"tuned_test": evaluator.score(tuned.module, task.test)}
    return found


def share_left(space: Space, row: IntArray) -> float:
    """Weights that remain of all."""
    left, entries = WeightsCost(space)(np.stack([row, space.full]))
    return float(left / entries)


def held(delivered: Delivered, evaluator: Evaluator, tuning: FineTuning) -> Delivered:
    """The network fine-tuned in place; what was removed stays removed."""
    frozen = {key: ~stored.mask for key, stored in delivered.stored.items() if stored.mask is not None}
    finetune(delivered.module, evaluator.task, tuning, frozen)
    return delivered


def run(case: Case) -> list[Row]:
    """2:4 in every layer that has at least four inputs, then every method and seed at every budget.

    Raises:
        BudgetError: a budget that cannot be met.
    """
    material = material_of(case)
    tables_of, task = evaluator_of(material, case), material.task
    model = material.network.model
    dense = {"dense": tables_of.score(model, task.validation), "dense_test": tables_of.score(model, task.test)}
    space = Space(material.network, Scope(("weights",), rule=WeightRule(PATTERN)))
    row = np.array([choice.levels[0] for choice in space.choices], dtype=np.int64)
    first = finished(tables_of.deciding(space), row, case.finetune_steps)
    rows = [{"budget": PATTERN, "method": PATTERN, "seed": 0, **dense, **first}]
    for budget in case.budget:
        subject = Subject.of(tables_of, Budget.parse(budget))
        for method, seed, plan in plans(subject, case):
            steps = case.finetune_steps if seed == 0 and method in TUNED else 0
            found = finished(subject.fine.evaluator, plan, steps)
            rows.append({"budget": budget, "method": method, "seed": seed, **dense, **found})
            print(f"{case.network} {budget} {method} seed {seed}: {found['refitted']:.2%}", file=sys.stderr)
    return rows


COLUMNS = {
    "weights left": percent("left"),
    "as pruned": percent("bare"),
    "refitted": percent("refitted"),
    "KL refitted": mean("refitted_divergence", ".3f"),
    "test": percent("test"),
    "tuned": percent("tuned"),
    "tuned, test": percent("tuned_test"),
}


def tables(rows: Rows) -> Iterator[Section]:
    """A table for each network and budget: a line a method, in percent."""
    for (network, budget), own in groups(rows, "network", "budget").items():
        title = f"{network}, {budget} (dense {own[0]['dense']:.2%}, test {own[0]['dense_test']:.2%})"
        yield Section(title, [table(own, ["method"], COLUMNS)])


def pictures(rows: Rows) -> Iterator[tuple[str, Figure]]:
    """Accuracy as pruned and refitted, a panel for each network and budget."""
    panels = groups([row for row in rows if row["budget"] != PATTERN], "network", "budget")
    figure, places = new_figure(len(panels), 3.4 * len(panels), 3.6)
    for axes, ((network, budget), own) in zip(places, panels.items(), strict=True):
        methods = groups(own, "method")
        for shift, (key, label) in enumerate((("bare", "as pruned"), ("refitted", "refitted"))):
            shares = [100 * np.array(values(runs, key)) for runs in methods.values()]
            spots = np.arange(len(shares)) + 0.4 * shift - 0.2
            axes.bar(spots, [one.mean() for one in shares], 0.38, yerr=[one.std() for one in shares], label=label)
        axes.axhline(100 * own[0]["dense"], color="black", linewidth=0.8, linestyle=":")
        axes.set_xticks(range(len(methods)), [name for (name,) in methods], rotation=40, ha="right")
        axes.set_title(f"{network}, {budget}", fontsize=9)
    places[0].set_ylabel("validation accuracy, %")
    places[0].legend(loc="lower right", fontsize=8)
    yield "fine-grained", figure


def flags(parser: argparse.ArgumentParser) -> None:
    """What can be asked for."""
    parser.add_argument("--network", nargs="+", default=["fashion-resnet20"], help="zoo names or module:function")
    parser.add_argument("--budget", nargs="+", default=["weights=0.2", "weights=0.1"], help="shares of the weights")
    parser.add_argument(
        "--methods", nargs="+", default=["random", "evolutionary", "ddpg", f"ddpg{NO_REFIT}"],
        help=f"searches; with {NO_REFIT} behind it one does without the refit",
    )  # fmt: skip
    parser.add_argument("--episodes", type=int, default=150, help="evaluations of a search, at most")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=512, help="validation images of one evaluation")
    parser.add_argument("--finetune-steps", type=int, default=430, help="430 are an epoch of Fashion-MNIST; 0 for none")


def check(options: Case) -> None:
    """Refuse flags out of range, unknown methods, and budgets on anything but a share of the weights."""
    at_least(options, seeds=1, episodes=1, finetune_steps=0)
    for budget in map(Budget.parse, options.budget):
        if budget.metric != "weights" or budget.unit:
            raise ConfigError(f"Budgets here are shares of the weights, such as weights=0.1; {budget} came.")
    for method in options.methods:
        searcher_of(method.removesuffix(NO_REFIT))


BENCHMARK = Benchmark("fine_grained", __doc__, flags, ("network",), run, tables, check, pictures)
main = BENCHMARK.main

if __name__ == "__main__":
    sys.exit(main())
