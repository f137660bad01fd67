"""Does a mix of decisions meet a budget with less loss than any kind alone, at equal evaluations?

    python -m rlprune.experiments.benchmarks.mixes --network digits-resnet --budget size=0.1 latency=0.4 --out out.json

Each set of kinds is searched with the same number of evaluations and an empty cache. The three best plans of a search
are finished as a run delivers them (masked weights refitted, BatchNorm re-estimated), and the one that a run would
choose is scored once on the test samples. With a budget on latency the network is profiled here, dropped blocks and
layers in int8 included, and the finished networks of the first seed are exported and timed beside the dense one. A set
of kinds that cannot meet a budget is told so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rlprune.agents import best_outcomes, make_searcher
from rlprune.budgets.limits import Budget
from rlprune.choices.choice import Kind
from rlprune.choices.scope import Scope
from rlprune.choices.space import Space
from rlprune.delivery.delivered import Delivered
from rlprune.devices import Device, DeviceProfile, meter_of, resolve_device
from rlprune.devices.profiling.measuring import Effort
from rlprune.devices.profiling.mixed_profiler import add_mixes
from rlprune.devices.profiling.profiler import build_profile
from rlprune.devices.profiling.promise import measure_plans
from rlprune.errors import BudgetError, ConfigError
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import PruningProblem
from rlprune.experiments.benchmarks.columns import first, groups, mean, percent, table
from rlprune.experiments.benchmarks.curves import draw_curves
from rlprune.experiments.benchmarks.harness import Benchmark, Case, Row, Rows
from rlprune.experiments.benchmarks.searches import at_least, curve, evaluator_of, material_of, problem_of, searched
from rlprune.experiments.pipeline.candidate import finalists_of
from rlprune.experiments.pipeline.device_profile import is_measured
from rlprune.experiments.pipeline.loading import Material
from rlprune.experiments.presenting.document import Section
from rlprune.networks.network import Network
from rlprune.pruning.blocks.droppable import find_blocks

MIXES = [
    *("channels", "weights", "depth", "bits"),
    *("channels,bits", "channels,weights,bits", "channels,weights,depth,bits"),
]
FINALISTS = 3


def kinds_of(text: str) -> Sequence[Kind]:
    """Kinds of decisions with commas between them.

    Raises:
        ConfigError: an unknown kind.
    """
    return Scope(tuple(text.split(","))).kinds  # type: ignore[arg-type]


def profile_of(network: Network, device: Device, path: Path, effort: Effort) -> DeviceProfile:
    """The profile in a file; measured here where it is not there yet, dropped blocks and int8 too.

    Raises:
        ConfigError: the device measures nothing.
        DeviceError, ProfileError: see :func:`rlprune.devices.profiling.profiler.build_profile`.
    """
    if path.exists():
        return DeviceProfile.load(path).for_network(network)
    if device.runtime is None:
        raise ConfigError(f"Device {device.name!r} measures nothing. Name one that does, such as cpu.")
    found = build_profile(network, device.runtime, meter_of(device)[0], effort)
    kinds: tuple[Kind, ...] = ("channels", "depth", "bits") if find_blocks(network) else ("channels", "bits")
    return add_mixes(found, Space(network, Scope(kinds)), device.runtime, effort, path=path)


def mixed_problem(
    material: Material, evaluator: Evaluator, profile: DeviceProfile | None, budget: str, kinds: str
) -> PruningProblem | None:
    """The problem of a set of kinds; None where they cannot meet the budget, or no block can be dropped."""
    wanted = kinds_of(kinds)
    if "depth" in wanted and not find_blocks(material.network):
        return None
    try:
        return problem_of(material, evaluator, budget, profile, Space(material.network, Scope(tuple(wanted))))
    except BudgetError:
        return None


def found_by(problem: PruningProblem, method: str, episodes: int, seed: int) -> tuple[Row, Delivered]:
    """What one search found, and the network that it delivers."""
    evaluator = problem.evaluator
    episodes_of = searched(problem, method, episodes, seed).episodes
    best, *_ = finalists_of(best_outcomes(episodes_of, FINALISTS), evaluator)
    delivered = evaluator.delivered(best.outcome.levels)
    return {
        "seed": seed,
        "curve": curve(episodes_of),
        "evaluations": episodes_of[-1].evaluations,
        "seconds": episodes_of[-1].seconds,
        "levels": best.outcome.levels.tolist(),
        "searched_divergence": best.outcome.quality.divergence,
        "validation": best.quality.score,
        "divergence": best.quality.divergence,
        "test": evaluator.score(delivered.module, evaluator.task.test),
        "promised_ms": best.outcome.costs.get("latency"),
        "choices": len(problem.space.choices),
    }, delivered


def time_them(device: Device, material: Material, found: Sequence[tuple[Row, Delivered]], dense_ms: float) -> None:
    """Write the measured latency into rows, the machine's drift since the profile taken out."""
    assert device.runtime is not None  # the profile was measured with it
    batch, network = device.runtime.identity.batch, material.network
    models = [
        item.onnx(network.example_inputs, material.task.calibration, batch=batch) if item.ranges else item.module
        for _, item in found
    ]
    timings = measure_plans(network, device.runtime, models, samples=100, dense_latency_ms=dense_ms)
    for (row, _), timing in zip(found, timings.plans, strict=True):
        row["measured_ms"] = timing.corrected_ms


def run(case: Case) -> list[Row]:
    """Every set of kinds and seed at one budget."""
    material = material_of(case)
    evaluator, task, model = evaluator_of(material, case), material.task, material.network.model
    device, profile = resolve_device(case.device), None
    if is_measured(Budget.parse(case.budget)):
        path = Path(case.profiles) / f"{material.name.replace('/', '-')}.json"
        profile = profile_of(material.network, device, path, Effort(samples=case.profile_samples))
    told: Row = {"dense": evaluator.score(model, task.validation), "dense_test": evaluator.score(model, task.test)}
    told["dense_ms"] = None if profile is None else profile.dense_latency_ms
    rows: list[Row] = []
    timed: list[tuple[Row, Delivered]] = []
    for kinds in case.kinds:
        problem = mixed_problem(material, evaluator, profile, case.budget, kinds)
        if problem is None:
            rows.append({"kinds": kinds, **told})
            continue
        for seed in range(case.seeds):
            row, delivered = found_by(problem.fresh(), case.method, case.episodes, seed)
            rows.append({"kinds": kinds, **told, **row})
            timed += [(rows[-1], delivered)] if seed == 0 else []
            told_now = f"{row['validation']:.2%}, KL {row['divergence']:.4f}"
            print(f"{case.network} {case.budget} {kinds} seed {seed}: {told_now}", file=sys.stderr)
    if profile is not None:
        time_them(device, material, timed, profile.dense_latency_ms)
    return rows


COLUMNS = {
    "choices": first("choices"),
    "validation": lambda rows: percent("validation")(rows) if "curve" in rows[0] else "cannot",
    "KL": mean("divergence", ".4f"),
    "KL in the search": mean("searched_divergence", ".4f"),
    "test": percent("test"),
    "promised, ms": first("promised_ms", ".4f"),
    "measured, ms": first("measured_ms", ".4f"),
}


def tables(rows: Rows) -> Iterator[Section]:
    """A table for each network and budget: means over seeds, latencies of the first seed."""
    for (network, budget), own in groups(rows, "network", "budget").items():
        dense = own[0]
        latency = "" if dense["dense_ms"] is None else f", {dense['dense_ms']:.4f} ms"
        title = f"{network}, {budget} (dense {dense['dense']:.2%}, test {dense['dense_test']:.2%}{latency})"
        yield Section(title, [table(own, ["kinds"], COLUMNS)])


def flags(parser: argparse.ArgumentParser) -> None:
    """What can be asked for."""
    parser.add_argument("--network", nargs="+", default=["digits-resnet", "fashion-resnet20"])
    parser.add_argument("--budget", nargs="+", default=["size=0.2", "latency=0.4"])
    parser.add_argument("--kinds", nargs="+", default=MIXES, help="kinds with commas between them")
    parser.add_argument("--method", default="ddpg")
    parser.add_argument("--episodes", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=512, help="validation images of one evaluation")
    parser.add_argument("--device", default="cpu", help="which is profiled for budgets on latency and energy")
    parser.add_argument("--profiles", default=".", help="folder of profiles, NETWORK.json; what is missing is measured")
    parser.add_argument("--profile-samples", type=int, default=150)


def check(options: Case) -> None:
    """Refuse flags out of range, and unknown methods, kinds and budgets."""
    at_least(options, seeds=1, episodes=1)
    make_searcher(options.method)
    for text in options.kinds:
        kinds_of(text)
    for text in options.budget:
        Budget.parse(text)


BENCHMARK = Benchmark(
    "mixes", __doc__, flags, ("network", "budget"), run, tables, check,
    lambda rows: draw_curves([row for row in rows if "curve" in row], "kinds"),
)  # fmt: skip
main = BENCHMARK.main

if __name__ == "__main__":
    sys.exit(main())
