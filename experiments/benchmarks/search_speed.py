"""Wall time of a search divided by bare inference of the same pruned networks on the same samples.

    python -m rlprune.experiments.benchmarks.search_speed --network fashion-resnet20 --out speed.json

1.00 would be a search that costs nothing but running the networks it tries. Inference is timed inside the search, one
evaluation after the other, so that a machine whose speed drifts slows both alike; a second figure times the same
distinct plans again afterwards, as finished modules. With several workers the forward passes of all are added up, so
that the ratio falls below 1; what counts there are the episodes in a second.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence

import torch

from rlprune.agents import AGENTS, make_searcher
from rlprune.arrays import IntArray
from rlprune.budgets.limits import Budget
from rlprune.envs import LayerPruningEnv
from rlprune.evaluation.evaluator import BATCH, Evaluator
from rlprune.experiments.benchmarks.columns import first, table
from rlprune.experiments.benchmarks.harness import Benchmark, Case, Row, Rows
from rlprune.experiments.benchmarks.searches import at_least, evaluator_of, material_of, problem_of
from rlprune.experiments.pipeline.preparing import in_processes
from rlprune.experiments.presenting.document import Section
from rlprune.tasks.batches import batches

WARM_UP = 12


def bare_inference(evaluator: Evaluator, plans: Sequence[IntArray]) -> float:
    """Seconds to run finished pruned networks on the search samples; building them is not timed."""
    split = evaluator.task.validation.take(evaluator.dense.samples)
    inputs = list(batches(split, BATCH, evaluator.tables.device))
    seconds = 0.0
    for widths in plans:
        model = evaluator.tables.pruned(widths).eval()
        start = time.perf_counter()
        with torch.inference_mode():
            for arguments in inputs:
                model(*arguments)
        seconds += time.perf_counter() - start
    return seconds


def run(case: Case) -> list[Row]:
    """One search from an empty cache, after a short one that is not timed: what is first takes longer."""
    material = material_of(case)
    start = time.perf_counter()
    evaluator = evaluator_of(material, case)
    prepared = time.perf_counter() - start
    base = problem_of(material, evaluator, case.budget)
    searcher = make_searcher(case.method, changes={"envs": case.envs} if case.envs and case.method in AGENTS else None)
    with in_processes(base, case.workers) as shared:
        searcher.search(LayerPruningEnv(shared.fresh()), WARM_UP, case.seed + 1)
        problem = shared.fresh()
        before, start = problem.evaluator.seconds, time.perf_counter()
        result = searcher.search(LayerPruningEnv(problem), case.episodes, case.seed)
        wall, inside = time.perf_counter() - start, problem.evaluator.seconds - before
    plans = {tuple(episode.outcome.levels.tolist()): episode.outcome.levels for episode in result.episodes}
    afterwards = bare_inference(evaluator, list(plans.values()))
    found = {
        "evaluations": result.episodes[-1].evaluations,
        "table_seconds": prepared,
        "wall_seconds": wall,
        "inference_seconds": inside,
        "ratio": wall / inside,
        "ratio_again": wall / afterwards,
        "rest_ms_per_episode": (wall - inside) / case.episodes * 1e3 if case.workers == 1 else None,
        "episodes_per_second": len(result.episodes) / wall,
    }
    return [found]


COLUMNS = {
    "evaluations": first("evaluations"),
    "wall s": first("wall_seconds", ".1f"),
    "inference s": first("inference_seconds", ".1f"),
    "ratio": first("ratio", ".2f"),
    "ratio, run again": first("ratio_again", ".2f"),
    "rest, ms/episode": first("rest_ms_per_episode", ".1f"),
    "episodes/s": first("episodes_per_second", ".1f"),
}


def tables(rows: Rows) -> Iterator[Section]:
    """A line for each search."""
    yield Section("Search wall time / bare inference", [table(rows, BENCHMARK.over, COLUMNS)])


def flags(parser: argparse.ArgumentParser) -> None:
    """What can be asked for."""
    parser.add_argument("--network", nargs="+", default=["fashion-resnet20"], help="zoo names or module:function")
    parser.add_argument("--samples", nargs="+", type=int, default=[512], help="validation samples of one evaluation")
    parser.add_argument("--method", nargs="+", default=["ddpg", "random"])
    parser.add_argument("--workers", nargs="+", type=int, default=[1], help="processes that evaluate")
    parser.add_argument("--envs", type=int, default=0, help="episodes of an agent at once; 0 is its own default")
    parser.add_argument("--budget", default="macs=0.5")
    parser.add_argument("--episodes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)


def check(options: Case) -> None:
    """Refuse flags out of range, and unknown methods and budgets."""
    at_least(options, samples=1, workers=1, envs=0, episodes=1)
    Budget.parse(options.budget)
    for method in options.method:
        make_searcher(method)


BENCHMARK = Benchmark("search_speed", __doc__, flags, ("network", "samples", "method", "workers"), run, tables, check)
main = BENCHMARK.main

if __name__ == "__main__":
    sys.exit(main())
