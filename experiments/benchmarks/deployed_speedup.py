"""Is the deployed network as fast as its profile promised? For the plans that an agent chose.

    python -m rlprune.experiments.benchmarks.deployed_speedup --device cpu:onnxruntime cpu:openvino --out deployed.json

For each network and device a profile is measured; the agent searches within each latency budget; the finished network
(repaired, truly exported) is timed beside the dense one. Reported is its speed-up divided by the promised one: 1 is a
promise kept, goal at least 0.95. The agent exploits whatever the profile is wrong about, so this is harder than random
plans.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rlprune.agents import best_outcomes, make_searcher
from rlprune.budgets.limits import Budget
from rlprune.devices import DeviceProfile, Runtime, resolve_device
from rlprune.devices.meters import choose_meter
from rlprune.devices.profiling.measuring import Effort
from rlprune.devices.profiling.profiler import build_profile
from rlprune.devices.profiling.promise import measure_plans
from rlprune.envs import LayerPruningEnv
from rlprune.errors import BudgetError, DeviceError
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import Outcome
from rlprune.experiments.benchmarks.latency_promise import NETWORKS
from rlprune.experiments.benchmarks.script import run_script
from rlprune.experiments.pipeline.setup import Material, load_material, make_evaluator, make_problem
from rlprune.experiments.runs.tables import print_table
from rlprune.experiments.settings.problem import NetworkConfig
from rlprune.support.progress import counted

SCHEMA = "rlprune-deployed-speedup/1"
HEADS = (
    *("network", "device", "budget\nlatency", "promised\nms", "measured\nms", "promised\nspeed-up"),
    *("deployed\nspeed-up", "deployed /\npromised", "accuracy\nvalidation"),
)


def one_case(name: str, device: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """All budgets of one network on one device; the finished networks are timed together."""
    material = load_material(NetworkConfig(network=name, data_dir=options.data_dir), 8)
    runtime = resolve_device(device, threads=options.threads).runtime
    if runtime is None:
        raise DeviceError(f"Speed-ups are measured where the profile is; {device!r} is a profile. Name cpu, say.")
    profile = _profile(material, runtime, device, options)
    evaluator = make_evaluator(material, options.samples, options.seed)
    chosen = _searched(material, evaluator, profile, options)
    modules = [evaluator.repaired(outcome.levels).eval() for outcome in chosen.values()]
    timings = measure_plans(
        material.network, runtime, modules, seed=options.seed, dense_latency_ms=profile.dense_latency_ms, progress=True
    )
    rows = []
    for (budget, outcome), module, timing in zip(chosen.items(), modules, timings.plans, strict=True):
        promised = profile.dense_latency_ms / outcome.costs["latency"]
        rows.append(
            {
                "network": name,
                "device": device,
                "budget": budget,
                "widths": outcome.levels.tolist(),
                "promised_ms": outcome.costs["latency"],
                **asdict(timing),
                "promised_speedup": promised,
                "deployed_speedup": 1 / timing.ratio,
                "kept": 1 / timing.ratio / promised,
                "score_validation": evaluator.on(module, material.task.validation).score,
                "profile_error": asdict(profile.held_out),
                "spread": timings.spread,
            }
        )
    return rows


def _profile(material: Material, runtime: Runtime, device: str, options: argparse.Namespace) -> DeviceProfile:
    """The profile kept from an earlier run, else a new one."""
    path = None
    if options.profiles is not None:
        path = Path(options.profiles) / f"{device.replace(':', '-')}-{material.name}.json"
        if path.exists():
            return DeviceProfile.load(path).for_network(material.network)
    meter = choose_meter(device.partition(":")[0])[0]
    return build_profile(material.network, runtime, meter, Effort(seed=options.seed), path=path, progress=True)


def _searched(
    material: Material, evaluator: Evaluator, profile: DeviceProfile, options: argparse.Namespace
) -> dict[float, Outcome]:
    """Budget to the agent's best plan; budgets that no plan meets are told and left out."""
    found = {}
    for budget in counted(options.budget, f"search {material.name}"):
        try:
            problem = make_problem(material, evaluator, profile, [Budget("latency", budget)], "agreement").fresh()
        except BudgetError as reason:
            print(f"{material.name}, {profile.runtime.name}: {reason}")
            continue
        result = make_searcher(options.agent).search(LayerPruningEnv(problem), options.episodes, options.seed)
        found[budget] = best_outcomes(result.episodes, 1)[0]
    return found


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        row["network"],
        row["device"],
        f"{row['budget']:.2f}",
        f"{row['promised_ms']:.4f}",
        f"{row['corrected_ms']:.4f}",
        *(f"{row[key]:.2f}" for key in ("promised_speedup", "deployed_speedup")),
        f"{row['kept']:.3f}",
        f"{row['score_validation']:.2%}",
    ]


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Every network on every device."""
    rows = [row for device in options.device for name in options.network for row in one_case(name, device, options)]
    print_table("Deployed against promised speed-up", HEADS, [_cells(row) for row in rows])
    print(f"Least deployed / promised: {min(row['kept'] for row in rows):.3f} (goal 0.95)")
    return {"schema": SCHEMA, "rows": rows}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
    parser.add_argument("--network", nargs="+", default=list(NETWORKS), help="networks of the zoo")
    parser.add_argument("--device", nargs="+", default=["cpu:onnxruntime"], help="as rlprune devices lists them")
    parser.add_argument("--budget", nargs="+", type=float, default=[0.7, 0.5, 0.35], help="shares of the dense latency")
    parser.add_argument("--agent", default="ddpg")
    parser.add_argument("--episodes", type=int, default=150)
    parser.add_argument("--samples", type=int, default=512, help="validation samples of one evaluation")
    parser.add_argument("--profiles", help="folder of profiles, as latency_promise keeps them; new ones are put there")
    parser.add_argument("--threads", type=int, default=1, help="threads of the runtime (default 1)")
    parser.add_argument("--seed", type=int, default=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    return run_script(__doc__, add_arguments, execute, arguments)


if __name__ == "__main__":
    sys.exit(main())
