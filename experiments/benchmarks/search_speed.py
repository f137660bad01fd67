"""Wall time of a search divided by bare inference of the same pruned networks on the same samples.

    python -m rlprune.experiments.benchmarks.search_speed --network fashion-resnet20 --out speed.json

1.00 would be a search that costs nothing but running the networks it tries. Inference is timed inside the search, one
evaluation after the other, so that a machine whose speed drifts slows both alike; a second figure times the same
distinct plans again afterwards, as finished modules. With several workers the forward passes of all are added up, so
that the ratio falls below 1; what counts there are the episodes in a second.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from typing import Any

import torch

from rlprune.agents import AGENTS, make_searcher
from rlprune.arrays import IntArray
from rlprune.budgets.limits import Budget
from rlprune.envs import LayerPruningEnv
from rlprune.evaluation.evaluator import BATCH, Evaluator
from rlprune.experiments.benchmarks.script import run_script
from rlprune.experiments.pipeline.setup import in_processes, load_material, make_evaluator, make_problem
from rlprune.experiments.runs.tables import print_table
from rlprune.experiments.settings.problem import NetworkConfig
from rlprune.tasks.batches import batches

SCHEMA = "rlprune-search-speed/2"
WARM_UP = 12
HEADS = (
    *("network", "method", "samples", "workers", "evaluations", "wall s", "inference s", "ratio", "ratio, run again"),
    *("rest, ms/episode", "episodes/s"),
)


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


def measure(network: str, samples: int, method: str, workers: int, options: argparse.Namespace) -> dict[str, Any]:
    """One search from an empty cache, after a short one that is not timed: what is first takes longer."""
    material = load_material(NetworkConfig(network=network, data_dir=options.data_dir), 8)
    start = time.perf_counter()
    evaluator = make_evaluator(material, samples, options.seed)
    prepared = time.perf_counter() - start
    base = make_problem(material, evaluator, None, [Budget.parse(options.budget)], "agreement")
    changes = {"envs": options.envs} if options.envs and method in AGENTS else None
    with in_processes(base, workers) as shared:
        make_searcher(method, changes=changes).search(LayerPruningEnv(shared.fresh()), WARM_UP, options.seed + 1)
        problem = shared.fresh()
        own, before = problem.evaluator, problem.evaluator.seconds
        start = time.perf_counter()
        result = make_searcher(method, changes=changes).search(LayerPruningEnv(problem), options.episodes, options.seed)
        wall, inside = time.perf_counter() - start, own.seconds - before
    plans = {tuple(episode.outcome.levels.tolist()): episode.outcome.levels for episode in result.episodes}
    afterwards = bare_inference(evaluator, list(plans.values()))
    return {
        "network": network,
        "method": method,
        "samples": samples,
        "workers": workers,
        "episodes": options.episodes,
        "evaluations": result.episodes[-1].evaluations,
        "table_seconds": prepared,
        "wall_seconds": wall,
        "inference_seconds": inside,
        "inference_again_seconds": afterwards,
        "ratio": wall / inside,
        "ratio_again": wall / afterwards,
        "rest_ms_per_episode": (wall - inside) / options.episodes * 1e3 if workers == 1 else None,
        "episodes_per_second": len(result.episodes) / wall,
    }


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print one row a search."""
    cells = []
    for row in rows:
        rest = "-" if row["workers"] > 1 else f"{row['rest_ms_per_episode']:.1f}"
        cells.append([
            row["network"], row["method"], str(row["samples"]), str(row["workers"]), str(row["evaluations"]),
            f"{row['wall_seconds']:.1f}", f"{row['inference_seconds']:.1f}", f"{row['ratio']:.2f}",
            f"{row['ratio_again']:.2f}", rest, f"{row['episodes_per_second']:.1f}",
        ])  # fmt: skip
    print_table("search wall time / bare inference", HEADS, cells)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
    parser.add_argument("--network", nargs="+", default=["fashion-resnet20"], help="zoo names or module:function")
    parser.add_argument("--samples", nargs="+", type=int, default=[512], help="validation samples of one evaluation")
    parser.add_argument("--method", nargs="+", default=["ddpg", "random"])
    parser.add_argument("--workers", nargs="+", type=int, default=[1], help="processes that evaluate")
    parser.add_argument("--envs", type=int, default=0, help="episodes of an agent at once; 0 is its own default")
    parser.add_argument("--budget", default="macs=0.5")
    parser.add_argument("--episodes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Run, print, and return the report."""
    cases = itertools.product(options.network, options.samples, options.method, options.workers)
    rows = [measure(*case, options) for case in cases]
    show(rows)
    return {"schema": SCHEMA, "settings": vars(options), "rows": rows}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    return run_script(__doc__, add_arguments, execute, arguments)


if __name__ == "__main__":
    sys.exit(main())
