"""Promised against measured: a profile is built, then plans it never saw are timed in a later pass.

    python -m rlprune.experiments.benchmarks.latency_promise --device cpu:onnxruntime cpu:openvino --out promise.json

For each network and device: 50 unseen plans, some of them pruned in torch and truly exported as a finished plan is; and
a second profile with the same settings, whose promises are compared with those of the first. Goals: median error at
most 5%, 90th percentile at most 10%, rank correlation at least 0.95, and two profiles that agree within the error they
state.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

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
from rlprune.experiments.benchmarks.columns import Column, first, table
from rlprune.experiments.benchmarks.harness import Benchmark, Case, Row, Rows
from rlprune.experiments.presenting.document import Section
from rlprune.experiments.presenting.styles import VERMILION
from rlprune.experiments.reports.profile_pictures import promise_scatter
from rlprune.networks import surgery
from rlprune.networks.network import Network
from rlprune.zoo import load_zoo, zoo_entry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHECK_SEED = 1000
"""Added to the profile's seed: the checked plans are drawn anew."""
TRULY_EXPORTED = 5
"""So many of the checked plans are pruned in torch and exported one by one, as a finished plan is."""
COMPARED = 500
"""Plans for which two profiles are compared."""
TAIL = "p99"


def unseen_plans(network: Network, profile: DeviceProfile, count: int) -> IntArray:
    """Plans over the profile's widths that it was neither fitted to nor checked on, ``[P, G]``."""
    known = {plan.widths for plan in profile.measured}
    candidates = choose_plans(network.restricted(profile.widths), 2 * count + len(known), profile.seed + CHECK_SEED)
    unseen = np.array([plan for plan in candidates if tuple(int(w) for w in plan) not in known][:count])
    if not len(unseen):
        raise RlpruneError("Every plan over the widths that pay was already measured: none is left to check.")
    return unseen


def timed(network: Network, runtime: Runtime, profile: DeviceProfile, plans: IntArray, samples: int) -> PlanTimings:
    """Plans beside the dense network, the first ones truly exported; the drift since the profile is taken out."""
    leading = [surgery.leading_channels(network, widths) for widths in plans[:TRULY_EXPORTED]]
    modules = [surgery.prune(network, channels) for channels in leading]
    return measure_plans(
        network,
        runtime,
        [*modules, *plans[TRULY_EXPORTED:]],
        samples=samples,
        seed=profile.seed,
        dense_latency_ms=profile.dense_latency_ms,
        progress=True,
    )


def disagreement(network: Network, first: DeviceProfile, second: DeviceProfile) -> ErrorSummary:
    """How far the promises of two profiles lie apart, as shares of the dense latency that each measured."""
    common = {name: sorted({*widths} & {*second.widths[name]}) for name, widths in first.widths.items()}
    plans = choose_plans(network.restricted(common), COMPARED, CHECK_SEED)
    left, right = (p.predictor.bind(network)(plans) / p.dense_latency_ms for p in (first, second))
    return ErrorSummary.of(left / right - 1)


def run(case: Case) -> list[Row]:
    """Both profiles and the unseen plans of one network on one device."""
    network = Network(load_zoo(case.network), zoo_entry(case.network).example_inputs())
    runtime = resolve_device(case.device, threads=case.threads).runtime
    if runtime is None:
        raise DeviceError(f"A promise is checked where the profile is measured; {case.device!r} is one. Name cpu.")
    effort = Effort(plans=case.plans, samples=case.samples, seed=case.seed)
    meter = choose_meter(case.device.partition(":")[0])[0]
    path = Path(case.profiles) / f"{stem(case.network, case.device)}.json" if case.profiles else None
    profile = build_profile(network, runtime, meter, effort, path=path, progress=True)
    plans = unseen_plans(network, profile, case.checks)
    timings = timed(network, runtime, profile, plans, case.samples)
    second = build_profile(network, runtime, meter, effort, progress=True)
    promised = profile.predictor.bind(network)(plans)
    measured = np.array([plan.corrected_ms for plan in timings.plans])
    # Tails are of the machine as it was loaded, so nothing is corrected there.
    tails = np.array([plan.tails_ms[TAIL] for plan in timings.plans])
    found = {
        "machine": profile.device,
        "runtime": asdict(profile.runtime),
        "dense_ms": profile.dense_latency_ms,
        "errors": asdict(ErrorSummary.of(promised / measured - 1)),
        "spearman": float(spearmanr(promised, measured).statistic),
        "tail_errors": asdict(ErrorSummary.of(profile.tails[TAIL](promised) / tails - 1)),
        "two_profiles": asdict(disagreement(network, profile, second)),
        "stated": asdict(profile.held_out),
        "spread": timings.spread,
        "other_load": profile.sessions[0].other_load,
        "widths": plans.tolist(),
        "promised_ms": promised.tolist(),
        "measured_ms": measured.tolist(),
    }
    return [found]


def stem(network: str, device: str) -> str:
    """Of the names of files."""
    return f"{device.replace(':', '-')}-{network}"


def share(of: str, what: str) -> Column:
    """A figure of a summary of errors."""
    return lambda rows: f"{rows[0][of][what]:.1%}"


COLUMNS = {
    "dense, ms": first("dense_ms", ".4f"),
    "median error": share("errors", "median"),
    "p90": share("errors", "p90"),
    "worst": share("errors", "worst"),
    "rank correlation": first("spearman", ".3f"),
    f"{TAIL}, median error": share("tail_errors", "median"),
    "two profiles, median": share("two_profiles", "median"),
    "two profiles, p90": share("two_profiles", "p90"),
    "stated p90": share("stated", "p90"),
}


def tables(rows: Rows) -> Iterator[Section]:
    """A line for each network and device."""
    yield Section("Promised against measured latency", [table(rows, ["network", "device"], COLUMNS)])


def pictures(rows: Rows) -> Iterator[tuple[str, Figure]]:
    """Promised against measured, for each network and device."""
    for row in rows:
        promised, measured = (np.array(row[key]) for key in ("promised_ms", "measured_ms"))
        title = f"{row['network']} on {row['runtime']['name']}: {len(promised)} unseen plans"
        series: Sequence[tuple[str, FloatArray, FloatArray, str]] = [("unseen", promised, measured, VERMILION)]
        yield stem(row["network"], row["device"]), promise_scatter(title, series, ErrorSummary(**row["errors"]))


def flags(parser: argparse.ArgumentParser) -> None:
    """What can be asked for."""
    networks = ["fashion-resnet20", "fashion-vgg", "fashion-mobilenet"]
    parser.add_argument("--network", nargs="+", default=networks, help="networks of the zoo")
    parser.add_argument("--device", nargs="+", default=["cpu:onnxruntime"], help="as rlprune devices lists them")
    parser.add_argument("--profiles", help="folder to keep the profiles in; an interrupted one goes on from there")
    parser.add_argument("--plans", type=int, default=80, help="plans the predictor is fitted to (default 80)")
    parser.add_argument("--checks", type=int, default=50, help="unseen plans timed afterwards (default 50)")
    parser.add_argument("--samples", type=int, default=300, help="samples of each plan (default 300)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the runtime (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice and order of plans (default 0)")


BENCHMARK = Benchmark("latency_promise", __doc__, flags, ("device", "network"), run, tables, pictures=pictures)
main = BENCHMARK.main

if __name__ == "__main__":
    sys.exit(main())
