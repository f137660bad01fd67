"""Which method finds better plans in the same number of evaluations, over networks, budgets and seeds.

    python -m rlprune.experiments.benchmarks.tournament --tier short --out tournament/    # about five minutes
    python -m rlprune.experiments.benchmarks.tournament --tier hour --processes 2 --out tournament/
    python -m rlprune.experiments.benchmarks.tournament --tier night --processes 2 --out tournament/

Every search starts with an empty cache and counts its own evaluations; a plan that another search of the same case
tried already is looked up instead of run again, which changes no count. Reported are the divergence from the dense
network on the search images (what is searched for) against evaluations, and for the best plan the accuracy on
validation images that no search saw, BatchNorm re-estimated, before and after the same short fine-tune. Test images are
not touched. Each case is a JSON file in the folder, written when it is finished; cases that are there are not run
again, and the report is made of all.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlprune.agents import METHODS, Episode, best_outcomes, make_searcher
from rlprune.agents.presets import PRESETS
from rlprune.budgets.limits import Budget
from rlprune.devices import resolve_device
from rlprune.envs import LayerPruningEnv
from rlprune.errors import BudgetError, ConfigError, RlpruneError, unknown_name
from rlprune.evaluation.evaluator import SEARCH_BATCH, Evaluator, PlanKey, Quality
from rlprune.evaluation.problem import Outcome, PruningProblem
from rlprune.experiments.benchmarks.script import run_script
from rlprune.experiments.benchmarks.tournament_report import SCHEMA, read_cases, write_report
from rlprune.experiments.pipeline.measuring_device import fitting_profile
from rlprune.experiments.pipeline.setup import is_measured, load_material, make_evaluator, make_problem
from rlprune.experiments.runs.result import UNSEARCHED
from rlprune.experiments.settings.problem import NetworkConfig
from rlprune.finetuning.finetune import FineTuning, finetune
from rlprune.support.files import write_json
from rlprune.support.threads import torch_threads
from rlprune.tasks.split import Split

NETWORKS = ("digits-resnet", "fashion-resnet20", "fashion-vgg", "fashion-mobilenet")
BUDGETS = ("macs=0.5", "latency=0.5", "latency=0.7", "latency=0.35", "energy=0.5")
RIVALS = ("uniform", "filled", "random", "evolutionary", "tpe", "greedy", "sensitivity", "threshold")
LEARNERS = ("ddpg", "td3", "sac", "ppo")
ABLATIONS = tuple(f"ddpg/{preset}" for preset in PRESETS if preset != "default")


@dataclass(frozen=True)
class Tier:
    """How much is run."""

    networks: tuple[str, ...]
    budgets: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: int
    episodes: int
    finetune_steps: int


TIERS = {
    "short": Tier(NETWORKS[:1], BUDGETS[:2], (*RIVALS, *LEARNERS), 3, 150, 0),
    "hour": Tier(NETWORKS, BUDGETS[:4], (*RIVALS, *LEARNERS), 5, 300, 60),
    "night": Tier(NETWORKS, BUDGETS, (*RIVALS, *LEARNERS, "tqc", *ABLATIONS), 10, 300, 300),
}


@dataclass(frozen=True)
class Case:
    """One network at one budget, and what is run on it."""

    network: str
    budget: str
    device: str
    methods: tuple[str, ...]
    seeds: int
    episodes: int
    samples: int
    finetune_steps: int
    data_dir: str | None
    path: str


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


def curve(episodes: Sequence[Episode]) -> list[float | None]:
    """Lowest divergence after 1, 2, ... evaluations; None before the first plan within the budget."""
    best = np.full(max(max(episode.evaluations for episode in episodes), 1), np.inf)
    for episode in episodes:
        place = max(episode.evaluations, 1) - 1
        best[place] = min(best[place], episode.outcome.quality.divergence)
    return [None if np.isinf(value) else float(value) for value in np.minimum.accumulate(best)]


def prepare(case: Case) -> PruningProblem:
    """The problem of a case.

    Raises:
        BudgetError: no plan meets the budget.
    """
    material = load_material(NetworkConfig(network=case.network, data_dir=case.data_dir), 8)
    budget = Budget.parse(case.budget)
    profile = fitting_profile(resolve_device(case.device), material.network, None) if is_measured(budget) else None
    known = make_evaluator(material, case.samples, 0)
    evaluator = SharedEvaluator(known.tables, known.task, samples=case.samples)
    evaluator.shared = {}
    return make_problem(material, evaluator, profile, [budget], "agreement")


def run_case(case: Case) -> None:
    """Run every method and seed on one case and write its file."""
    with torch_threads(1):
        base = {"schema": SCHEMA, **{key: value for key, value in asdict(case).items() if key != "path"}}
        try:
            problem = prepare(case)
        except BudgetError as reason:
            write_json(case.path, base | {"impossible": str(reason), "searches": []}, RlpruneError)
            return
        outcomes: dict[PlanKey, dict[str, float]] = {}
        searches = []
        for seed in range(case.seeds):
            for method in case.methods:
                if seed == 0 or method not in (*UNSEARCHED, "greedy", "threshold"):  # nothing is drawn there
                    searches.append(_search(case, problem.fresh(), method, seed, outcomes))
        write_json(case.path, base | {"searches": searches}, RlpruneError)


def _search(
    case: Case, problem: PruningProblem, method: str, seed: int, outcomes: dict[PlanKey, dict[str, float]]
) -> dict[str, Any]:
    name, _, preset = method.partition("/")
    evaluator = problem.evaluator
    assert isinstance(evaluator, SharedEvaluator)  # as prepared
    evaluator.ran = 0.0
    start = time.perf_counter()
    result = make_searcher(name, preset or "default").search(LayerPruningEnv(problem), case.episodes, seed)
    own = time.perf_counter() - start - evaluator.ran
    [winner] = best_outcomes(result.episodes, 1)
    key = tuple(winner.levels.tolist())
    if key not in outcomes:
        outcomes[key] = finished(case, problem, winner)
    print(f"{case.network} {case.budget} {method} seed {seed}: {winner.quality.divergence:.4f}", file=sys.stderr)
    return {
        "method": method,
        "seed": seed,
        "curve": curve(result.episodes),
        "widths": list(key),
        "evaluations": result.episodes[-1].evaluations,
        "own_seconds": own,
        "inference_seconds": evaluator.seconds,
        **outcomes[key],
    }


def finished(case: Case, problem: PruningProblem, outcome: Outcome) -> dict[str, float]:
    """Accuracy of a plan on unseen validation images, before and after the short fine-tune of the first seed's kind."""
    evaluator = problem.evaluator
    unseen = _unseen(evaluator)
    model = evaluator.repaired(outcome.levels)
    found = {"unseen": evaluator.on(model, unseen).score}
    if case.finetune_steps:
        finetune(model, evaluator.task, FineTuning(steps=case.finetune_steps))
        found["finetuned"] = evaluator.on(model, unseen).score
    return found


def _unseen(evaluator: Evaluator) -> Split:
    """Validation images behind those of the search; all of them where the search saw all."""
    split, seen = evaluator.task.validation, evaluator.dense.samples
    return split if len(split) < seen + SEARCH_BATCH else split.skip(seen)


def cases(options: argparse.Namespace) -> list[Case]:
    """What the tier and the flags ask for.

    Raises:
        ConfigError: an unknown method, preset or tier, or no seeds or episodes.
    """
    tier = TIERS[options.tier]
    methods = tuple(options.methods or tier.methods)
    seeds = tier.seeds if options.seeds is None else options.seeds
    episodes = tier.episodes if options.episodes is None else options.episodes
    if seeds < 1 or episodes < 1:
        raise ConfigError(f"A comparison needs at least 1 seed and 1 episode; {seeds} and {episodes} came.")
    for method in methods:
        name, _, preset = method.partition("/")
        if name not in METHODS:
            raise ConfigError(unknown_name("method", name, METHODS))
        make_searcher(name, preset or "default")
    steps = tier.finetune_steps if options.finetune_steps is None else options.finetune_steps
    folder = Path(options.out)
    return [
        Case(
            network, budget, options.device, methods, seeds, episodes, options.samples, steps, options.data_dir,
            str(folder / f"{network}-{budget.replace('=', '')}.json"),
        )
        for budget in options.budget or tier.budgets
        for network in options.network or tier.networks
    ]  # fmt: skip


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Run what is missing, and report on all that is in the folder."""
    if not options.out:
        raise ConfigError("The cases need a folder. Use --out tournament/, say.")
    wanted = [case for case in cases(options) if not Path(case.path).exists()]
    Path(options.out).mkdir(parents=True, exist_ok=True)
    if options.processes == 1 or len(wanted) < 2:
        for case in wanted:
            run_case(case)
    else:
        with multiprocessing.get_context("spawn").Pool(options.processes, maxtasksperchild=1) as pool:
            for _ in pool.imap_unordered(run_case, wanted, chunksize=1):
                pass
    report = write_report(Path(options.out), read_cases(Path(options.out)), options.markdown)
    options.out = str(Path(options.out) / "summary" / "summary.json")
    return report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
    parser.add_argument("--tier", choices=TIERS, default="short", help="how much is run; the flags below change it")
    parser.add_argument("--network", nargs="+", help="zoo names or module:function")
    parser.add_argument("--budget", nargs="+")
    parser.add_argument("--methods", nargs="+", help="METHOD or METHOD/PRESET")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--episodes", type=int)
    parser.add_argument("--finetune-steps", type=int)
    parser.add_argument("--samples", type=int, default=512, help="validation images of one evaluation")
    parser.add_argument("--device", default="ready:epyc-onnxruntime", help="profile of budgets on latency and energy")
    parser.add_argument("--processes", type=int, default=1, help="cases at once")
    parser.add_argument("--markdown", help="Markdown file for the tables")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    return run_script(__doc__, add_arguments, execute, arguments)


if __name__ == "__main__":
    sys.exit(main())
