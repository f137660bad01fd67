"""Time and memory of preparing large networks: tracing, tables, and the first plan.

    python -m rlprune.experiments.benchmarks.scale --network resnet50 vit-base --out scale.json

Each network has random weights and random calibration images, and is prepared in a process of its own, so that its
peak memory is its own. On a machine that others use too, the processor's seconds say more than the clock's.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from rlprune.errors import ConfigError, NetworkError, unknown_name
from rlprune.experiments.benchmarks.large_networks import LARGE
from rlprune.experiments.benchmarks.script import run_script
from rlprune.experiments.runs.tables import print_table
from rlprune.networks.network import Network
from rlprune.pruning.tables import MEMORY_GIB, PruningTables
from rlprune.support.files import read_json
from rlprune.support.threads import torch_threads
from rlprune.tasks import Split

SCHEMA = "rlprune-scale/1"
GIB = 2**30


def peak_gib() -> float:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / GIB if sys.platform == "darwin" else peak * 1024 / GIB


def prepare(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Prepare one network in this process and say what it took."""
    torch.manual_seed(0)
    row: dict[str, Any] = {"network": name}
    images = torch.randn(options.samples, 3, options.size, options.size)
    model = LARGE[name]().eval()
    start, cpu = time.perf_counter(), time.process_time()
    network = Network(model, images[:1])
    del model  # the network has a copy
    row |= {"network_seconds": time.perf_counter() - start, "network_gib": peak_gib()}
    start = time.perf_counter()
    tables = PruningTables(network, Split(images, torch.zeros(len(images))), memory_gib=options.memory_gib)
    row |= {"tables_seconds": time.perf_counter() - start, "tables_gib": tables.bytes / GIB}
    start = time.perf_counter()
    tables.tensors([group.widths[len(group.widths) // 2] for group in network.groups])
    return row | {
        "plan_seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "peak_gib": peak_gib(),
        "parameters": int(network.params(network.dense_widths)[0]),
        "macs": int(network.macs(network.dense_widths)[0]),
        "layers": len(network.layers),
        "groups": len(network.groups),
        "unrepaired": tables.unrepaired,
        "approximate": tables.approximate,
    }


def prepare_apart(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The same in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "row.json"
        flags = [f"--samples={options.samples}", f"--size={options.size}", f"--threads={options.threads}"]
        flags += [] if options.memory_gib is None else [f"--memory-gib={options.memory_gib}"]
        command = [sys.executable, "-m", __spec__.name, "--network", name, "--here", f"--out={out}", *flags]
        # Threads that wait must not spin: on a machine that others use too, that takes several times as long.
        threads = {"OMP_NUM_THREADS": str(options.threads), "OMP_WAIT_POLICY": "passive"}
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | threads)
        if done.returncode != 0:
            raise NetworkError(f"Preparing {name} must end well; it ended with {done.returncode}: {done.stderr[-500:]}")
        row: dict[str, Any] = read_json(out, ConfigError)["rows"][0]
        return row


COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "M params": lambda row: f"{row['parameters'] / 1e6:.1f}",
    "groups": lambda row: str(row["groups"]),
    "trace s": lambda row: f"{row['network_seconds']:.1f}",
    "tables s": lambda row: f"{row['tables_seconds']:.1f}",
    "plan s": lambda row: f"{row['plan_seconds']:.2f}",
    "CPU s": lambda row: f"{row['cpu_seconds']:.1f}",
    "tables GiB": lambda row: f"{row['tables_gib']:.2f}",
    "peak GiB": lambda row: f"{row['peak_gib']:.2f}",
    "cut only": lambda row: str(len(row["unrepaired"])),
}


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Run, print, and return the report."""
    for name in options.network:
        if name not in LARGE:
            raise ConfigError(unknown_name("network", name, LARGE))
    rows = []
    for name in options.network:
        if options.here:
            with torch_threads(options.threads):
                rows.append(prepare(name, options))
        else:
            rows.append(prepare_apart(name, options))
    cells = [[row["network"], *(show(row) for show in COLUMNS.values())] for row in rows]
    title = f"preparing large networks, {options.threads} threads, {options.samples} samples"
    print_table(title, ["network", *COLUMNS], cells)
    return {"schema": SCHEMA, "settings": vars(options), "rows": rows}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
    parser.add_argument("--network", nargs="+", default=list(LARGE), help=", ".join(LARGE))
    parser.add_argument("--samples", type=int, default=64, help="calibration images")
    parser.add_argument("--size", type=int, default=224, help="their height and width")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-gib", type=float, default=MEMORY_GIB, help="most memory of the tables")
    parser.add_argument("--here", action="store_true", help="in this process instead of one for each network")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    return run_script(__doc__, add_arguments, execute, arguments)


if __name__ == "__main__":
    sys.exit(main())
