"""What it takes to go on with a search that was broken off at its end, against searching again.

    python -m rlprune.experiments.benchmarks.resume --network fashion-resnet20 --out resume.json

A run is continued by searching again with the evaluations of its journal (see :mod:`rlprune.experiments.runs.journal`):
what is paid again is what the method itself computes. Three searches are timed in turn: without a journal, with one
that is written, and with one that holds every evaluation. The plans of all three are compared.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlprune.agents import make_searcher, search_range
from rlprune.budgets.limits import Budget
from rlprune.errors import RlpruneError
from rlprune.evaluation.problem import PruningProblem
from rlprune.experiments.benchmarks.script import run_script
from rlprune.experiments.pipeline.setup import load_material, make_evaluator, make_problem
from rlprune.experiments.runs.journal import Journal
from rlprune.experiments.runs.tables import print_table
from rlprune.experiments.settings.problem import NetworkConfig

SCHEMA = "rlprune-resume/1"
HEADS = ("network", "method", "evaluations", "search, s", "with journal", "resumed", "resumed, s")


def timed(
    problem: PruningProblem, method: str, episodes: int, seed: int, folder: Path | None
) -> tuple[float, list[Any]]:
    """Seconds of a search and the plans it tried; with a folder, its journal is used and written."""
    fresh = problem.fresh()
    start = time.perf_counter()
    journal = None if folder is None else Journal(folder)
    fresh.evaluator.memory = None if journal is None else journal.memory_of(method)
    result = search_range(make_searcher(method), [fresh], episodes, seed)
    if journal is not None:
        journal.close()
    return time.perf_counter() - start, [episode.outcome.levels.tolist() for episode in result.episodes]


def compare(problem: PruningProblem, method: str, options: argparse.Namespace) -> dict[str, Any]:
    """Medians over repeats of the three searches, made in turn.

    Raises:
        RlpruneError: they did not try the same plans.
    """
    seconds: dict[str, list[float]] = {"plain": [], "journal": [], "resumed": []}
    for repeat in range(options.repeats):
        with tempfile.TemporaryDirectory() as folder:
            plans = []
            for way, where in (("plain", None), ("journal", Path(folder)), ("resumed", Path(folder))):
                taken, tried = timed(problem, method, options.episodes, options.seed + repeat, where)
                seconds[way].append(taken)
                plans.append(tried)
            if plans[0] != plans[1] or plans[0] != plans[2]:
                raise RlpruneError(f"Searches of one seed must try the same plans; those of {method} did not.")
    return {
        "method": method,
        "evaluations": len({tuple(plan) for plan in plans[0]}),
        "plain_seconds": float(np.median(seconds["plain"])),
        "journal_ratio": float(np.median(np.divide(seconds["journal"], seconds["plain"]))),
        "resumed_ratio": float(np.median(np.divide(seconds["resumed"], seconds["plain"]))),
        "resumed_seconds": float(np.median(seconds["resumed"])),
        "seconds": seconds,
    }


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Every network with every method."""
    rows = []
    for network in options.network:
        material = load_material(NetworkConfig(network=network, data_dir=options.data_dir), 8)
        evaluator = make_evaluator(material, options.samples, options.seed)
        problem = make_problem(material, evaluator, None, [Budget.parse(options.budget)], "agreement")
        for method in options.method:
            print(f"{network}, {method}", file=sys.stderr)
            rows.append({"network": network, **compare(problem, method, options)})
    print_table(
        "A search, the same with its journal written, and the same from its journal", HEADS, list(map(cells, rows))
    )
    return {"schema": SCHEMA, "options": vars(options), "rows": rows}


def cells(row: dict[str, Any]) -> list[str]:
    """A line of the table; the ratios are to the search without a journal."""
    return [
        row["network"],
        row["method"],
        str(row["evaluations"]),
        f"{row['plain_seconds']:.1f}",
        f"{row['journal_ratio']:.3f}",
        f"{row['resumed_ratio']:.3f}",
        f"{row['resumed_seconds']:.1f}",
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
    parser.add_argument("--network", nargs="+", default=["fashion-resnet20"], help="zoo names or module:function")
    parser.add_argument("--method", nargs="+", default=["ddpg", "evolutionary", "random"])
    parser.add_argument("--budget", default="macs=0.5")
    parser.add_argument("--episodes", type=int, default=300)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Time the searches; returns the exit code."""
    return run_script(__doc__, add_arguments, execute, arguments)


if __name__ == "__main__":
    sys.exit(main())
