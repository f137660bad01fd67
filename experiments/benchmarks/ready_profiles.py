"""Measures the profiles that ship, and writes their cards.

    python -m rlprune.experiments.benchmarks.ready_profiles --machine epyc --device cpu:onnxruntime cpu:openvino \
        --folder rlprune/devices/ready --cards experiments/benchmarks/ready-profiles.md

For each device: one profile of every network of the zoo, and one of kinds of layers for all other networks. Without
``--device`` only the cards are written again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rlprune.devices import DeviceProfile, resolve_device
from rlprune.devices.grid import LayerProfile, build_layer_profile
from rlprune.devices.meters import choose_meter
from rlprune.devices.profiling.measuring import Effort
from rlprune.devices.profiling.profiler import build_profile
from rlprune.devices.ready import FOLDER, LAYERS, SEPARATOR, ready_files, ready_names
from rlprune.devices.sources import open_profile
from rlprune.errors import ConfigError, DeviceError
from rlprune.experiments.benchmarks.harness import run_script
from rlprune.experiments.runs.tables import markdown
from rlprune.networks.network import Network
from rlprune.support.files import write_atomic
from rlprune.zoo import ZOO, load_zoo, zoo_entry

INTRODUCTION = """# Profiles that ship

Made by `python -m rlprune.experiments.benchmarks.ready_profiles`. Use one with `--device ready:NAME`; a first run then
needs no profiling. **A profile describes the machine it was measured on and no other**: where yours differs, rlprune
says so in every run, and `rlprune profile` measures your own in a minute. Latency is the minimum of interleaved runs;
errors are those of plans that the fit never saw. Energy rests on an assumed power, not on a meter. A name such as "AMD
EPYC" stands for many machines: [results.md](../../docs/results.md#measurements) holds latencies of the same networks
under the same name that are 1.6 to 1.9 times as long.
"""
HEADS = (
    "network",
    "dense, ms",
    "samples/s",
    "plans",
    "timings",
    "error: median",
    "p90",
    "worst",
    "p99 latency error",
    "spread",
)


def measure(machine: str, device: str, folder: Path, options: argparse.Namespace) -> None:
    """All profiles of one device; those that are there are left alone."""
    kind, _, named = device.partition(":")
    runtime = resolve_device(device, threads=1).runtime
    if runtime is None:
        raise DeviceError(f"Ready profiles are measured here; {device!r} is a profile. Name cpu:onnxruntime, say.")
    stem = f"{machine}-{named or runtime.identity.name}{SEPARATOR}"
    meter = choose_meter(kind)[0]
    for name in ZOO:
        path = folder / f"{stem}{name}.json"
        if not path.exists():
            network = Network(load_zoo(name), zoo_entry(name).example_inputs())
            effort = Effort(plans=options.plans, samples=options.samples)
            build_profile(network, runtime, meter, effort, path=path, progress=True)
    path = folder / f"{stem}{LAYERS}.json"
    if not path.exists():
        build_layer_profile(runtime, samples=options.samples, path=path, progress=True)


def cards(folder: Path) -> str:
    """What each profile states about itself, as Markdown."""
    return "\n".join([INTRODUCTION, *(_card(name, folder) for name in ready_names(folder))])


def _card(name: str, folder: Path) -> str:
    profiles = {network: open_profile(path) for network, path in ready_files(name, folder).items()}
    first = next(iter(profiles.values()))
    rows = [_row(network, item) for network, item in profiles.items() if isinstance(item, DeviceProfile)]
    layers = [_layers(item) for item in profiles.values() if isinstance(item, LayerProfile)]
    about = f"{first.device}; {first.os}; {first.runtime}; measured {first.created[:10]}."
    return "\n\n".join([f"## `ready:{name}`", about, markdown(HEADS, rows), *layers]) + "\n"


def _row(network: str, profile: DeviceProfile) -> list[str]:
    error = profile.held_out
    return [
        f"`{network}`",
        f"{profile.dense_latency_ms:.4f}",
        f"{1e3 * profile.runtime.batch / profile.dense_latency_ms:.0f}",
        str(len(profile.measured)),
        str(profile.samples),
        *(f"{share:.1%}" for share in (error.median, error.p90, error.worst)),
        f"{profile.tails['p99'].error.median:.1%}",
        f"{profile.spread:.1%}",
    ]


def _layers(profile: LayerProfile) -> str:
    return (
        f"Other networks, from kinds of layers: {profile.network_error} on {profile.network_error.plans} plans of "
        f"networks that were never measured ({profile.layer_error} on chains of one kind of layer)."
    )


def execute(options: argparse.Namespace) -> None:
    """Measure what is missing, then write the cards."""
    folder = Path(options.folder)
    if options.device and not options.machine:
        raise ConfigError("The names of ready profiles begin with the machine's. Give it with --machine, such as epyc.")
    for device in options.device:
        measure(options.machine, device, folder, options)
    text = cards(folder)
    if options.cards:
        write_atomic(options.cards, text)
    print(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
    parser.add_argument("--device", nargs="*", default=[], help="as rlprune devices lists them")
    parser.add_argument("--machine", help="short name of the machine, with which the files begin")
    parser.add_argument("--folder", default=str(FOLDER), help="where the profiles lie (default: where they ship)")
    parser.add_argument("--cards", help="Markdown file for the cards")
    parser.add_argument("--plans", type=int, default=96, help="plans each predictor is fitted to (default 96)")
    parser.add_argument("--samples", type=int, default=300, help="samples of each plan (default 300)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    return run_script(__doc__, add_arguments, execute, arguments)


if __name__ == "__main__":
    sys.exit(main())
