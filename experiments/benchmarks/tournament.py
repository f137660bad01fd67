"""Which method finds better plans in the same number of evaluations, over networks, budgets and seeds.

    python -m rlprune.experiments.benchmarks.tournament --processes 2 --out tournament.json    # an hour
    python -m rlprune.experiments.benchmarks.tournament --network digits-resnet --budget macs=0.5 latency=0.5 \\
        --seeds 3 --episodes 150 --finetune-steps 0 --out tournament.json                      # five minutes

Every search starts with an empty cache and counts its own evaluations; a plan that another search of the same case
tried already is looked up instead of run again, which changes no count. Reported are the divergence from the dense
network on the search images (what is searched for) against evaluations, and for the best plan the accuracy on
validation images that no search saw, BatchNorm re-estimated, before and after the same short fine-tune. *To reach*:
evaluations until a search is as good as evolutionary search is on average after 300; one that never is counts as all
its evaluations. Test images are not touched.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rlprune.agents import best_outcomes
from rlprune.arrays import FloatArray
from rlprune.budgets.limits import Budget
from rlprune.devices import resolve_device
from rlprune.errors import BudgetError
from rlprune.evaluation.evaluator import SEARCH_BATCH, Evaluator
from rlprune.evaluation.problem import Outcome, PruningProblem
from rlprune.evaluation.quality import PlanKey, Quality
from rlprune.experiments.benchmarks.columns import Column, average, groups, percent, spread, table
from rlprune.experiments.benchmarks.curves import curves, draw_curves
from rlprune.experiments.benchmarks.harness import Benchmark, Case, Row, Rows
from rlprune.experiments.benchmarks.searches import (
    at_least,
    curve,
    evaluator_of,
    material_of,
    problem_of,
    searched,
    searcher_of,
)
from rlprune.experiments.pipeline.device_profile import fitting_profile, is_measured
from rlprune.experiments.presenting.document import Section, Table, Words
from rlprune.experiments.runs.row import UNSEARCHED
from rlprune.finetuning.finetune import FineTuning, finetune
from rlprune.tasks.split import Split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORKS = ["digits-resnet", "fashion-resnet20", "fashion-vgg", "fashion-mobilenet"]
AGENTS = ["ddpg", "td3", "sac", "ppo", "tqc"]
RIVALS = ["uniform", "filled", "random", "evolutionary", "tpe", "greedy", "sensitivity", "threshold"]
SEEDLESS = (*UNSEARCHED, "greedy", "threshold")
"""Nothing is drawn there."""
REFERENCE, REFERENCE_AT = "evolutionary", 300
MARKS = (10, 25, 50, 100, 200, 300)
EARLY = 50


class SharedEvaluator(Evaluator):
    """Looks plans up that other searches of the same case evaluated; counts them all the same."""

    shared: dict[PlanKey, tuple[Quality, float]]
    ran = 0.0
    """Seconds that plans took which nobody had evaluated before."""

    def measure(self, key: PlanKey) -> tuple[Quality, float]:
        """See :class:`Evaluator`."""
        if key not in self.shared:
            start = time.perf_counter()
            self.shared[key] = super().measure(key)
            self.ran += time.perf_counter() - start
        return self.shared[key]

    def fresh(self) -> SharedEvaluator:
        """See :class:`Evaluator`; what was measured stays known to all."""
        other = SharedEvaluator(self.tables, self.task, samples=self.dense.samples, statistics=self.statistics)
        other.shared = self.shared
        return other


def run(case: Case) -> list[Row]:
    """A row for each method and seed; one that says why, where no plan meets the budget."""
    material = material_of(case)
    measured = is_measured(Budget.parse(case.budget))
    profile = fitting_profile(resolve_device(case.device), material.network, None) if measured else None
    known = evaluator_of(material, case)
    evaluator = SharedEvaluator(known.tables, known.task, samples=case.samples)
    evaluator.shared = {}
    try:
        problem = problem_of(material, evaluator, case.budget, profile)
    except BudgetError as reason:
        return [{"impossible": str(reason)}]
    finished: dict[PlanKey, Row] = {}
    return [
        search(case, problem.fresh(), method, seed, finished)
        for seed in range(case.seeds)
        for method in case.methods
        if seed == 0 or method not in SEEDLESS
    ]


def search(case: Case, problem: PruningProblem, method: str, seed: int, finished: dict[PlanKey, Row]) -> Row:
    """One search, and its best plan finished; plans that were finished are looked up."""
    evaluator = problem.evaluator
    assert isinstance(evaluator, SharedEvaluator)  # as prepared
    start, evaluator.ran = time.perf_counter(), 0.0
    result = searched(problem, method, case.episodes, seed)
    own = time.perf_counter() - start - evaluator.ran
    [winner] = best_outcomes(result.episodes, 1)
    key = tuple(winner.levels.tolist())
    if key not in finished:
        finished[key] = finish(case, evaluator, winner)
    print(f"{case.network} {case.budget} {method} seed {seed}: {winner.quality.divergence:.4f}", file=sys.stderr)
    return {
        "method": method,
        "seed": seed,
        "episodes": case.episodes,
        "curve": curve(result.episodes),
        "widths": list(key),
        "evaluations": result.episodes[-1].evaluations,
        "seconds": own + evaluator.seconds,
        **finished[key],
    }


def finish(case: Case, evaluator: Evaluator, outcome: Outcome) -> Row:
    """Accuracy of a plan on unseen validation images, before and after the short fine-tune."""
    unseen = unseen_of(evaluator)
    model = evaluator.repaired(outcome.levels)
    found = {"unseen": evaluator.on(model, unseen).score}
    if case.finetune_steps:
        finetune(model, evaluator.task, FineTuning(steps=case.finetune_steps))
        found["finetuned"] = evaluator.on(model, unseen).score
    return found


def unseen_of(evaluator: Evaluator) -> Split:
    """Validation images behind those of the search; all of them where the search saw all."""
    split, seen = evaluator.task.validation, evaluator.dense.samples
    return split if len(split) < seen + SEARCH_BATCH else split.skip(seen)


def to_reach(rows: Rows, target: float) -> list[float]:
    """Evaluations of each search until its divergence is at most ``target``; infinite where it never is."""
    found = curves(rows) <= target
    return [float(own.argmax() + 1) if own.any() else np.inf for own in found]


def reference(rows: Rows) -> float:
    """Mean divergence of evolutionary search after 300 evaluations, or all; NaN, which nothing reaches, without it."""
    own = [row for row in rows if row["method"] == REFERENCE]
    return float(after(own, REFERENCE_AT).mean()) if own else float("nan")


def after(rows: Rows, evaluations: int) -> FloatArray:
    """Lowest divergence of each search after so many evaluations."""
    return curves(rows, evaluations)[:, -1]


def case_table(rows: Rows) -> Table:
    """A line for each method of one network and budget."""
    episodes, target = rows[0]["episodes"], reference(rows)

    def at(mark: int) -> Column:
        return lambda own: spread(after(own, mark).tolist(), ".4f")

    columns: dict[str, Column] = {f"after {mark}": at(mark) for mark in MARKS if mark <= episodes}
    columns["to reach"] = lambda own: spread(np.minimum(to_reach(own, target), episodes).tolist(), ".0f")
    columns["reached"] = lambda own: f"{np.isfinite(to_reach(own, target)).sum()} of {len(own)}"
    return table(rows, ["method"], {**columns, "unseen, %": percent("unseen"), "fine-tuned, %": percent("finetuned")})


def overview(cases: Sequence[Rows]) -> Table:
    """A line for each method over all cases: evaluations to reach the reference, and where it ended beside the best."""
    found: list[Row] = []
    for rows in cases:
        target, methods = reference(rows), groups(rows, "method")
        best = min(after(own, own[0]["episodes"]).mean() for own in methods.values())
        for (method,), own in methods.items():
            reached, episodes = to_reach(own, target), own[0]["episodes"]
            found.append(
                {
                    "method": method,
                    "to reach": np.minimum(reached, episodes).mean(),
                    "reached": np.isfinite(reached).mean(),
                    "early": after(own, EARLY).mean() / best,
                    "end": after(own, episodes).mean() / best,
                    "seconds": np.mean([row["seconds"] for row in own]),
                }
            )
    mean_of = {name: np.mean([row["to reach"] for row in own]) for (name,), own in groups(found, "method").items()}
    columns = {
        "cases": lambda own: str(len(own)),
        f"to reach {REFERENCE}@{REFERENCE_AT}": average("to reach", ".0f"),
        "searches that reach it": average("reached", ".0%"),
        f"KL after {EARLY} / best": average("early", ".2f"),
        "KL at the end / best": average("end", ".2f"),
        "seconds": average("seconds", ".0f"),
    }
    return table(sorted(found, key=lambda row: mean_of[row["method"]]), ["method"], columns)


def losses(rows: Rows) -> Iterator[str]:
    """A sentence for each agent that ended behind a rival by more than their spread."""
    ends = {name: after(own, own[0]["episodes"]) for (name,), own in groups(rows, "method").items()}
    for agent in (name for name in ends if name in AGENTS):
        for rival in (name for name in ends if name.partition("/")[0] not in AGENTS):
            own, other = ends[agent], ends[rival]
            if own.mean() > other.mean() + max(own.std(), other.std()):
                yield f"{title(rows)}: {agent} ({own.mean():.4f}) ends behind {rival} ({other.mean():.4f})."


def title(rows: Rows) -> str:
    """What the rows of a case are about."""
    return f"{rows[0]['network']}, {rows[0]['budget']}"


def tables(rows: Rows) -> Iterator[Section]:
    """The overview, a table for each case, what agents lost, and what no plan meets."""
    played = list(groups([row for row in rows if "impossible" not in row], "network", "budget").values())
    if played:
        yield Section("All cases", [overview(played)])
    for own in played:
        yield Section(title(own), [case_table(own)])
    lost = [line for own in played for line in losses(own)] or ["None."]
    yield Section("Losses", [Words("Losses: " + " ".join(lost))])
    for row in rows:
        if "impossible" in row:
            yield Section(f"{title([row])}: no plan", [Words(row["impossible"])])


def pictures(rows: Rows) -> Iterator[tuple[str, Figure]]:
    """A picture for each case."""
    return draw_curves([row for row in rows if "impossible" not in row and "/" not in row["method"]], "method")


def flags(parser: argparse.ArgumentParser) -> None:
    """What can be asked for."""
    parser.add_argument("--network", nargs="+", default=NETWORKS, help="zoo names or module:function")
    parser.add_argument("--budget", nargs="+", default=["macs=0.5", "latency=0.5", "latency=0.7", "latency=0.35"])
    parser.add_argument("--methods", nargs="+", default=[*RIVALS, *AGENTS[:4]], help="METHOD or METHOD/PRESET")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--episodes", type=int, default=300)
    parser.add_argument("--finetune-steps", type=int, default=60, help="0 for no fine-tune")
    parser.add_argument("--samples", type=int, default=512, help="validation images of one evaluation")
    parser.add_argument("--device", default="ready:epyc-onnxruntime", help="profile of budgets on latency and energy")


def check(options: Case) -> None:
    """Refuse flags out of range, unknown methods and presets."""
    at_least(options, seeds=1, episodes=1, finetune_steps=0)
    for method in options.methods:
        searcher_of(method)


BENCHMARK = Benchmark("tournament", __doc__, flags, ("budget", "network"), run, tables, check, pictures)
main = BENCHMARK.main

if __name__ == "__main__":
    sys.exit(main())
