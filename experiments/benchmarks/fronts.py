"""One policy for every budget: fronts of a range from one search, at the same number of evaluations.

    python -m rlprune.experiments.benchmarks.fronts --network fashion-resnet20 --range macs=0.3..0.8 --out fronts.json

Each method searches the whole range with the same number of episodes, all budgets together where it can. Reported is
the hypervolume over cost and the logarithm of the divergence, and for agents how the policy itself, one walk without
search, compares with the filled plan at budgets that the training had not (half-way between its levels).
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlprune.agents import Policy, make_searcher, replay, search_range
from rlprune.budgets.limits import Budget, BudgetRange
from rlprune.devices import resolve_device
from rlprune.errors import ConfigError
from rlprune.evaluation.problem import PruningProblem
from rlprune.experiments.benchmarks.script import run_script
from rlprune.experiments.pipeline.fronts import volumes_of
from rlprune.experiments.pipeline.measuring_device import fitting_profile
from rlprune.experiments.pipeline.setup import is_measured, load_material, make_evaluator, make_problem
from rlprune.experiments.runs.tables import print_table
from rlprune.experiments.settings.problem import NetworkConfig

SCHEMA = "rlprune-fronts/1"


def run_case(network: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row a method and seed."""
    wide = BudgetRange.parse(options.range)
    material = load_material(NetworkConfig(network=network, data_dir=options.data_dir), 8)
    profile = (
        fitting_profile(resolve_device(options.device), material.network, None) if is_measured(wide.high) else None
    )
    evaluator = make_evaluator(material, options.samples, 0)
    problem = make_problem(material, evaluator, profile, [wide.high], "agreement")
    rows = []
    for seed in range(options.seeds):
        for method in options.methods:
            own = problem.fresh()
            problems = [own.within([level]) for level in wide.budgets(options.levels)]
            result = search_range(make_searcher(method), problems, options.episodes, seed)
            volumes = volumes_of(problems, wide.metric, {method: [episode.outcome for episode in result.episodes]})
            row = {"network": network, "method": method, "seed": seed, "evaluations": result.episodes[-1].evaluations}
            gains = [] if result.policy is None else policy_gains(result.policy, own, wide, options.levels)
            rows.append({**row, "hypervolume": volumes[method], "filled": volumes["filled"], "policy_gains": gains})
    return rows


def policy_gains(policy: Policy, problem: PruningProblem, wide: BudgetRange, levels: int) -> list[float]:
    """log(divergence of filled / divergence of the policy's plan) at budgets between those of the training."""
    values = [level.value for level in wide.budgets(levels)]
    between = [(low + high) / 2 for low, high in itertools.pairwise(values)]
    return [replay(policy, problem.within([Budget(wide.metric, value, wide.low.unit)])).reward for value in between]


def cells(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """A line a network and method: means over seeds."""
    lines = []
    for network, method in dict.fromkeys((row["network"], row["method"]) for row in rows):
        own = [row for row in rows if (row["network"], row["method"]) == (network, method)]
        rival = [row["hypervolume"] for row in rows if (row["network"], row["method"]) == (network, "nsga2")]
        volume = np.array([row["hypervolume"] for row in own])
        gains = [gain for row in own for gain in row["policy_gains"]]
        better = f"{np.mean(np.array(gains) > 0):.0%} of {len(gains)}" if gains else "-"
        median = f"{np.exp(-np.median(gains)):.2f}" if gains else "-"
        ratio = f"{volume.mean() / np.mean(rival):.2f}" if rival else "-"
        lines.append([network, method, f"{volume.mean():.4f} ± {volume.std():.4f}", ratio, better, median])
    return lines


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Run, print, and return the report."""
    if options.seeds < 1 or options.levels < 2:
        raise ConfigError(f"Fronts need at least 1 seed and 2 levels; {options.seeds} and {options.levels} came.")
    for method in options.methods:
        make_searcher(method)
    rows = [row for network in options.network for row in run_case(network, options)]
    heads = ("network", "method", "hypervolume", "/ nsga2", "policy alone beats filled", "its KL / filled's, median")
    print_table(f"{options.range}, {options.episodes} evaluations, {options.seeds} seeds", heads, cells(rows))
    return {"schema": SCHEMA, "settings": vars(options), "rows": rows}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
    parser.add_argument("--network", nargs="+", default=["digits-resnet", "fashion-resnet20"])
    parser.add_argument("--range", default="macs=0.3..0.8")
    parser.add_argument("--methods", nargs="+", default=["random", "nsga2", "ddpg", "ppo"])
    parser.add_argument("--levels", type=int, default=11)
    parser.add_argument("--episodes", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--device", default="ready:epyc-onnxruntime", help="profile of ranges on latency and energy")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    return run_script(__doc__, add_arguments, execute, arguments)


if __name__ == "__main__":
    sys.exit(main())
