"""The case of an article on multi-objective pruning: a 784-64-10 network, five rounds of a rising threshold.

    python -m rlprune.experiments.benchmarks.article_case --out case.json --markdown case.md --picture case.png

For each seed the network is trained anew on Fashion-MNIST. The article's loop (one threshold for all layers, its sign
right) runs on it, and every other method prunes to as many weights as the loop left in each round. Each round starts
from the dense network. Printed are validation accuracies as pruned and after a short fine-tune in which removed weights
stay as they are, and the fewest weights with which the refitted network loses no more than the loop's last round. All
choices are made on validation samples; the test samples are scored once, when every network is finished.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from rlprune.errors import ConfigError
from rlprune.experiments.benchmarks.article_methods import (
    LOOP,
    METHODS,
    REFERENCE,
    Case,
    Method,
    Pruned,
    outputs,
)
from rlprune.experiments.benchmarks.article_report import SCHEMA, draw, markdown_report, print_report
from rlprune.experiments.benchmarks.script import run_script
from rlprune.finetuning.finetune import FineTuning, finetune
from rlprune.finetuning.threshold_loop import Measurement, ThresholdLoop
from rlprune.pruning.thresholds import WeightPruningStrategy
from rlprune.support.files import write_atomic
from rlprune.support.progress import counted
from rlprune.tasks import Task, load_task
from rlprune.zoo import zoo_entry
from rlprune.zoo.train import RECIPES, trained

NETWORK = "fashion-dense"
START, ALPHA = 0.55, 0.09
"""First threshold and step, in root mean squares of the weights: chosen so that a round costs about 1.2 points."""
BYTES = 4


@dataclass(frozen=True)
class Finished:
    """A network that only waits for the test samples, and its record."""

    row: dict[str, Any]
    pruned: nn.Module
    tuned: nn.Module


def run_loop(case: Case, rounds: int) -> list[tuple[float, int]]:
    """Threshold and remaining weights of each round.

    Zeros change neither latency nor energy of a runtime that multiplies them all the same, so size is the target here:
    a tenth, which the loop does not reach in its rounds, at a loss of at most 10 points.
    """
    dense = case.accuracy(case.model, case.task.validation)
    loop = ThresholdLoop(
        Measurement(accuracy=dense - 0.1, size_bytes=0.1 * BYTES * case.entries),
        start=START * case.rms,
        alpha=ALPHA,
        scale=case.rms,
        rounds=rounds,
        ceiling=WeightPruningStrategy.ceiling(case.weights),
    )
    result = []
    while loop.finished is None:
        strategy = WeightPruningStrategy(loop.threshold)
        done = LOOP.apply(case, strategy.shares(case.weights))
        result.append((loop.threshold, done.remaining))
        accuracy = case.accuracy(done.model, case.task.validation)
        loop.report(Measurement(accuracy=accuracy, size_bytes=BYTES * done.remaining))
    return result


def finished(case: Case, method: Method, remaining: int, tuning: FineTuning, row: dict[str, Any]) -> Finished:
    """Prune, measure on validation samples, fine-tune, measure again."""
    done = method.prune(case, remaining)
    tuned = fine_tuned(done, case.task, tuning)
    row |= {
        "remaining": done.remaining,
        "densities": done.densities,
        "divergence": case.divergence(done.model),
        "validation": case.accuracy(done.model, case.task.validation),
        "validation_tuned": case.accuracy(tuned, case.task.validation),
    }
    return Finished(row, done.model, tuned)


def fine_tuned(done: Pruned, task: Task, tuning: FineTuning) -> nn.Module:
    """A copy that was trained for a while; removed weights keep their value."""
    frozen = {f"{name}.weight": ~mask for name, mask in done.masks.items()}
    return finetune(copy.deepcopy(done.model), task, tuning, frozen)


def fewest(case: Case, method: Method, accuracy: float, most: int) -> int:
    """The fewest weights, to a percent of the network, at which a method reaches an accuracy on validation samples."""
    for percent in range(1, 100):
        remaining = percent * case.entries // 100
        if remaining >= most:
            break
        if case.accuracy(method.prune(case, remaining).model, case.task.validation) >= accuracy:
            return remaining
    return most


def run_seed(seed: int, task: Task, options: argparse.Namespace) -> list[Finished]:
    """One seed's dense network, and everything that was made of it."""
    recipe = replace(RECIPES[NETWORK], seed=seed, epochs=options.epochs or RECIPES[NETWORK].epochs)
    case = Case(trained(zoo_entry(NETWORK), recipe, task.train), task, seed)
    tuning = FineTuning(steps=max(1, len(task.train) // FineTuning.batch), seed=seed)
    rounds = run_loop(case, options.rounds)
    networks = [
        finished(
            case, method, remaining, tuning, {"seed": seed, "method": method.name, "round": number, "threshold": limit}
        )
        for method in METHODS
        for number, (limit, remaining) in enumerate(rounds, 1)
    ]
    last = {item.row["method"]: item.row for item in networks}
    tuned = fine_tuned(Pruned(case.model, {}), task, tuning)
    facts = {
        "seed": seed,
        "rms": case.rms,
        "entries": case.entries,
        "validation": case.accuracy(case.model, task.validation),
        "validation_tuned": case.accuracy(tuned, task.validation),
        "fewest": fewest(case, REFERENCE, last[LOOP.name]["validation"], rounds[-1][1]),
    }
    return [Finished(facts, case.model, tuned), *networks]


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Run, print, and return the report."""
    if options.rounds < 1 or (options.epochs or 1) < 1:
        raise ConfigError(f"Rounds and epochs must be at least 1; {options.rounds} and {options.epochs} came.")
    task = load_task(zoo_entry(NETWORK).task, options.data_dir)
    results = [run_seed(seed, task, options) for seed in counted(options.seeds, "seeds")]
    for item in itertools.chain.from_iterable(results):  # nothing is chosen after this
        for key, model in (("test", item.pruned), ("test_tuned", item.tuned)):
            item.row[key] = task.score(outputs(model, task.test), task.test.targets)
    report = {
        "schema": SCHEMA,
        "settings": vars(options) | {"start": START, "alpha": ALPHA},
        "networks": [dense.row for dense, *_ in results],
        "rows": [item.row for _, *networks in results for item in networks],
    }
    print_report(report)
    if options.markdown:
        write_atomic(Path(options.markdown), markdown_report(report).encode(), ConfigError)
    if options.picture:
        draw(report, Path(options.picture))
    return report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="of training, sampling, fine-tuning")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="of training (default: the recipe's)")
    parser.add_argument("--markdown", help="Markdown file to write the tables to")
    parser.add_argument("--picture", help="PNG file to write")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    return run_script(__doc__, add_arguments, execute, arguments)


if __name__ == "__main__":
    sys.exit(main())
