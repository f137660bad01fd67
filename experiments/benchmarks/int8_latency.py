"""Where int8 pays in ONNX Runtime, and what it costs in accuracy.

Latency: float32 with BatchNorms folded, all layers in int8, each layer alone in int8, weights stored in 8 bits. All
variants run in turn, each round in another order; given is the ratio of shortest runs to that of float32. Accuracy: of
trained networks, on validation images: in ONNX Runtime and as simulated in torch. Runs of layers: parts of the layers
in int8, at the first batch; with ``--profile`` (of the same network, with measured mixes) beside what it promises.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from rlprune.delivery.onnx.export import export_onnx_bytes
from rlprune.delivery.onnx.few_bits import weight_only_onnx
from rlprune.delivery.onnx.int8 import quantize_for_timing, quantize_onnx
from rlprune.delivery.onnx.reading import input_arrays
from rlprune.delivery.onnx.session import Feed, open_session
from rlprune.devices.host import LoadWatch, cpu_model
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.profiling.timing import minima, rounds_for, time_round
from rlprune.devices.runtimes.onnx_runtime import OnnxRuntime
from rlprune.errors import ConfigError
from rlprune.experiments.benchmarks.int8_networks import TRAINED, UNTRAINED, network_named
from rlprune.experiments.benchmarks.int8_runs import measured_runs, show_runs
from rlprune.experiments.benchmarks.script import run_script
from rlprune.experiments.pipeline.setup import load_material
from rlprune.experiments.settings.problem import NetworkConfig
from rlprune.networks.network import Network
from rlprune.pruning.quantization import (
    Int8Inputs,
    WeightPlace,
    fake_quantized,
    int8_layers,
    measure_ranges,
    storable_layers,
)
from rlprune.tasks.base import Task
from rlprune.tasks.batches import batches
from rlprune.tasks.split import Split

SCHEMA = "rlprune-int8-latency/2"
BATCH = 100
CALIBRATION = 512
CPU = torch.device("cpu")


def latencies(network: Network, batch: int, samples: int, seed: int) -> dict[str, float]:
    """Variant -> shortest run in milliseconds; ``int8 LAYER`` is that layer alone."""
    exported = export_onnx_bytes(network.model, network.example_inputs, batch=batch, optimize=False)
    layers, places = int8_layers(network), storable_layers(network)
    models = {
        "float32": quantize_for_timing(exported, []),
        "weights 8": weight_only_onnx(exported, dict.fromkeys(places, 8), places),
        "int8": quantize_for_timing(exported, layers),
        **{f"int8 {name}": quantize_for_timing(exported, [name]) for name in layers},
    }
    runtime = OnnxRuntime(batch=batch)
    feed = input_arrays(exported, network.example_inputs, batch)
    loaded = [runtime.load_bytes(model, feed) for model in models.values()]
    rounds = [time_round(runtime, loaded, number, seed).min(axis=1) for number in range(rounds_for(samples))]
    return dict(zip(models, minima(np.array(rounds)).tolist(), strict=True))


def accuracies(network: Network, task: Task, images: int) -> dict[str, dict[str, float]]:
    """Variant -> score and divergence from float32 on validation images; agreement with int8 in ONNX Runtime."""
    layers, places = int8_layers(network), storable_layers(network)
    exported = export_onnx_bytes(network.model, network.example_inputs, batch=BATCH, optimize=False)
    calibration, split = task.calibration.take(CALIBRATION), task.validation.take(images)
    samples = _feeds(exported, calibration)
    answers = {"float32": _torch_answers(network.model, split)}
    for name, percentile in (("int8", None), ("int8 99.99%", 99.99)):
        ranges = measure_ranges(network.model, layers, batches(calibration, BATCH, CPU), percentile=percentile)
        model = quantize_onnx(exported, layers, samples, ranges)
        answers[f"{name}, ONNX Runtime"] = _onnx_answers(model, split)
        simulated = _rounded(network, places, 8)
        Int8Inputs(simulated, layers).apply(ranges, layers)
        answers[f"{name}, simulated"] = _torch_answers(simulated, split)
    for bits in (8, 4):
        answers[f"weights {bits}"] = _torch_answers(_rounded(network, places, bits), split)
    delivered = answers["int8, ONNX Runtime"]
    return {
        name: {
            "score": task.score(answer, split.targets),
            "divergence": task.divergence(answer, answers["float32"]),
            "agrees_with_int8": float((answer.argmax(1) == delivered.argmax(1)).float().mean()),
            "divergence_from_int8": task.divergence(answer, delivered),
        }
        for name, answer in answers.items()
    }


def _rounded(network: Network, places: dict[str, WeightPlace], bits: int) -> nn.Module:
    model = copy.deepcopy(network.model)
    tensors = model.state_dict()
    for key, out_dim in places.values():
        tensors[key].copy_(fake_quantized(tensors[key], bits, out_dim))
    return model


def _feeds(model: bytes, split: Split) -> list[Feed]:
    return [input_arrays(model, inputs, BATCH) for inputs in batches(split, BATCH, CPU)]


def _onnx_answers(model: bytes, split: Split) -> torch.Tensor:
    session = open_session(model)
    answers = [session.run(None, feed)[0] for feed in _feeds(model, split)]
    return torch.from_numpy(np.concatenate(answers)[: len(split)])


def _torch_answers(model: nn.Module, split: Split) -> torch.Tensor:
    with torch.inference_mode():
        return torch.cat([model(*inputs) for inputs in batches(split, BATCH, CPU)])


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Everything about one network."""
    if name in UNTRAINED:
        network, task = network_named(name), None
    else:
        material = load_material(NetworkConfig(network=name, data_dir=options.data_dir), 8)
        network, task = material.network, material.task
    row: dict[str, Any] = {"network": name, "latency_ms": {}, "accuracy": {}}
    with LoadWatch() as watch:
        for batch in options.batch:
            row["latency_ms"][batch] = latencies(network, batch, options.samples, options.seed)
        profile = None if options.profile is None else DeviceProfile.load(options.profile).for_network(network)
        row["runs"] = measured_runs(network, profile, options.batch[0], options.samples, options.seed)
    row["other_load"] = watch.other_load
    if task is not None and options.images:
        row["accuracy"] = accuracies(network, task, options.images)
    return row


def show(row: dict[str, Any]) -> None:
    """Print one network's tables."""
    print(f"\n{row['network']}")
    for batch, times in row["latency_ms"].items():
        ratios = {name: ms / times["float32"] for name, ms in times.items()}
        alone = sorted(ratio for name, ratio in ratios.items() if name.startswith("int8 "))
        print(
            f"  batch {batch}: float32 {times['float32']:.3f} ms, int8 {ratios['int8']:.2f}, weights in 8 bits "
            f"{ratios['weights 8']:.2f}; one layer in int8 {alone[0]:.2f} to {alone[-1]:.2f}, "
            f"below 0.98: {sum(ratio < 0.98 for ratio in alone)} of {len(alone)}"
        )
    show_runs(row["runs"])
    for name, told in row["accuracy"].items():
        print(
            f"  {name:26} {told['score']:.2%}  divergence {told['divergence']:.5f}  as int8 "
            f"{told['agrees_with_int8']:.2%}, divergence {told['divergence_from_int8']:.5f}"
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this script."""
    parser.add_argument("--network", nargs="+", default=[*TRAINED, *UNTRAINED], help="names")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 64])
    parser.add_argument("--samples", type=int, default=200, help="timed runs of each variant")
    parser.add_argument("--images", type=int, default=4000, help="validation images; 0 leaves accuracy out")
    parser.add_argument("--profile", default=None, help="profile of the network, where one is named")
    parser.add_argument("--seed", type=int, default=0)


def execute(options: argparse.Namespace) -> dict[str, Any]:
    """Run, print, and return the report."""
    if min(*options.batch, options.samples, options.images + 1) < 1:
        raise ConfigError(
            "Batches and samples must be at least 1, images at least 0. Raise --batch, --samples or --images."
        )
    rows = []
    for name in options.network:
        rows.append(measure(name, options))
        show(rows[-1])
    return {"schema": SCHEMA, "settings": vars(options), "processor": cpu_model(), "networks": rows}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    return run_script(__doc__, add_arguments, execute, arguments)


if __name__ == "__main__":
    sys.exit(main())
