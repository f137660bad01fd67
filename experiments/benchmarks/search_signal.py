"""How well a cheap evaluation ranks plans: rank correlation with what a finished plan achieves.

    python -m rlprune.experiments.benchmarks.search_signal --network fashion-resnet20 --out signal.json

Random plans within a budget are scored with few and many samples, with and without BatchNorm's batch statistics. The
truth is the pruned network as it is delivered: BatchNorm re-estimated, on all validation samples. Printed are
Spearman's rho of divergence and of accuracy with the final accuracy, and the time of one evaluation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr
from tqdm import tqdm

from rlprune.agents import make_searcher
from rlprune.budget import Budget
from rlprune.devices import DeviceProfile
from rlprune.envs import LayerPruningEnv
from rlprune.evaluation import Evaluator
from rlprune.experiments.benchmarks.script import run_script
from rlprune.experiments.config import NetworkConfig
from rlprune.experiments.setup import load_material, make_evaluator, make_problem

SCHEMA = "rlprune-search-signal/1"


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each number of samples, with and without batch statistics."""
    material = load_material(NetworkConfig(network=options.network, data_dir=options.data_dir), 8)
    evaluator = make_evaluator(material, max(options.samples), options.seed)
    profile = DeviceProfile.load(options.profile) if options.profile else None
    problem = make_problem(material, evaluator, profile, [Budget.parse(options.budget)], "agreement")
    drawn = make_searcher("random").search(LayerPruningEnv(problem), options.plans, options.seed).episodes
    plans = list({tuple(episode.outcome.widths.tolist()): episode.outcome.widths for episode in drawn}.values())
    truth = [evaluator.finalist(plan).score for plan in tqdm(plans, desc="finished plans", file=sys.stderr)]
    rows = []
    for samples in options.samples:
        for batch_statistics in (False, True):
            cheap = Evaluator(evaluator.tables, evaluator.task, samples=samples, batch_statistics=batch_statistics)
            qualities = [cheap(plan) for plan in plans]
            rows.append(
                {
                    "samples": samples,
                    "batch_statistics": batch_statistics,
                    "plans": len(plans),
                    "rho_divergence": -float(spearmanr([q.divergence for q in qualities], truth).statistic),
                    "rho_score": float(spearmanr([q.score for q in qualities], truth).statistic),
                    "ms": cheap.seconds / len(plans) * 1e3,
                }
            )
    return rows


def show(rows: Sequence[dict[str, Any]], title: str) -> None:
    """Print the rows."""
    table = Table(title=title)
    for column in ("samples", "batch statistics", "rho, divergence", "rho, accuracy", "ms"):
        table.add_column(column, justify="right")
    for row in rows:
        own = "yes" if row["batch_statistics"] else "no"
        figures = (f"{row['rho_divergence']:.3f}", f"{row['rho_score']:.3f}", f"{row['ms']:.0f}")
        table.add_row(str(row["samples"]), own, *figures)
    Console().print(table)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
    parser.add_argument("--network", default="fashion-resnet20", help="zoo name or module:function")
    parser.add_argument("--budget", default="macs=0.5")
    parser.add_argument("--profile", help="device profile, for a budget on latency or energy")
    parser.add_argument("--plans", type=int, default=60)
    parser.add_argument("--samples", nargs="+", type=int, default=[64, 128, 256, 512, 1024])
    parser.add_argument("--seed", type=int, default=0)


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Run, print, and return the report."""
    rows = run(options)
    show(rows, f"{options.network}, {options.budget}, {rows[0]['plans']} random plans")
    return {"schema": SCHEMA, "settings": vars(options), "rows": rows}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    return run_script(__doc__, add_arguments, execute, arguments)


if __name__ == "__main__":
    sys.exit(main())
