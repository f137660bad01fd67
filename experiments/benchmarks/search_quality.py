"""Which way of searching finds better plans in the same number of evaluations.

    python -m rlprune.experiments.benchmarks.search_quality --network fashion-resnet20 --budget macs=0.5 --out out.json

Every method and seed starts with an empty cache on the same problem. Reported are the divergence from the dense network
on the search samples (what is searched for) after some numbers of evaluations, and the accuracy on all validation
samples of the best plan, BatchNorm re-estimated, before any fine-tuning. Test samples are not touched. A picture of the
learning curves is written beside the JSON.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from rlprune.agents import SEARCHERS, Episode, best_outcomes, make_searcher
from rlprune.budget import Budget
from rlprune.devices import DeviceProfile
from rlprune.envs import LayerPruningEnv
from rlprune.errors import ConfigError
from rlprune.experiments.benchmarks.script import run_script
from rlprune.experiments.config import NetworkConfig
from rlprune.experiments.setup import fresh, load_material, make_evaluator, make_problem
from rlprune.network import FloatArray
from rlprune.problem import PruningProblem

SCHEMA = "rlprune-search-quality/1"
MARKS = (50, 100, 200, 300, 500, 1000)


@dataclass(frozen=True)
class Search:
    """One search: the best divergence after each evaluation, and the accuracy of the best plan."""

    method: str
    seed: int
    best: FloatArray
    accuracy: float
    seconds: float

    def after(self, evaluations: int) -> float:
        """Best divergence after so many evaluations, or after all where there were fewer."""
        return float(self.best[min(evaluations, len(self.best)) - 1])


def best_by_evaluation(episodes: Sequence[Episode]) -> FloatArray:
    """Lowest divergence after 1, 2, ... evaluations; episodes that repeat a plan cost none."""
    best: dict[int, float] = {}
    lowest = np.inf
    for episode in episodes:
        lowest = min(lowest, episode.outcome.quality.divergence)
        best[max(episode.evaluations, 1)] = lowest
    return np.array([best[key] for key in sorted(best)])


def run_search(problem: PruningProblem, method: str, seed: int, episodes: int) -> Search:
    """Search once from an empty cache."""
    start = time.perf_counter()
    own = fresh(problem)
    result = make_searcher(method).search(LayerPruningEnv(own), episodes, seed)
    seconds = time.perf_counter() - start
    [winner] = best_outcomes(result.episodes, 1)
    return Search(
        method, seed, best_by_evaluation(result.episodes), own.evaluator.finalist(winner.widths).score, seconds
    )


def summary(searches: Sequence[Search], marks: Sequence[int]) -> dict[str, Any]:
    """Mean and standard deviation over seeds."""
    rows = {str(mark): [search.after(mark) for search in searches] for mark in marks}
    accuracies = [search.accuracy for search in searches]
    return {
        "divergence": {
            mark: {"mean": float(np.mean(v)), "std": float(np.std(v)), "each": v} for mark, v in rows.items()
        },
        "accuracy": {"mean": float(np.mean(accuracies)), "std": float(np.std(accuracies)), "each": accuracies},
        "evaluations": float(np.mean([len(search.best) for search in searches])),
        "seconds": float(np.mean([search.seconds for search in searches])),
    }


def show(results: dict[str, Any], marks: Sequence[int], title: str) -> None:
    """Print one row a method."""
    table = Table(title=title)
    for column in ("method", *(f"KL after {mark}" for mark in marks), "accuracy", "evaluations", "seconds"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for method, row in results.items():
        cells = [f"{row['divergence'][str(m)]['mean']:.4f} ± {row['divergence'][str(m)]['std']:.4f}" for m in marks]
        accuracy = f"{row['accuracy']['mean']:.4f} ± {row['accuracy']['std']:.4f}"
        table.add_row(method, *cells, accuracy, f"{row['evaluations']:.0f}", f"{row['seconds']:.1f}")
    Console().print(table)


def draw(searches: dict[str, list[Search]], title: str, path: Path) -> None:
    """Best divergence against evaluations, mean and range over seeds."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), constrained_layout=True)
    for method, runs in searches.items():
        length = max(len(run.best) for run in runs)
        curves = np.array([[run.after(n) for n in range(1, length + 1)] for run in runs])
        if method == "uniform":
            axes.axhline(curves.mean(), color="grey", linestyle="--", label=method)
            continue
        [line] = axes.plot(np.arange(1, length + 1), curves.mean(axis=0), label=method)
        axes.fill_between(np.arange(1, length + 1), curves.min(0), curves.max(0), color=line.get_color(), alpha=0.15)
    axes.set(xlabel="evaluations", ylabel="best divergence from the dense network (nats)", title=title, yscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Search with every method and seed, seeds outermost so that drift of the machine hits all methods alike."""
    for method in options.methods:
        if method not in SEARCHERS:
            make_searcher(method)
    if options.seeds < 1 or options.episodes < 1:
        raise ConfigError("A comparison needs at least 1 seed and 1 episode. Use --seeds 3 --episodes 300, say.")
    material = load_material(NetworkConfig(network=options.network, data_dir=options.data_dir), 8)
    profile = DeviceProfile.load(options.profile) if options.profile else None
    evaluator = make_evaluator(material, options.samples, 0)
    problem = make_problem(material, evaluator, profile, [Budget.parse(text) for text in options.budget], "agreement")
    searches: dict[str, list[Search]] = {method: [] for method in options.methods}
    jobs = [(seed, method) for seed in range(options.seeds) for method in options.methods]
    for seed, method in tqdm(jobs, desc="searches", file=sys.stderr):
        searches[method].append(run_search(problem, method, seed, options.episodes))
    marks = [mark for mark in MARKS if mark <= options.episodes] or [options.episodes]
    results = {method: summary(runs, marks) for method, runs in searches.items()}
    title = f"{options.network}, {', '.join(options.budget)}, {options.seeds} seeds, {options.samples} search samples"
    show(results, marks, title)
    if options.out:
        draw(searches, title, Path(options.out).with_suffix(".png"))
    dense = {"divergence": 0.0, "accuracy": evaluator.finalist(material.network.dense_widths).score}
    return {"schema": SCHEMA, "settings": vars(options), "dense": dense, "results": results}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
    parser.add_argument("--network", default="fashion-resnet20", help="zoo name or module:function")
    parser.add_argument("--budget", nargs="+", default=["macs=0.5"])
    parser.add_argument("--profile", help="device profile, for a budget on latency or energy")
    parser.add_argument("--methods", nargs="+", default=["uniform", "random", "evolutionary", "tpe", "ppo", "ddpg"])
    parser.add_argument("--episodes", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=512, help="validation samples of one evaluation")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    return run_script(__doc__, add_arguments, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
