"""Which way of evaluating a pruned network is fastest, and does it rank plans the same?

    python -m rlprune.experiments.benchmarks.evaluation_ways --out ways.json --markdown ways.md

Random plans within a budget are evaluated in every way, plan by plan and the ways one after another, in an order that
rotates and turns around. For each plan and way are timed: start-up (from the cut and repaired tensors, which all ways
share, to a network that runs), the first run, and the fastest of ``--repeats`` more. The first run makes the kernels of
shapes that are new; what it takes longer counts only where no other way made the same ones just before. The total is
start-up, a run, and the median of that surcharge: what a search pays for a plan it never saw.

Divergences are those from the same way's dense network. ``torch.compile`` is left out because it compiles each plan,
for seconds; so are bfloat16 and quantized networks, which compute something else.

A second table tells how much of each forward could be taken over from earlier plans of the same search, if everything
they computed were kept: layers before the first that differs, as shares of multiply-adds and of time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from rlprune.agents import make_searcher
from rlprune.arrays import FloatArray, IntArray
from rlprune.budgets.limits import Budget
from rlprune.devices.host import LoadWatch, cpu_model
from rlprune.envs import LayerPruningEnv
from rlprune.errors import ConfigError, kind_and_line
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import PruningProblem
from rlprune.experiments.benchmarks.choosing_ways import FAILURES, Choice, choose_ways
from rlprune.experiments.benchmarks.script import run_script
from rlprune.experiments.benchmarks.shared_prefix import shared_prefix, time_before
from rlprune.experiments.benchmarks.ways import Subject, Tensors, Way
from rlprune.experiments.benchmarks.ways_report import as_markdown, show
from rlprune.experiments.pipeline.setup import load_material, make_evaluator, make_problem
from rlprune.experiments.settings.config import NetworkConfig
from rlprune.support.files import write_atomic
from rlprune.support.progress import counted
from rlprune.tasks.batches import even_batches

SCHEMA = "rlprune-evaluation-ways/1"
METHODS = ("ddpg", "random")
NETWORKS = ("digits-resnet", "fashion-resnet20", "fashion-vgg", "fashion-mobilenet")
UNLIKE_ANY_BATCH = 3
START, AGAIN, SURCHARGE, DIVERGENCE = range(4)


def drawn_plans(problem: PruningProblem, method: str, episodes: int, seed: int) -> IntArray:
    """Distinct plans of a search in the order in which it found them, ``[N, G]``."""
    result = make_searcher(method).search(LayerPruningEnv(problem), episodes, seed)
    return np.array(list(dict.fromkeys(tuple(episode.outcome.levels.tolist()) for episode in result.episodes)))


def turn(ways: Sequence[Way], index: int) -> list[Way]:
    """The order of the ways for plan ``index``: each plan begins with the next, and every second one goes backwards."""
    first = index % len(ways)
    order = [*ways[first:], *ways[:first]]
    return order[::-1] if index % 2 else order


def time_ways(choice: Choice, subject: Subject, plans: IntArray, repeats: int) -> dict[str, FloatArray]:
    """Name of a way -> ``[N, 4]``: milliseconds of start-up, of a run, of the surcharge of the first run (NaN where
    another way had made its kernels), and the divergence. Ways that fail are moved to those left out.
    """
    measured = {way.name: np.full((len(plans), 4), np.nan) for way in choice.ways}
    for index, plan in enumerate(counted(plans, "plans in all ways")):
        tensors = subject.tables.tensors(plan)
        made: set[str] = set()
        for way in turn(choice.ways, index):
            try:
                row = _timed(way, plan, tensors, repeats, choice, subject)
            except FAILURES as reason:
                choice.left_out[way.name] = f"plan {plan.tolist()}: {kind_and_line(reason)}"
                choice.ways.remove(way)
                del measured[way.name]
                continue
            if way.kernels in made:
                row[SURCHARGE] = np.nan
            made.add(way.kernels)
            measured[way.name][index] = row
    return measured


def _timed(way: Way, plan: IntArray, tensors: Tensors, repeats: int, choice: Choice, subject: Subject) -> FloatArray:
    times = [time.perf_counter()]
    forward = way.start(plan, tensors)
    times.append(time.perf_counter())
    outputs = forward()
    times.append(time.perf_counter())
    for _ in range(repeats):
        forward()
        times.append(time.perf_counter())
    start, first, *again = np.diff(times) * 1e3
    divergence = subject.task.divergence(outputs, choice.dense[way.name])
    return np.array([start, min(again), first - min(again), divergence])


def compared(choice: Choice, measured: dict[str, FloatArray]) -> list[dict[str, Any]]:
    """One row for each way: medians of milliseconds, medians of ratios within a plan, agreement of divergences."""
    surcharge = {name: _surcharge(table) for name, table in measured.items()}
    total = {name: table[:, START] + table[:, AGAIN] + surcharge[name] for name, table in measured.items()}
    first = choice.ways[0].name
    reference, today = (measured[name][:, DIVERGENCE] for name in (choice.reference, choice.today))
    rows = []
    for way in choice.ways:
        table = measured[way.name]
        divergences = table[:, DIVERGENCE]
        own = today if way.batch_statistics else reference
        rows.append(
            {
                "way": way.name,
                "batch_statistics": way.batch_statistics,
                "start_ms": float(np.median(table[:, START])),
                "run_ms": float(np.median(table[:, AGAIN])),
                "first_run_surcharge_ms": surcharge[way.name],
                "total_ms": float(np.median(total[way.name])),
                "run_to_first_way": float(np.median(table[:, AGAIN] / measured[first][:, AGAIN])),
                "total_to_today": float(np.median(total[way.name] / total[choice.today])),
                "rho": _rank_correlation(divergences, own),
                "largest_difference": float(np.abs(divergences / own - 1).max()),
                "rho_today": _rank_correlation(divergences, today),
                "start_each_ms": table[:, START].tolist(),
                "run_each_ms": table[:, AGAIN].tolist(),
                "divergence_each": divergences.tolist(),
            }
        )
    return rows


def _surcharge(table: FloatArray) -> float:
    """Milliseconds that a first run takes longer, at least 0; 0 also where no plan tells."""
    known = table[~np.isnan(table[:, SURCHARGE]), SURCHARGE]
    return max(0.0, float(np.median(known))) if len(known) else 0.0


def _rank_correlation(left: npt.ArrayLike, right: npt.ArrayLike) -> float | None:
    """Spearman's rho; None where one side is constant."""
    rho = float(spearmanr(left, right).statistic)
    return None if np.isnan(rho) else rho


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """All ways, and the shared prefixes of real searches, on one network."""
    material = load_material(NetworkConfig(network=name, data_dir=options.data_dir), 8)
    evaluator = make_evaluator(material, options.samples, options.seed)
    subject = Subject(evaluator.tables, evaluator.task, evaluator.task.validation.take(options.samples))
    choice = choose_ways(subject)
    # A search on all samples would make the kernels of these plans before the first way that is timed.
    unlike_any_way = Evaluator(evaluator.tables, evaluator.task, samples=UNLIKE_ANY_BATCH)
    drawing = make_problem(material, unlike_any_way, None, [Budget.parse(options.budget)], "agreement")
    plans = drawn_plans(drawing, "random", options.plans, options.seed)
    with LoadWatch() as watch:
        measured = time_ways(choice, subject, plans, options.repeats)
    batches = list(even_batches(subject.split, options.samples, subject.tables.device, subject.tables.channels_last))
    begins = time_before(material.network, subject.tables.pruned(plans[0]).eval(), batches)
    problem = make_problem(material, evaluator, None, [Budget.parse(options.budget)], "agreement")
    found = {method: drawn_plans(problem, method, options.episodes, options.seed) for method in METHODS}
    return {
        "network": name,
        "plans": plans.tolist(),
        "samples": len(subject.split),
        "other_load": watch.other_load,
        "first_way": choice.ways[0].name,
        "reference": choice.reference,
        "today": choice.today,
        "rows": compared(choice, measured),
        "left_out": choice.left_out,
        "shared_prefix": {method: shared_prefix(material.network, each, begins) for method, each in found.items()},
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
    parser.add_argument("--network", nargs="+", default=list(NETWORKS), help="zoo names or module:function")
    parser.add_argument("--samples", type=int, default=512, help="validation samples of one evaluation")
    parser.add_argument("--plans", type=int, default=12, help="random plans")
    parser.add_argument("--repeats", type=int, default=2, help="timed runs after the first")
    parser.add_argument("--episodes", type=int, default=100, help="of each search for shared prefixes")
    parser.add_argument("--budget", default="macs=0.5")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--markdown", help="Markdown file for the tables")


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Run, print, and return the report."""
    if options.plans < 2 or options.repeats < 1:
        raise ConfigError(
            f"At least 2 plans and 1 repeat are needed; {options.plans} and {options.repeats} came. "
            "Raise --plans or --repeats."
        )
    networks = []
    for name in options.network:
        networks.append(measure(name, options))
        show(networks[-1])
    report = {"schema": SCHEMA, "settings": vars(options), "processor": cpu_model(), "networks": networks}
    if options.markdown:
        write_atomic(options.markdown, as_markdown(report))
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    return run_script(__doc__, add_arguments, execute, arguments)


if __name__ == "__main__":
    sys.exit(main())
