"""What repairs bring to mixes of decisions: a rough refit in the search, moments of a network without its blocks.

    python -m rlprune.experiments.benchmarks.mixed_repair --network digits-resnet --out out.json --markdown out.md

*The search.* Random plans within a budget are evaluated as a search does, their masked weights refitted by so many
steps of conjugate gradients, or exactly. The truth is the KL of the delivered network on all validation samples:
weights refitted exactly, BatchNorm re-estimated. Told are Spearman's rho of both KLs, over all plans and over the
better half, their ratio, and the processor time of an evaluation beside one without refit: the ways take turns at each
plan, and each starts with empty caches.

*Dropped blocks.* Networks without some blocks, and with half their channels or a fifth of their weights, are delivered
twice: repaired by the moments of what layers read in the dense network, and in the one without the blocks.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from rlprune.arrays import FloatArray, IntArray
from rlprune.budgets.limits import Budget
from rlprune.choices.choice import Choice, Kind
from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.errors import ConfigError
from rlprune.evaluation.evaluator import Evaluator
from rlprune.experiments.benchmarks.mixed_repair_report import SCHEMA, print_report
from rlprune.experiments.benchmarks.mixes import kinds_of
from rlprune.experiments.benchmarks.script import run_script
from rlprune.experiments.benchmarks.search_signal import draw, rho
from rlprune.experiments.pipeline.setup import Material, load_material, make_evaluator
from rlprune.experiments.settings.config import NetworkConfig
from rlprune.plans.builder import PlanBuilder
from rlprune.plans.treatment import PlanTensors, treated_layers
from rlprune.pruning.blocks.droppable import find_blocks
from rlprune.pruning.weight_repair import WeightRepair
from rlprune.support.progress import counted

NONE, EXACT = "0", "exact"
FEWEST_PLANS = 6
"""The better half of fewer ranks nothing."""
KEPT: dict[str, tuple[Kind, float]] = {
    "half the channels": ("channels", 0.5), "a fifth of the weights": ("weights", 0.2)
}  # fmt: skip


class DenseMoments(PlanBuilder):
    """One whose delivered networks are repaired for what layers read in the dense network, whatever is dropped."""

    def finished_tensors(self, dropped: Sequence[str]) -> PlanTensors:
        """Those of a plan that drops nothing."""
        return super().finished_tensors(())


def with_builder(evaluator: Evaluator, builder: PlanBuilder) -> Evaluator:
    """The same evaluator with another builder and empty caches."""
    return Evaluator(
        evaluator.tables.fresh(), evaluator.task, samples=evaluator.dense.samples, space=evaluator.space,
        builder=builder, statistics=evaluator.statistics,
    )  # fmt: skip


def ways_of(evaluator: Evaluator, steps: Sequence[str]) -> dict[str, Evaluator]:
    """Number of steps -> an evaluator whose search refits masked weights by so many."""
    layers = [layer for _, layer in treated_layers(evaluator.space)]
    repair = WeightRepair(evaluator.tables, layers, evaluator.task.calibration)
    return {count: refitting(evaluator, repair_by(repair, count)) for count in dict.fromkeys((NONE, *steps))}


def repair_by(repair: WeightRepair, steps: str) -> WeightRepair | None:
    """By so many steps, or exactly; None for none."""
    if steps == EXACT:
        return repair
    return repair.roughly(int(steps)) if int(steps) else None


def refitting(evaluator: Evaluator, repair: WeightRepair | None) -> Evaluator:
    """The same evaluator with another repair in the search, and empty caches."""
    builder = copy.copy(evaluator.builder)
    found = with_builder(evaluator, builder)
    builder.tensors = PlanTensors(found.tables, found.space, repair)
    return found


def timed(ways: Mapping[str, Evaluator], plans: Sequence[IntArray]) -> tuple[dict[str, FloatArray], ...]:
    """KL and milliseconds of processor time of every plan, each ``[plans]``, by every way; the ways take turns."""
    seen = {name: np.zeros(len(plans)) for name in ways}
    spent = {name: np.zeros(len(plans)) for name in ways}
    for number, plan in enumerate(counted(plans, "evaluations")):
        names = list(ways)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.process_time()
            seen[name][number] = ways[name].measure(tuple(plan.tolist()))[0].divergence
            spent[name][number] = 1e3 * (time.process_time() - start)
    return seen, spent


def signal(material: Material, tables_of: Evaluator, kinds: str, options: argparse.Namespace) -> dict[str, Any]:
    """How well each number of steps ranks random plans of these kinds.

    Raises:
        BudgetError: the budget cannot be met.
        ConfigError: the network has nothing to decide of a kind, or the budget leaves fewer than 3 plans.
    """
    space = Space(material.network, Decisions(kinds_of(kinds)))
    evaluator = tables_of.deciding(space)
    plans = draw(replace(material, space=space), evaluator, options)
    seen, spent = timed(ways_of(evaluator, options.steps), plans)
    truth = np.array([evaluator.finalist(plan).divergence for plan in counted(plans, "delivered")])
    rows = [row_of(name, seen[name], truth, spent[name], spent[NONE]) for name in seen]
    found = {"network": material.name, "kinds": kinds, "budget": options.budget, "images": evaluator.dense.samples}
    return found | {"plans": [plan.tolist() for plan in plans], "delivered": truth.tolist(), "rows": rows}


def row_of(steps: str, seen: FloatArray, truth: FloatArray, ms: FloatArray, none_ms: FloatArray) -> dict[str, Any]:
    """The figures of one number of steps; all arrays are ``[plans]``."""
    better = truth.argsort()[: (len(truth) + 1) // 2]
    return {
        "steps": steps,
        "rho": float(rho(seen, truth)),
        "rho_better_half": float(rho(seen[better], truth[better])),
        "seen_over_delivered": quartiles(seen / np.maximum(truth, 1e-12)),
        "ms": ms.tolist(),
        "time_over_none": float(np.median(ms / none_ms)),
        "seen": seen.tolist(),
    }


def quartiles(values: FloatArray) -> list[float]:
    """First quartile, median, third quartile."""
    return [float(value) for value in np.quantile(values, (0.25, 0.5, 0.75))]


def drops(material: Material, tables_of: Evaluator, options: argparse.Namespace) -> dict[str, Any]:
    """KL and score of networks without some blocks, by both moments; no rows where no block can be dropped."""
    blocks, rows = find_blocks(material.network), []
    for name, (kind, share) in KEPT.items():
        if not blocks or not options.drops:
            break
        evaluator = tables_of.deciding(Space(material.network, Decisions((kind, "depth"))))
        dense = DenseMoments(evaluator.tables, evaluator.space, evaluator.task.calibration)
        ways = {"dense": with_builder(evaluator, dense), "shortened": evaluator}
        for dropped in sets_of([block.name for block in blocks], options.drops, options.seed):
            row = np.array([level_of(choice, dropped, share) for choice in evaluator.space.choices])
            found = {way: own.finalist(row) for way, own in ways.items()}
            told = {way: {"divergence": own.divergence, "score": own.score} for way, own in found.items()}
            rows.append({"dropped": list(dropped), "kept": name, **told})
            print(f"{material.name} {dropped} {name}: {told}", file=sys.stderr)
    return {"network": material.name, "rows": rows}


def sets_of(names: Sequence[str], count: int, seed: int) -> Iterator[tuple[str, ...]]:
    """At most so many sets of blocks drawn at random: half of one block, the others of two; in forward order."""
    rng = np.random.default_rng(seed)
    for size, most in ((1, (count + 1) // 2), (2, count // 2)):
        possible = list(combinations(names, size))
        for place in sorted(rng.permutation(len(possible))[:most]):
            yield possible[place]


def level_of(choice: Choice, dropped: Sequence[str], share: float) -> int:
    """The level of a plan that drops these blocks and keeps a share of all else."""
    if choice.kind == "depth":
        return 0 if choice.name in dropped else choice.full
    return min(choice.levels, key=lambda level: abs(choice.share(level) - share))


def check(options: argparse.Namespace) -> None:
    """Refuse flags out of range before anything is computed.

    Raises:
        ConfigError: it names the flag.
    """
    for steps in options.steps:
        if steps != EXACT and not steps.isdecimal():
            raise ConfigError(f"--steps takes whole numbers and {EXACT!r}; {steps!r} came.")
    for kinds in options.kinds:
        if "weights" not in kinds_of(kinds):
            raise ConfigError(f"--kinds must hold weights, of which some are masked and refitted; {kinds!r} came.")
    least = {"plans": FEWEST_PLANS, "samples": 1, "drops": 0, "seed": 0}
    for flag, bound in least.items():
        if getattr(options, flag) < bound:
            raise ConfigError(f"--{flag} must be at least {bound}; {getattr(options, flag)} came.")
    Budget.parse(options.budget)


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Run, print, and return the report."""
    check(options)
    report: dict[str, Any] = {"schema": SCHEMA, "settings": vars(options), "signals": [], "drops": []}
    for network in options.network:
        material = load_material(NetworkConfig(network=network, data_dir=options.data_dir), 8)
        tables_of = make_evaluator(material, options.samples, 0)
        report["signals"] += [signal(material, tables_of, kinds, options) for kinds in options.kinds]
        report["drops"].append(drops(material, tables_of, options))
    print_report(report, options.markdown)
    return report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
    parser.add_argument("--network", nargs="+", default=["digits-resnet"], help="zoo names or module:function")
    parser.add_argument("--kinds", nargs="*", default=["channels,weights", "channels,weights,bits"])
    parser.add_argument("--budget", default="size=0.1")
    parser.add_argument("--profile", help="device profile, for a budget on latency or energy")
    parser.add_argument("--plans", type=int, default=40)
    parser.add_argument(
        "--steps", nargs="+", default=[NONE, "1", "2", "4", "8", EXACT], help=f"of the refit; {NONE} for none, {EXACT}"
    )
    parser.add_argument("--samples", type=int, default=512, help="validation images of one evaluation")
    parser.add_argument("--drops", type=int, default=8, help="sets of dropped blocks, at most; 0 for none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--markdown", help="Markdown file for the tables")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    return run_script(__doc__, add_arguments, execute, arguments)


if __name__ == "__main__":
    sys.exit(main())
