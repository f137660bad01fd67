"""Time and memory of preparing large networks: tracing, tables, and the first plan.

    python -m rlprune.experiments.benchmarks.scale --network resnet50 vit-base --out scale.json

Each network has random weights and random calibration images, and is prepared in a process of its own, so that its
peak memory is its own. On a machine that others use too, the processor's seconds say more than the clock's.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence

import torch

from rlprune.errors import ConfigError, unknown_name
from rlprune.experiments.benchmarks.columns import first, table
from rlprune.experiments.benchmarks.harness import Benchmark, Case, Row, Rows
from rlprune.experiments.benchmarks.large_networks import LARGE
from rlprune.experiments.benchmarks.searches import at_least
from rlprune.experiments.presenting.document import Section
from rlprune.networks.network import Network
from rlprune.pruning.tables import MEMORY_GIB, PruningTables
from rlprune.tasks import Split

GIB = 2**30


def peak_gib() -> float:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / GIB if sys.platform == "darwin" else peak * 1024 / GIB


def run(case: Case) -> list[Row]:
    """What it takes to prepare one network in this process."""
    torch.manual_seed(0)
    images = torch.randn(case.samples, 3, case.size, case.size)
    model = LARGE[case.network]().eval()
    start, cpu = time.perf_counter(), time.process_time()
    network = Network(model, images[:1])
    del model  # the network has a copy
    traced = time.perf_counter()
    tables = PruningTables(network, Split(images, torch.zeros(len(images))), memory_gib=case.memory_gib)
    prepared = time.perf_counter()
    tables.tensors([group.widths[len(group.widths) // 2] for group in network.groups])
    found = {
        "parameters": int(network.params(network.dense_widths)[0]),
        "groups": len(network.groups),
        "network_seconds": traced - start,
        "tables_seconds": prepared - traced,
        "plan_seconds": time.perf_counter() - prepared,
        "cpu_seconds": time.process_time() - cpu,
        "tables_gib": tables.bytes / GIB,
        "peak_gib": peak_gib(),
        "unrepaired": tables.unrepaired,
        "approximate": tables.approximate,
    }
    return [found]


COLUMNS = {
    "M params": lambda rows: f"{rows[0]['parameters'] / 1e6:.1f}",
    "groups": first("groups"),
    "trace s": first("network_seconds", ".1f"),
    "tables s": first("tables_seconds", ".1f"),
    "plan s": first("plan_seconds", ".2f"),
    "CPU s": first("cpu_seconds", ".1f"),
    "tables GiB": first("tables_gib", ".2f"),
    "peak GiB": first("peak_gib", ".2f"),
    "cut only": lambda rows: str(len(rows[0]["unrepaired"])),
}


def tables(rows: Rows) -> Iterator[Section]:
    """A line for each network."""
    yield Section("Preparing large networks", [table(rows, ["network"], COLUMNS)])


def flags(parser: argparse.ArgumentParser) -> None:
    """What can be asked for."""
    parser.add_argument("--network", nargs="+", default=list(LARGE), help=", ".join(LARGE))
    parser.add_argument("--samples", type=int, default=64, help="calibration images")
    parser.add_argument("--size", type=int, default=224, help="their height and width")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-gib", type=float, default=MEMORY_GIB, help="most memory of the tables")


def check(options: Case) -> None:
    """Refuse unknown networks and flags out of range."""
    at_least(options, samples=1, size=32, threads=1)
    for name in options.network:
        if name not in LARGE:
            raise ConfigError(unknown_name("network", name, LARGE))


BENCHMARK = Benchmark("scale", __doc__, flags, ("network",), run, tables, check, apart=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    # Threads that wait must not spin: on a machine that others use too, that takes several times as long.
    os.environ["OMP_WAIT_POLICY"] = "passive"
    return BENCHMARK.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
