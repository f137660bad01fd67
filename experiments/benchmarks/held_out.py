"""What searches and policies are worth on images that no search has seen, at equal numbers of evaluations.

    python -m rlprune.experiments.benchmarks.held_out --out held-out.json --markdown held-out.md

A gain is log(divergence of the filled plan / divergence of the plan): 0 for filled, 0.69 for half of its divergence.
That on the search's own images is partly fitted to them. METHOD is the best plan of a search, by those images; METHOD,
policy is the plan of the policy that it saved: one walk, no search. A search sees at most half of the validation
images; unseen are the others.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from rlprune.agents import AGENTS, best_outcomes
from rlprune.agents.replay import replayed_plan
from rlprune.arrays import IntArray
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import PruningProblem
from rlprune.experiments.benchmarks.columns import Column, groups, table, values
from rlprune.experiments.benchmarks.harness import Benchmark, Case, Row, Rows
from rlprune.experiments.benchmarks.searches import (
    at_least,
    evaluator_of,
    material_of,
    problem_of,
    searched,
    searcher_of,
)
from rlprune.experiments.benchmarks.tournament import NETWORKS, SEEDLESS
from rlprune.experiments.presenting.document import Section

METHODS = ["probe", "random", "evolutionary", "surrogate", "ddpg", "ppo", "ddpg/plain"]
TABLES = ("prior", "probe-shrunk")
"""Nothing is drawn there either."""
LEVEL = 0.95


def run(case: Case) -> list[Row]:
    """Rows of every method and seed: its best plan, and its policy's where there is one."""
    material = material_of(case)
    validation = material.task.validation
    case = Case(**{**vars(case), "samples": min(case.samples, len(validation) // 2)})
    evaluator = evaluator_of(material, case)
    problem = problem_of(material, evaluator, case.budget)
    unseen = evaluator.on_samples(len(validation), validation.skip(case.samples))
    rows: list[Row] = []
    for seed in range(case.seeds):
        for method in case.methods:
            if seed == 0 or method not in (*SEEDLESS, *TABLES):
                rows += search(case, problem.fresh(), unseen, method, seed)
    return rows


def search(case: Case, problem: PruningProblem, unseen: Evaluator, method: str, seed: int) -> Iterator[Row]:
    """One search, and what its plans are worth on unseen images."""
    start = time.perf_counter()
    result = searched(problem, method, case.episodes, seed)
    seconds, images = time.perf_counter() - start, problem.evaluator.images
    [best] = best_outcomes(result.episodes, 1)
    origin = next(e.origin for e in result.episodes if (e.outcome.levels == best.levels).all())
    told = {"seed": seed, "images": images, "seconds": seconds, "inference": problem.evaluator.seconds}
    yield {"method": method, "origin": origin, **told, **gains(problem, unseen, best.levels)}
    if result.policy is not None:
        plan = replayed_plan(result.policy, problem)
        yield {"method": f"{method}, policy", "origin": "policy", **told, **gains(problem, unseen, plan)}
    print(f"{case.network} {case.budget} {method} seed {seed}: {seconds:.0f} s", file=sys.stderr)


def gains(problem: PruningProblem, unseen: Evaluator, plan: IntArray) -> Row:
    """Of a plan, on the images of the search and on others."""
    filled = problem.planner.filled
    own, other = (
        math.log(evaluator(filled).divergence / max(evaluator(plan).divergence, 1e-9))
        for evaluator in (problem.evaluator, unseen)
    )
    return {"gain on search images": own, "gain": other, "widths": plan.tolist()}


def interval(found: Sequence[float]) -> str:
    """Mean and 95% interval of what cases gave (Student's t)."""
    mean, error = float(np.mean(found)), float(stats.sem(found)) if len(found) > 1 else math.nan
    half = error * float(stats.t.ppf((1 + LEVEL) / 2, max(len(found) - 1, 1)))
    return f"{mean:.2f} ± {half:.2f}" if math.isfinite(half) else f"{mean:.2f}"


def by_case(rows: Rows, of: str) -> dict[tuple[str, str], float]:
    """The mean over seeds, of each network and budget."""
    return {key: float(np.mean(values(own, of))) for key, own in groups(rows, "network", "budget").items()}


def overview(rows: Rows) -> Section:
    """A line a method, over all cases."""
    reference = by_case([row for row in rows if row["method"] == "probe"], "gain")

    def behind(own: Rows) -> str:
        differences = [gain - reference[key] for key, gain in by_case(own, "gain").items() if key in reference]
        return interval(differences) if differences else "-"

    def below(own: Rows) -> str:
        return f"{sum(gain < 0 for gain in by_case(own, 'gain').values())} of {len(by_case(own, 'gain'))}"

    columns: dict[str, Column] = {
        "gain, unseen images": lambda own: interval(list(by_case(own, "gain").values())),
        "gain, search images": lambda own: interval(list(by_case(own, "gain on search images").values())),
        "ahead of probe, unseen": behind,
        "cases worse than filled": below,
        "images seen": lambda own: f"{np.mean(values(own, 'images')):.0f}",
        "seconds": lambda own: f"{np.mean(values(own, 'seconds')):.0f}",
        "of them inference": lambda own: f"{np.mean(values(own, 'inference')):.0f}",
    }
    return Section("All cases: means and 95% intervals over cases", [table(rows, ["method"], columns)])


def tables(rows: Rows) -> Iterator[Section]:
    """The overview, a table of each case, and who decided the agents' best plans."""
    yield overview(rows)
    columns: dict[str, Column] = {
        "gain, unseen images": lambda own: " ".join(f"{gain:.2f}" for gain in values(own, "gain")),
        "gain, search images": lambda own: " ".join(f"{gain:.2f}" for gain in values(own, "gain on search images")),
        "decided by": lambda own: ", ".join(sorted({row["origin"] for row in own})),
    }
    for (network, budget), own in groups(rows, "network", "budget").items():
        yield Section(f"{network}, {budget}: every seed", [table(own, ["method"], columns)])


def flags(parser: argparse.ArgumentParser) -> None:
    """What can be asked for."""
    parser.add_argument("--network", nargs="+", default=NETWORKS, help="zoo names or module:function")
    parser.add_argument("--budget", nargs="+", default=["macs=0.2", "macs=0.3", "macs=0.5"], help="on counts")
    parser.add_argument("--methods", nargs="+", default=METHODS, help=f"METHOD or METHOD/PRESET, such as {AGENTS[0]}")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--samples", type=int, default=512, help="validation images of one evaluation")


def check(options: Case) -> None:
    """Refuse flags out of range, unknown methods and presets."""
    at_least(options, seeds=1, episodes=1, samples=1)
    for method in options.methods:
        searcher_of(method)


BENCHMARK = Benchmark("held_out", __doc__, flags, ("network", "budget"), run, tables, check)
main = BENCHMARK.main

if __name__ == "__main__":
    sys.exit(main())
