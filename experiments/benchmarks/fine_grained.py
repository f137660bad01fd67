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
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from rlprune.agents import best_outcomes, make_searcher
from rlprune.arrays import FloatArray, IntArray
from rlprune.budgets.limits import Budget
from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.costs import WeightsCost
from rlprune.costs.registry import known_costs
from rlprune.delivery.delivered import Delivered
from rlprune.envs import LayerPruningEnv
from rlprune.errors import ConfigError
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import PruningProblem
from rlprune.experiments.benchmarks.fine_grained_report import SCHEMA, draw, print_report
from rlprune.experiments.benchmarks.script import run_script
from rlprune.experiments.pipeline.setup import load_material, make_evaluator
from rlprune.experiments.settings.problem import NetworkConfig
from rlprune.finetuning.finetune import FineTuning, finetune
from rlprune.plans.builder import PlanBuilder
from rlprune.plans.treatment import PlanTensors
from rlprune.pruning.weights import WeightRule, global_densities

FINE = range(1, 101)
EQUAL = 0.99
"""Least share of the budget that a compared plan uses, where the levels allow it."""
SPLITS = ("validation", "test")
TUNED = ("uniform", "one threshold", "ddpg")
"""Methods whose plan of the first seed is fine-tuned: that takes longer than a search."""
NO_REFIT = "/no-refit"
"""Behind a method: its search sees weights that are not refitted."""


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
        spaces = (Space(network, Decisions(("weights",), densities)) for densities in (Decisions.densities, FINE))
        coarse, fine = (problem_of(space, tables_of.deciding(space), budget) for space in spaces)
        return cls(coarse, fine)


def problem_of(space: Space, evaluator: Evaluator, budget: Budget) -> PruningProblem:
    """A budget on weights, which is used to 99% where the uniform plan does."""
    return tight(PruningProblem(space, evaluator, known_costs(space, None, [budget.metric]), [budget], "agreement"))


def tight(problem: PruningProblem) -> PruningProblem:
    """The same problem; its plans use at least what the uniform one does, up to 99% of the budget."""
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


def searched(problem: PruningProblem, method: str, episodes: int, seed: int) -> IntArray:
    """The best plan of a search that starts with an empty cache."""
    name, _, refit = method.partition("/")
    evaluator = without_refit(problem.evaluator) if refit else problem.evaluator.fresh()
    own = problem_of(problem.space, evaluator, problem.planner.budgets[0])
    [winner] = best_outcomes(make_searcher(name).search(LayerPruningEnv(own), episodes, seed).episodes, 1)
    return winner.levels


FIXED = {"uniform": uniform, "one threshold": one_threshold}


def plans(subject: Subject, options: argparse.Namespace) -> Iterator[tuple[str, int, IntArray]]:
    """Method, seed and plan."""
    for name, make in FIXED.items():
        yield name, 0, make(subject.fine)
    for method in options.methods:
        for seed in range(options.seeds):
            yield method, seed, searched(subject.coarse, method, options.episodes, seed)


def finished(evaluator: Evaluator, row: IntArray, tuning: FineTuning | None) -> dict[str, Any]:
    """Scores of a plan on the validation samples, and of the refitted network on the test samples."""
    task, plain = evaluator.task, without_refit(evaluator)
    bare, refit = plain.on(plain.repaired(row), task.validation), evaluator.delivered(row)
    mended = evaluator.on(refit.module, task.validation)
    found = {
        "levels": row.tolist(),
        "remaining": float(WeightsCost(evaluator.space)(row[None])[0]),
        "bare": bare.score, "bare_divergence": bare.divergence,
        "refitted": mended.score, "refitted_divergence": mended.divergence,
        "test": evaluator.score(refit.module, task.test),
    }  # fmt: skip
    if tuning is not None:
        tuned = held(refit, evaluator, tuning)
        found |= {"tuned": evaluator.score(tuned.module, task.validation)}
        found |= {"tuned_test": evaluator.score(tuned.module, task.test)}
    return found


def held(delivered: Delivered, evaluator: Evaluator, tuning: FineTuning) -> Delivered:
    """The network fine-tuned in place; what was removed stays removed."""
    frozen = {key: ~stored.mask for key, stored in delivered.stored.items() if stored.mask is not None}
    finetune(delivered.module, evaluator.task, tuning, frozen)
    return delivered


def pattern_row(tables_of: Evaluator, tuning: FineTuning | None) -> dict[str, Any]:
    """2:4 in every layer that has at least four inputs."""
    space = Space(tables_of.tables.network, Decisions(("weights",), rule=WeightRule("2:4")))
    row = np.array([choice.levels[0] for choice in space.choices], dtype=np.int64)
    return {"method": "2:4", "seed": 0, "budget": "2:4", **finished(tables_of.deciding(space), row, tuning)}


def run(network: str, options: argparse.Namespace) -> dict[str, Any]:
    """All rows of one network.

    Raises:
        BudgetError: a budget that cannot be met.
    """
    material = load_material(NetworkConfig(network=network, data_dir=options.data_dir), 8)
    tables_of = make_evaluator(material, options.samples, 0)
    tuning = FineTuning(steps=options.finetune_steps) if options.finetune_steps else None
    dense = {name: tables_of.score(material.network.model, getattr(material.task, name)) for name in SPLITS}
    rows = [pattern_row(tables_of, tuning)]
    for text in options.budget:
        subject = Subject.of(tables_of, Budget.parse(text))
        for method, seed, plan in plans(subject, options):
            own = tuning if seed == 0 and method in TUNED else None
            rows.append({"method": method, "seed": seed, "budget": text} | finished(subject.fine.evaluator, plan, own))
            print(f"{network} {text} {method} seed {seed}: {rows[-1]['refitted']:.2%}", file=sys.stderr)
    entries = float(WeightsCost(material.network)(material.network.dense_widths[None])[0])
    return {"network": network, "entries": entries, "dense": dense, "rows": rows}


def check(options: argparse.Namespace) -> None:
    """Refuse flags out of range before anything is computed.

    Raises:
        ConfigError: it names the flag.
    """
    if options.seeds < 1 or options.episodes < 1 or options.finetune_steps < 0:
        raise ConfigError("--seeds and --episodes must be at least 1, --finetune-steps at least 0.")
    for budget in map(Budget.parse, options.budget):
        if budget.metric != "weights" or budget.unit:
            raise ConfigError(f"Budgets here are shares of the weights, such as weights=0.1; {budget} came.")
    for method in options.methods:
        make_searcher(method.removesuffix(NO_REFIT))


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Run, print, and return the report."""
    check(options)
    tuning = asdict(FineTuning(steps=options.finetune_steps)) if options.finetune_steps else None
    networks = [run(network, options) for network in options.network]
    report = {"schema": SCHEMA, "settings": vars(options), "fine_tuning": tuning, "networks": networks}
    print_report(report, options.markdown)
    if options.picture:
        draw(report, options.picture)
    return report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
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
    parser.add_argument("--markdown", help="Markdown file for the tables")
    parser.add_argument("--picture", help="PNG file for the picture")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    return run_script(__doc__, add_arguments, execute, arguments)


if __name__ == "__main__":
    sys.exit(main())
