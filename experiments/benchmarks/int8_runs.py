"""Which layers int8 pays for when only some compute in it: measured, and as a profile promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlprune.arrays import IntArray
from rlprune.choices.choice import INT8_BITS
from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.costs import LatencyCost
from rlprune.delivery.onnx.export import export_onnx_bytes
from rlprune.delivery.onnx.int8 import quantize_for_timing
from rlprune.delivery.onnx.reading import input_arrays
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.profiling.timing import minima, rounds_for, time_round
from rlprune.devices.runtimes.onnx_runtime import OnnxRuntime
from rlprune.networks.network import Network
from rlprune.pruning.quantization import int8_layers

RANDOM = 16
"""Random sets: half of them runs of layers, half drawn layer by layer."""


@dataclass(frozen=True)
class Variant:
    """Layers in int8, by a name; ``promised_ms`` where there is a profile."""

    name: str
    layers: tuple[str, ...]
    promised_ms: float | None = None
    measured_ms: float = float("nan")


def measured_runs(
    network: Network, profile: DeviceProfile | None, batch: int, samples: int, seed: int
) -> list[dict[str, Any]]:
    """Every variant, timed in turn at full widths; the first is in float."""
    variants = _promised(_variants(int8_layers(network), seed), network, profile)
    exported = export_onnx_bytes(network.model, network.example_inputs, batch=batch, optimize=False)
    runtime, feed = OnnxRuntime(batch=batch), input_arrays(exported, network.example_inputs, batch)
    loaded = [runtime.load_bytes(quantize_for_timing(exported, each.layers), feed) for each in variants]
    rounds = [time_round(runtime, loaded, number, seed).min(axis=1) for number in range(rounds_for(samples))]
    times = minima(np.array(rounds)).tolist()
    return [vars(each) | {"measured_ms": ms} for each, ms in zip(variants, times, strict=True)]


def _variants(layers: Sequence[str], seed: int) -> list[Variant]:
    fixed = {
        "none": (),
        "all": layers,
        "all but the first": layers[1:],
        "all but the last": layers[:-1],
        "all but both": layers[1:-1],
        "all but one in the middle": [name for name in layers if name != layers[len(layers) // 2]],
        "the first half": layers[: len(layers) // 2],
        "the second half": layers[len(layers) // 2 :],
    }
    random = np.random.default_rng(seed)
    masks = [_mask(random, len(layers), runs=number % 2 == 0) for number in range(RANDOM)]
    drawn = [tuple(name for name, own in zip(layers, mask, strict=True) if own) for mask in masks]
    return [
        *(Variant(name, tuple(own)) for name, own in fixed.items()),
        *(Variant("random", own) for own in drawn),
        *(Variant("one", (name,)) for name in layers),
    ]


def _mask(random: np.random.Generator, count: int, runs: bool) -> IntArray:
    switches = random.random(count) < random.choice([1.0, 0.5, 0.25]) if runs else random.integers(0, 2, count)
    return np.asarray((np.cumsum(switches) + random.integers(2)) % 2 if runs else switches, dtype=np.int64)


def _promised(variants: Sequence[Variant], network: Network, profile: DeviceProfile | None) -> list[Variant]:
    """With what the profile promises, and the layers that it would choose."""
    if profile is None or profile.mixed is None or not profile.mixed.layers:
        return list(variants)
    space = profile.restrict(Space(network, Decisions(("channels", "bits"))))
    lowest = [min(INT8_BITS, choice.full) if choice.kind == "bits" else choice.full for choice in space.choices]
    row = np.array(lowest, dtype=np.int64)
    chosen = [*variants, Variant("chosen", space.computed_in_int8(row))]
    spaces = [space.on(space.network, int8=each.layers) for each in chosen]
    promised = [float(LatencyCost(each, profile)(row[None])[0]) for each in spaces]
    return [Variant(each.name, each.layers, ms) for each, ms in zip(chosen, promised, strict=True)]


def show_runs(runs: Sequence[dict[str, Any]]) -> None:
    """Print the table of one network."""
    base, promised = runs[0]["measured_ms"], runs[0]["promised_ms"]
    print("  runs of layers in int8, ratio to float32:   layers  measured" + ("" if promised is None else "  promised"))
    singles = [run for run in runs if run["name"] == "one"]
    shown = [run for run in runs if run["name"] != "one"]
    shown.append(min(singles, key=lambda run: float(run["measured_ms"])) | {"name": "the best one alone"})
    for run in shown:
        told = "" if promised is None else f"{run['promised_ms'] / promised:10.2f}"
        print(f"    {run['name']:40} {len(run['layers']):6} {run['measured_ms'] / base:9.2f}{told}")
    best = min(runs, key=lambda run: float(run["measured_ms"]))
    print(f"    least measured: {best['name']}, {best['measured_ms'] / base:.2f}")
    if promised is not None:
        errors = [abs(run["promised_ms"] / promised / (run["measured_ms"] / base) - 1) for run in runs[1:]]
        print(f"    error of the promise: median {np.median(errors):.1%}, worst {max(errors):.1%}")
