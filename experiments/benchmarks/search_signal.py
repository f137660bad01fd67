"""How well a cheap evaluation ranks plans: rank correlation with the accuracy that finished plans reach.

    python -m rlprune.experiments.benchmarks.search_signal --out signal.json --markdown signal.md

Random plans within a budget are evaluated on few and many validation images, with and without BatchNorm's batch
statistics, by three signals: accuracy, cross-entropy to the labels, KL to the dense network. The truth is the accuracy
of the finished network (BatchNorm re-estimated) on validation images that no signal saw, and, for some of the plans,
its accuracy there after a short fine-tune. Printed are Spearman's rho of each signal with both, and the time of one
evaluation's forward pass. At least half of the validation images are kept for the truth.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import rankdata

from rlprune.agents import make_searcher
from rlprune.arrays import FloatArray, IntArray
from rlprune.budgets.limits import Budget
from rlprune.devices import DeviceProfile
from rlprune.envs import LayerPruningEnv
from rlprune.errors import ConfigError, RlpruneError, TaskError
from rlprune.evaluation.batchnorm_choice import StatisticsChoice
from rlprune.evaluation.evaluator import Evaluator
from rlprune.experiments.benchmarks.script import run_script
from rlprune.experiments.pipeline.setup import Material, load_material, make_evaluator, make_problem
from rlprune.experiments.runs.tables import markdown, print_table
from rlprune.experiments.settings.config import NetworkConfig
from rlprune.finetuning.finetune import FineTuning, finetune
from rlprune.networks import layout
from rlprune.support.files import write_atomic
from rlprune.support.progress import counted
from rlprune.tasks import Split

SCHEMA = "rlprune-search-signal/2"
NETWORKS = ["digits-resnet", "fashion-resnet20", "fashion-vgg", "fashion-mobilenet"]
SIGNALS = {"accuracy": "accuracy", "cross_entropy": "cross-entropy", "divergence": "KL"}
STATES = {"pruned": "", "fine_tuned": ", fine-tuned"}
FEWEST_PLANS = 3
RESAMPLES = 1000


def run(network: str, options: argparse.Namespace) -> dict[str, Any]:
    """All figures of one network; ``rows`` has one entry for each number of images, without and with statistics.

    Raises:
        ConfigError: the budget leaves fewer than 3 different plans.
        TaskError: the task states no classes, or plans are to be fine-tuned and it has no train split.
    """
    material = load_material(NetworkConfig(network=network, data_dir=options.data_dir), 8)
    if material.task.classes is None:
        raise TaskError(
            f"Cross-entropy to the labels needs a task with classes; {material.task.name!r} states none. "
            "Name another network."
        )
    counts = image_counts(options.samples, len(material.task.validation))
    evaluator = make_evaluator(material, counts[0], options.seed)
    plans = draw(material, evaluator, options)
    unseen = after(material.task.validation, counts[-1])
    truth = truths(evaluator, plans, unseen, options)
    rows = [
        row_of(
            Evaluator(evaluator.tables, evaluator.task, samples=count, statistics=StatisticsChoice(own)), plans, truth
        )
        for count in counted(counts, f"{network}: signals")
        for own in (0.0, 1.0)
    ]
    return {
        "network": network,
        "unseen_images": len(unseen),
        "dense_accuracy": evaluator.on(evaluator.tables.network.model, unseen).score,
        "plans": [plan.tolist() for plan in plans],
        "truth": truth,
        "rows": rows,
    }


def image_counts(asked: Sequence[int], available: int) -> list[int]:
    """The numbers of images, ascending and without doubles, at most half of the ``available`` ones."""
    return sorted({min(count, max(1, available // 2)) for count in asked})


def after(split: Split, count: int) -> Split:
    """The samples behind the first ``count``."""
    return Split(split.batch(count, len(split)), split.targets[count:])


def draw(material: Material, evaluator: Evaluator, options: argparse.Namespace) -> list[IntArray]:
    """Different random plans within the budget, in the order in which they were drawn."""
    profile = DeviceProfile.load(options.profile) if options.profile else None
    problem = make_problem(material, evaluator, profile, [Budget.parse(options.budget)], "agreement")
    drawn = make_searcher("random").search(LayerPruningEnv(problem), options.plans, options.seed).episodes
    plans = list({tuple(episode.outcome.levels.tolist()): episode.outcome.levels for episode in drawn}.values())
    if len(plans) < FEWEST_PLANS:
        raise ConfigError(
            f"A rank correlation needs at least {FEWEST_PLANS} plans; {options.budget} leaves {len(plans)} different "
            f"ones of {material.name}. Choose another budget, or more --plans."
        )
    return plans


def truths(
    evaluator: Evaluator, plans: Sequence[IntArray], unseen: Split, options: argparse.Namespace
) -> dict[str, list[float]]:
    """Accuracy of finished plans on unseen images, of all plans and of the first ones after a short fine-tune."""
    truth: dict[str, list[float]] = {state: [] for state in STATES}
    settings = FineTuning(steps=options.finetune_steps, seed=options.seed)
    for number, plan in enumerate(counted(plans, "finished plans")):
        model = evaluator.repaired(plan)
        truth["pruned"].append(accuracy(evaluator, model, unseen))
        if number < options.finetune_plans:
            finetune(model, evaluator.task, settings)
            truth["fine_tuned"].append(accuracy(evaluator, model, unseen))
    return truth


def accuracy(evaluator: Evaluator, model: torch.nn.Module, unseen: Split) -> float:
    """The task's score of a finished network; it is left with the layout that runs faster."""
    return evaluator.score(layout.to_channels_last(model) if evaluator.tables.channels_last else model, unseen)


def row_of(cheap: Evaluator, plans: Sequence[IntArray], truth: dict[str, list[float]]) -> dict[str, Any]:
    """Signals of all plans by one kind of evaluation, and how they rank with the truth."""
    dense = cheap.outputs(cheap.tables.network.dense_widths)
    warmed_up = cheap.seconds
    signals = [signals_of(cheap, cheap.outputs(plan), dense) for plan in plans]
    ms = (cheap.seconds - warmed_up) / len(plans) * 1e3
    values = {name: [signal[name] for signal in signals] for name in SIGNALS}
    told = {name: np.array(value) * (1 if name == "accuracy" else -1) for name, value in values.items()}
    known = {state: np.array(scores) for state, scores in truth.items() if len(scores) >= FEWEST_PLANS}
    return {
        "images": len(dense),
        "batch_statistics": cheap.statistics.share == 1,
        "ms": ms,
        "rho": table_of(lambda own, score: float(rho(own, score)), told, known),
        "standard_error": table_of(standard_error, told, known),
        "values": values,
    }


def table_of(
    measure: Callable[[FloatArray, FloatArray], float], told: dict[str, FloatArray], known: dict[str, FloatArray]
) -> dict[str, dict[str, float]]:
    """``measure`` of each signal with each truth, over the plans whose truth is known: the first ones."""
    return {
        state: {name: measure(own[: len(score)], score) for name, own in told.items()} for state, score in known.items()
    }


def signals_of(cheap: Evaluator, outputs: torch.Tensor, dense: torch.Tensor) -> dict[str, float]:
    """What one evaluation says about a plan; ``outputs`` and ``dense`` are ``[images, classes, ...]``."""
    labels = cheap.task.validation.take(len(outputs)).targets.to(outputs.device)
    return {
        "accuracy": cheap.task.score(outputs, labels),
        "cross_entropy": float(torch.nn.functional.cross_entropy(outputs.double(), labels.long())),
        "divergence": cheap.task.divergence(outputs, dense),
    }


def rho(first: npt.ArrayLike, second: npt.ArrayLike) -> FloatArray:
    """Spearman's rank correlation along the last axis; 0 where all values are equal, which ranks nothing."""
    ranks = [rankdata(values, axis=-1) for values in (first, second)]
    a, b = (rank - rank.mean(axis=-1, keepdims=True) for rank in ranks)
    size = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    return np.asarray((a * b).sum(axis=-1) / np.where(size > 0, size, 1))


def standard_error(first: FloatArray, second: FloatArray) -> float:
    """Of Spearman's rho, over plans drawn anew with replacement (Efron 1979)."""
    chosen = np.random.default_rng(0).integers(len(first), size=(RESAMPLES, len(first)))
    return float(rho(first[chosen], second[chosen]).std())


def facts(result: dict[str, Any], report: dict[str, Any]) -> str:
    """One paragraph: on what the table of a network stands."""
    settings, tuning, tuned = report["settings"], report["fine_tuning"], result["truth"]["fine_tuned"]
    parts = [
        f"{len(result['plans'])} random plans, {settings['budget']}; "
        f"accuracy on {result['unseen_images']} unseen images: "
        f"dense {result['dense_accuracy']:.3f}, pruned {spread(result['truth']['pruned'])}"
    ]
    if tuned:
        parts.append(f"the first {len(tuned)} plans after {tuning['steps']} steps of fine-tuning {spread(tuned)}")
    for state in result["rows"][0]["standard_error"]:
        errors = [error for row in result["rows"] for error in row["standard_error"][state].values()]
        parts.append(f"median standard error of rho{STATES[state]} {np.median(errors):.2f}")
    return "; ".join(parts) + "."


def spread(values: Sequence[float]) -> str:
    """Smallest, median and largest value."""
    return f"{min(values):.3f} to {max(values):.3f} (median {np.median(values):.3f})"


def table(result: dict[str, Any], bold: str) -> tuple[list[str], list[list[str]]]:
    """Heads and cells; the best rho of each column stands between two ``bold``."""
    rows = result["rows"]
    columns = [(state, name) for state in rows[0]["rho"] for name in SIGNALS]
    best = {column: max(f"{row['rho'][column[0]][column[1]]:.3f}" for row in rows) for column in columns}
    heads = ["images", "statistics", *(f"{SIGNALS[name]}{STATES[state]}" for state, name in columns), "ms"]
    cells = []
    for row in rows:
        figures = {(state, name): f"{row['rho'][state][name]:.3f}" for state, name in columns}
        marked = [f"{bold}{text}{bold}" if text == best[column] else text for column, text in figures.items()]
        cells.append([str(row["images"]), "yes" if row["batch_statistics"] else "no", *marked, f"{row['ms']:.1f}"])
    return heads, cells


def section(report: dict[str, Any]) -> str:
    """The report as a section of a Markdown document."""
    parts = ["## The search signal"]
    for result in report["networks"]:
        parts += [f"### `{result['network']}`", facts(result, report), markdown(*table(result, "**"))]
    return "\n\n".join(parts) + "\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
    parser.add_argument("--network", nargs="+", default=NETWORKS, help="zoo names or module:function")
    parser.add_argument("--budget", default="macs=0.5")
    parser.add_argument("--profile", help="device profile, for a budget on latency or energy")
    parser.add_argument("--plans", type=int, default=40)
    parser.add_argument("--samples", nargs="+", type=int, default=[32, 64, 128, 256, 512, 1024, 2048])
    parser.add_argument("--finetune-plans", type=int, default=12, help="the first of the plans; 0 for none")
    parser.add_argument("--finetune-steps", type=int, default=100)
    parser.add_argument("--markdown", help="Markdown file to write")
    parser.add_argument("--seed", type=int, default=0)


def check(options: argparse.Namespace) -> None:
    """Refuse flags out of range before anything is computed.

    Raises:
        ConfigError: it names the flag.
    """
    fewest = f"a rank correlation needs {FEWEST_PLANS}"
    rules = (
        ("--plans", options.plans, options.plans >= FEWEST_PLANS, f"at least {FEWEST_PLANS}: {fewest}"),
        ("--samples", min(options.samples), min(options.samples) >= 1, "at least 1"),
        (
            "--finetune-plans",
            options.finetune_plans,
            options.finetune_plans == 0 or FEWEST_PLANS <= options.finetune_plans <= options.plans,
            f"0, or from {FEWEST_PLANS} to --plans: {fewest}",
        ),
    )
    for flag, came, fits, rule in rules:
        if not fits:
            raise ConfigError(f"{flag} must be {rule}; {came} came.")


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Run, print, and return the report."""
    check(options)
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "settings": vars(options),
        "fine_tuning": asdict(FineTuning(steps=options.finetune_steps, seed=options.seed)),
        "networks": [],
    }
    for network in options.network:
        result = run(network, options)
        report["networks"].append(result)
        print_table(network, *table(result, ""))
        print(facts(result, report))
    if options.markdown:
        write_atomic(options.markdown, section(report), RlpruneError)
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    return run_script(__doc__, add_arguments, execute, arguments)


if __name__ == "__main__":
    sys.exit(main())
