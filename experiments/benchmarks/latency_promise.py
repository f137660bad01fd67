"""Promised against measured: a profile is built, then plans it never saw are timed in a later pass.

    python -m rlprune.experiments.benchmarks.latency_promise --device cpu:onnxruntime cpu:openvino --out promise.json

For each network and device: 50 unseen plans, some of them pruned in torch and truly exported as a finished plan is; and
a second profile with the same settings, whose promises are compared with those of the first. Goals: median error at
most 5%, 90th percentile at most 10%, rank correlation at least 0.95, and two profiles that agree within the error they
state. Pictures stand beside the JSON.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from rlprune.arrays import FloatArray, IntArray
from rlprune.devices import DeviceProfile, Runtime, resolve_device
from rlprune.devices.meters import choose_meter
from rlprune.devices.profiles.records import ErrorSummary
from rlprune.devices.profiling.measuring import Effort
from rlprune.devices.profiling.plans import choose_plans
from rlprune.devices.profiling.profiler import build_profile
from rlprune.devices.profiling.promise import PlanTimings, measure_plans
from rlprune.errors import DeviceError, RlpruneError
from rlprune.experiments.benchmarks.script import run_script
from rlprune.experiments.presenting.styles import VERMILION, save_figure
from rlprune.experiments.reports.profile_pictures import promise_scatter
from rlprune.experiments.runs.tables import print_table
from rlprune.networks import surgery
from rlprune.networks.network import Network
from rlprune.zoo import load_zoo, zoo_entry

SCHEMA = "rlprune-latency-promise/2"
CHECK_SEED = 1000
"""Added to the profile's seed: the checked plans are drawn anew."""
TRULY_EXPORTED = 5
"""So many of the checked plans are pruned in torch and exported one by one, as a finished plan is."""
COMPARED = 500
"""Plans for which two profiles are compared."""
NETWORKS = ("fashion-resnet20", "fashion-vgg", "fashion-mobilenet")
HEADS = (
    *("network", "device", "dense\nms", "median\nerror", "p90\nerror", "worst\nerror", "rank\ncorrelation"),
    *("p99\nmedian error", "two profiles\nmedian", "two profiles\np90", "stated\np90"),
)


@dataclass(frozen=True)
class Comparison:
    """Promised and measured milliseconds of unseen plans, ``[P]`` each."""

    plans: IntArray
    promised_ms: FloatArray
    timings: PlanTimings

    @property
    def measured_ms(self) -> FloatArray:
        """Corrected for the machine's drift since the profile, by the dense network."""
        return np.array([plan.corrected_ms for plan in self.timings.plans])

    @property
    def errors(self) -> ErrorSummary:
        return ErrorSummary.of(self.promised_ms / self.measured_ms - 1)

    @property
    def spearman(self) -> float:
        return float(spearmanr(self.promised_ms, self.measured_ms).statistic)

    def tail_errors(self, profile: DeviceProfile, quantile: str) -> ErrorSummary:
        """Errors of a tail; nothing is corrected, because tails are of the machine as it was loaded."""
        measured = np.array([plan.tails_ms[quantile] for plan in self.timings.plans])
        return ErrorSummary.of(profile.tails[quantile](self.promised_ms) / measured - 1)


def unseen_plans(network: Network, profile: DeviceProfile, count: int) -> IntArray:
    """Plans over the profile's widths that it was neither fitted to nor checked on, ``[P, G]``."""
    known = {plan.widths for plan in profile.measured}
    candidates = choose_plans(network.restricted(profile.widths), 2 * count + len(known), profile.seed + CHECK_SEED)
    unseen = np.array([plan for plan in candidates if tuple(int(w) for w in plan) not in known][:count])
    if not len(unseen):
        raise RlpruneError("Every plan over the widths that pay was already measured: none is left to check.")
    return unseen


def compare(network: Network, runtime: Runtime, profile: DeviceProfile, count: int, samples: int) -> Comparison:
    """Time ``count`` unseen plans beside the dense network."""
    unseen = unseen_plans(network, profile, count)
    modules = [surgery.prune(network, surgery.leading_channels(network, widths)) for widths in unseen[:TRULY_EXPORTED]]
    timings = measure_plans(
        network,
        runtime,
        [*modules, *unseen[TRULY_EXPORTED:]],
        samples=samples,
        seed=profile.seed,
        dense_latency_ms=profile.dense_latency_ms,
        progress=True,
    )
    return Comparison(unseen, profile.predictor.bind(network)(unseen), timings)


def disagreement(network: Network, first: DeviceProfile, second: DeviceProfile) -> ErrorSummary:
    """How far the promises of two profiles lie apart, as shares of the dense latency that each measured."""
    common = {name: sorted({*widths} & {*second.widths[name]}) for name, widths in first.widths.items()}
    plans = choose_plans(network.restricted(common), COMPARED, CHECK_SEED)
    left, right = (p.predictor.bind(network)(plans) / p.dense_latency_ms for p in (first, second))
    return ErrorSummary.of(left / right - 1)


def one_case(name: str, device: str, options: argparse.Namespace) -> dict[str, Any]:
    """Both profiles and the unseen plans of one network on one device."""
    network = Network(load_zoo(name), zoo_entry(name).example_inputs())
    runtime = resolve_device(device, threads=options.threads).runtime
    if runtime is None:
        raise DeviceError(f"The promise is checked where the profile is measured; {device!r} is a profile. Name cpu.")
    effort = Effort(plans=options.plans, samples=options.samples, seed=options.seed)
    meter = choose_meter(device.partition(":")[0])[0]
    stem = f"{device.replace(':', '-')}-{name}"
    folder = None if options.profiles is None else Path(options.profiles)
    path = None if folder is None else folder / f"{stem}.json"
    first = build_profile(network, runtime, meter, effort, path=path, progress=True)
    comparison = compare(network, runtime, first, options.checks, options.samples)
    second = build_profile(network, runtime, meter, effort, progress=True)
    if options.out:
        title = f"{name} on {first.runtime.name}: {options.checks} unseen plans"
        series = [("unseen", comparison.promised_ms, comparison.measured_ms, VERMILION)]
        picture = Path(options.out).with_name(f"{Path(options.out).stem}-{stem}.png")
        save_figure(promise_scatter(title, series, comparison.errors), picture)
    return _as_json(name, device, first, comparison, disagreement(network, first, second))


def _as_json(
    name: str, device: str, profile: DeviceProfile, comparison: Comparison, between: ErrorSummary
) -> dict[str, Any]:
    rows = zip(comparison.plans, comparison.promised_ms, comparison.timings.plans, strict=True)
    return {
        "network": name,
        "device": device,
        "machine": profile.device,
        "runtime": asdict(profile.runtime),
        "samples": profile.samples,
        "errors": asdict(comparison.errors),
        "spearman": comparison.spearman,
        "tails": {quantile: asdict(comparison.tail_errors(profile, quantile)) for quantile in profile.tails},
        "two_profiles": asdict(between),
        "spread": comparison.timings.spread,
        "profile_held_out": asdict(profile.held_out),
        "profile_cross_validated": asdict(profile.cross_validated),
        "profile_spread": profile.spread,
        "profile_dense_latency_ms": profile.dense_latency_ms,
        "other_load": profile.sessions[0].other_load,
        "dense": asdict(comparison.timings.dense),
        "plans": [
            {"widths": [int(w) for w in widths], "promised_ms": float(promised), **asdict(timing)}
            for widths, promised, timing in rows
        ],
    }


def _cells(case: dict[str, Any]) -> list[str]:
    errors, two = case["errors"], case["two_profiles"]
    shares = [errors["median"], errors["p90"], errors["worst"]]
    rest = [case["tails"]["p99"]["median"], two["median"], two["p90"], case["profile_held_out"]["p90"]]
    return [
        case["network"],
        case["device"],
        f"{case['profile_dense_latency_ms']:.4f}",
        *(f"{share:.1%}" for share in shares),
        f"{case['spearman']:.3f}",
        *(f"{share:.1%}" for share in rest),
    ]


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Every network on every device."""
    cases = [one_case(name, device, options) for device in options.device for name in options.network]
    print_table("Promised against measured latency", HEADS, [_cells(case) for case in cases])
    return {"schema": SCHEMA, "cases": cases}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
    parser.add_argument("--network", nargs="+", default=list(NETWORKS), help="networks of the zoo")
    parser.add_argument("--device", nargs="+", default=["cpu:onnxruntime"], help="as rlprune devices lists them")
    parser.add_argument("--profiles", help="folder to keep the profiles in; an interrupted one goes on from there")
    parser.add_argument("--plans", type=int, default=80, help="plans the predictor is fitted to (default 80)")
    parser.add_argument("--checks", type=int, default=50, help="unseen plans timed afterwards (default 50)")
    parser.add_argument("--samples", type=int, default=300, help="samples of each plan (default 300)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the runtime (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice and order of plans (default 0)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    return run_script(__doc__, add_arguments, execute, arguments)


if __name__ == "__main__":
    sys.exit(main())
