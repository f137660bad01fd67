"""Promised against measured: a profile is built, then plans it never saw are timed in a later pass.

    python -m rlprune.experiments.benchmarks.latency_promise --network fashion-resnet20 --out promise.json

Writes the figures as JSON and, beside it, a scatter picture (PNG). The goal is a median error of at most 5% and a 90th
percentile of at most 10%.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from scipy.stats import spearmanr

from rlprune.devices.meters import choose_meter
from rlprune.devices.plans import choose_plans
from rlprune.devices.profile import DeviceProfile
from rlprune.devices.profiler import build_profile
from rlprune.devices.promise import PlanTimings, measure_plans
from rlprune.devices.records import ErrorSummary
from rlprune.devices.runtimes import OnnxRuntimeCpu
from rlprune.errors import RlpruneError
from rlprune.files import write_json
from rlprune.network import FloatArray, IntArray, Network
from rlprune.pruning import surgery
from rlprune.zoo import load_zoo, zoo_entry

SCHEMA = "rlprune-latency-promise/1"
CHECK_SEED = 1000
"""Added to the profile's seed: the checked plans are drawn anew."""
TRULY_EXPORTED = 5
"""So many of the checked plans are pruned in torch and exported one by one, as a finished plan is."""


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


def compare(
    network: Network, runtime: OnnxRuntimeCpu, profile: DeviceProfile, count: int, samples: int, progress: bool
) -> Comparison:
    """Time ``count`` plans over the profile's widths that it was neither fitted to nor checked on."""
    known = {plan.widths for plan in profile.measured}
    candidates = choose_plans(network.restricted(profile.widths), 2 * count + len(known), profile.seed + CHECK_SEED)
    unseen = np.array([plan for plan in candidates if tuple(int(w) for w in plan) not in known][:count])
    if not len(unseen):
        raise RlpruneError("Every plan over the widths that pay was already measured: none is left to check.")
    modules = [surgery.prune(network, surgery.leading_channels(network, widths)) for widths in unseen[:TRULY_EXPORTED]]
    timings = measure_plans(
        network,
        runtime,
        [*modules, *unseen[TRULY_EXPORTED:]],
        samples=samples,
        seed=profile.seed,
        dense_latency_ms=profile.dense_latency_ms,
        progress=progress,
    )
    return Comparison(unseen, profile.predictor.bind(network)(unseen), timings)


def as_json(name: str, profile: DeviceProfile, comparison: Comparison) -> dict[str, Any]:
    """Everything that was found, figures first."""
    rows = zip(comparison.plans, comparison.promised_ms, comparison.timings.plans, strict=True)
    return {
        "schema": SCHEMA,
        "network": name,
        "device": profile.device,
        "runtime": asdict(profile.runtime),
        "samples": profile.samples,
        "errors": asdict(comparison.errors),
        "spearman": comparison.spearman,
        "spread": comparison.timings.spread,
        "profile_held_out": asdict(profile.held_out),
        "profile_cross_validated": asdict(profile.cross_validated),
        "profile_spread": profile.spread,
        "profile_dense_latency_ms": profile.dense_latency_ms,
        "dense": asdict(comparison.timings.dense),
        "plans": [
            {"widths": [int(w) for w in widths], "promised_ms": float(promised), **asdict(timing)}
            for widths, promised, timing in rows
        ],
    }


def as_table(name: str, profile: DeviceProfile, comparison: Comparison) -> str:
    """The figures for people to read."""
    errors = comparison.errors
    lines = [
        f"{name} on {profile.device}, {profile.runtime.name} {profile.runtime.version}, batch {profile.runtime.batch}",
        f"dense latency      {profile.dense_latency_ms:.4f} ms, {profile.samples} samples a plan",
        f"unseen plans       {errors.plans}",
        f"median error       {errors.median:.1%}",
        f"90th percentile    {errors.p90:.1%}",
        f"worst error        {errors.worst:.1%}",
        f"Spearman           {comparison.spearman:.3f}",
        f"spread of halves   {comparison.timings.spread:.1%}",
    ]
    return "\n".join(lines)


def draw(name: str, comparison: Comparison, path: Path) -> None:
    """Scatter of promised against measured latency, with bands of 5% and 10%."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 5), layout="constrained")
    ends = np.array([0.0, 1.05 * max(comparison.measured_ms.max(), comparison.promised_ms.max())])
    for band, shade in ((0.10, 0.15), (0.05, 0.25)):
        axes.fill_between(
            ends, ends * (1 - band), ends * (1 + band), color="tab:blue", alpha=shade, label=f"±{band:.0%}", linewidth=0
        )
    axes.plot(ends, ends, color="black", linewidth=0.8)
    axes.scatter(comparison.measured_ms, comparison.promised_ms, s=14, color="tab:orange", zorder=3)
    axes.set(xlim=ends, ylim=ends, xlabel="measured latency [ms]", ylabel="promised latency [ms]")
    errors = comparison.errors
    axes.set_title(f"{name}: median error {errors.median:.1%}, 90th percentile {errors.p90:.1%}", fontsize=10)
    axes.legend(loc="upper left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", required=True, help="a network of the zoo")
    parser.add_argument("--out", required=True, type=Path, help="JSON to write; the picture stands beside it")
    parser.add_argument("--profile", type=Path, help="where the profile is kept; an interrupted one goes on from here")
    parser.add_argument("--plans", type=int, default=80, help="plans the predictor is fitted to (default 80)")
    parser.add_argument("--checks", type=int, default=50, help="unseen plans timed afterwards (default 50)")
    parser.add_argument("--samples", type=int, default=300, help="samples of each plan (default 300)")
    parser.add_argument("--threads", type=int, default=1, help="threads of ONNX Runtime (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice and order of plans (default 0)")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 where it ran, 2 where an input was wrong."""
    options = parse(arguments)
    torch.set_num_threads(1)
    try:
        network = Network(load_zoo(options.network), zoo_entry(options.network).example_inputs())
        runtime = OnnxRuntimeCpu(threads=options.threads)
        profile = build_profile(
            network,
            runtime,
            choose_meter("cpu")[0],
            plans=options.plans,
            samples=options.samples,
            seed=options.seed,
            path=options.profile or options.out.with_suffix(".profile.json"),
            progress=not options.quiet,
        )
        comparison = compare(network, runtime, profile, options.checks, options.samples, not options.quiet)
        write_json(options.out, as_json(options.network, profile, comparison))
        draw(options.network, comparison, options.out.with_suffix(".png"))
    except RlpruneError as reason:
        print(reason, file=sys.stderr)
        return 2
    print(as_table(options.network, profile, comparison))
    return 0


if __name__ == "__main__":
    sys.exit(main())
