"""Does a mix of decisions meet a budget with less loss than any kind alone, at equal evaluations?

    python -m rlprune.experiments.benchmarks.mixes --network digits-resnet --budget size=0.1 latency=0.4 --out out.json

Each set of kinds is searched with the same number of evaluations and an empty cache. The three best plans of a search
are finished as a run delivers them (masked weights refitted, BatchNorm re-estimated), the one of highest validation
accuracy is kept, and scored once on the test samples. With a budget on latency the network is profiled here, dropped
blocks and layers in int8 included, and the finished networks of the first seed are exported and timed beside the dense
one. A set of kinds that cannot meet a budget is told so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlprune.agents import best_outcomes, make_searcher
from rlprune.budgets.limits import Budget
from rlprune.choices.choice import Kind
from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.delivery.delivered import Delivered
from rlprune.devices import Device, DeviceProfile, meter_of, resolve_device
from rlprune.devices.profiling.measuring import Effort
from rlprune.devices.profiling.mixed_profiler import add_mixes
from rlprune.devices.profiling.profiler import build_profile
from rlprune.devices.profiling.promise import measure_plans
from rlprune.envs import LayerPruningEnv
from rlprune.errors import BudgetError, ConfigError
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import PruningProblem
from rlprune.experiments.benchmarks.mixes_report import SCHEMA, draw, print_report
from rlprune.experiments.benchmarks.script import run_script
from rlprune.experiments.benchmarks.tournament import curve
from rlprune.experiments.pipeline.setup import Material, is_measured, load_material, make_evaluator, make_problem
from rlprune.experiments.settings.problem import NetworkConfig
from rlprune.networks.network import Network
from rlprune.pruning.blocks.droppable import find_blocks

MIXES = (
    "channels",
    "weights",
    "depth",
    "bits",
    "channels,bits",
    "channels,weights,bits",
    "channels,weights,depth,bits",
)
FINALISTS = 3


def kinds_of(text: str) -> Sequence[Kind]:
    """Kinds of decisions with commas between them.

    Raises:
        ConfigError: an unknown kind.
    """
    return Decisions(tuple(text.split(","))).kinds  # type: ignore[arg-type]


def profile_of(network: Network, device: Device, path: Path, effort: Effort) -> DeviceProfile:
    """The profile in a file; measured here where it is not there yet, dropped blocks and int8 too.

    Raises:
        DeviceError, ProfileError: see :func:`rlprune.devices.profiling.profiler.build_profile`.
    """
    if path.exists():
        return DeviceProfile.load(path).for_network(network)
    if device.runtime is None:
        raise ConfigError(f"Device {device.name!r} measures nothing. Name one that does, such as cpu.")
    found = build_profile(network, device.runtime, meter_of(device)[0], effort)
    kinds: tuple[Kind, ...] = ("channels", "depth", "bits") if find_blocks(network) else ("channels", "bits")
    return add_mixes(found, Space(network, Decisions(kinds)), device.runtime, effort, path=path)


def problem_of(
    material: Material, evaluator: Evaluator, profile: DeviceProfile | None, budget: Budget, kinds: str
) -> PruningProblem | None:
    """The problem of a set of kinds; None where they cannot meet the budget, or no block can be dropped."""
    wanted = kinds_of(kinds)
    if "depth" in wanted and not find_blocks(material.network):
        return None
    space = Space(material.network, Decisions(wanted))
    try:
        return make_problem(replace(material, space=space), evaluator, profile, [budget], "agreement")
    except BudgetError:
        return None


def searched(problem: PruningProblem, method: str, episodes: int, seed: int) -> tuple[dict[str, Any], Delivered]:
    """What one search found, and the network that it delivers."""
    evaluator, task = problem.evaluator, problem.evaluator.task
    result = make_searcher(method).search(LayerPruningEnv(problem), episodes, seed)
    best = best_outcomes(result.episodes, FINALISTS)
    scored = [(evaluator.finalist(outcome.levels), outcome) for outcome in best]
    quality, winner = max(scored, key=lambda pair: pair[0].score)
    delivered = evaluator.delivered(winner.levels)
    return {
        "seed": seed,
        "curve": curve(result.episodes),
        "evaluations": result.episodes[-1].evaluations,
        "seconds": result.episodes[-1].seconds,
        "levels": winner.levels.tolist(),
        "searched_divergence": winner.quality.divergence,
        "validation": quality.score,
        "divergence": quality.divergence,
        "test": evaluator.score(delivered.module, task.test),
        "costs": winner.costs,
    }, delivered


def time_them(
    network: Network,
    device: Device,
    material: Material,
    found: Sequence[tuple[dict[str, Any], Delivered]],
    dense: float,
) -> None:
    """Write the measured latency into rows, the machine's drift since the profile taken out."""
    assert device.runtime is not None  # the profile was measured with it
    batch = device.runtime.identity.batch
    models = [
        item.onnx(network.example_inputs, material.task.calibration, batch=batch) if item.ranges else item.module
        for _, item in found
    ]
    timings = measure_plans(network, device.runtime, models, samples=100, dense_latency_ms=dense)
    for (row, _), timing in zip(found, timings.plans, strict=True):
        row["measured_ms"] = timing.corrected_ms


def run_case(material: Material, evaluator: Evaluator, text: str, options: argparse.Namespace) -> dict[str, Any]:
    """Every set of kinds at one budget."""
    budget, device, profile = Budget.parse(text), resolve_device(options.device), None
    if is_measured(budget):
        path = Path(options.profiles) / f"{material.name.replace('/', '-')}.json"
        profile = profile_of(material.network, device, path, Effort(samples=options.profile_samples))
    rows: list[dict[str, Any]] = []
    first: list[tuple[dict[str, Any], Delivered]] = []
    for kinds in options.kinds:
        problem = problem_of(material, evaluator, profile, budget, kinds)
        if problem is None:
            rows.append({"kinds": kinds, "cannot": True})
            continue
        for seed in range(options.seeds):
            row, delivered = searched(problem.fresh(), options.method, options.episodes, seed)
            rows.append(row | {"kinds": kinds, "choices": len(problem.space.choices)})
            if seed == 0:
                first.append((rows[-1], delivered))
            told = f"{row['validation']:.2%}, KL {row['divergence']:.4f}"
            print(f"{material.name} {text} {kinds} seed {seed}: {told}", file=sys.stderr)
    if profile is not None:
        time_them(material.network, device, material, first, profile.dense_latency_ms)
    error = None if profile is None or profile.mixed is None else profile.mixed.held_out.median
    dense_ms = None if profile is None else profile.dense_latency_ms
    return {"network": material.name, "budget": text, "rows": rows, "dense_ms": dense_ms, "mixed_error": error}


def run(network: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """All cases of a network."""
    material = load_material(NetworkConfig(network=network, data_dir=options.data_dir), 8)
    evaluator, task = make_evaluator(material, options.samples, 0), material.task
    model = material.network.model
    dense = {"validation": evaluator.score(model, task.validation), "test": evaluator.score(model, task.test)}
    return [run_case(material, evaluator, text, options) | {"dense": dense} for text in options.budget]


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Run, print, and return the report."""
    if options.seeds < 1 or options.episodes < 1:
        raise ConfigError(f"Mixes need at least 1 seed and 1 episode; {options.seeds} and {options.episodes} came.")
    make_searcher(options.method)
    for text in options.kinds:
        kinds_of(text)
    Path(options.profiles).mkdir(parents=True, exist_ok=True)
    cases = [case for network in options.network for case in run(network, options)]
    report = {"schema": SCHEMA, "settings": vars(options), "cases": cases}
    print_report(report, options.markdown)
    if options.picture:
        draw(report, options.picture)
    return report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
    parser.add_argument("--network", nargs="+", default=["digits-resnet", "fashion-resnet20"])
    parser.add_argument("--budget", nargs="+", default=["size=0.2", "latency=0.4"])
    parser.add_argument("--kinds", nargs="+", default=list(MIXES), help="kinds with commas between them")
    parser.add_argument("--method", default="ddpg")
    parser.add_argument("--episodes", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=512, help="validation images of one evaluation")
    parser.add_argument("--device", default="cpu", help="which is profiled for budgets on latency and energy")
    parser.add_argument("--profiles", default=".", help="folder of profiles, NETWORK.json; what is missing is measured")
    parser.add_argument("--profile-samples", type=int, default=150)
    parser.add_argument("--markdown", help="Markdown file for the tables")
    parser.add_argument("--picture", help="PNG file for the picture")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    return run_script(__doc__, add_arguments, execute, arguments)


if __name__ == "__main__":
    sys.exit(main())
