"""Where int8 pays in ONNX Runtime, and what it costs in accuracy.

    python -m rlprune.experiments.benchmarks.int8_latency --out int8.json

Latency: float32 with BatchNorms folded, all layers in int8, each layer alone in int8, weights stored in 8 bits. All
variants run in turn, each round in another order; given is the ratio of shortest runs to that of float32. Accuracy: of
trained networks, on validation images: in ONNX Runtime and as simulated in torch. Sets of layers: parts of the layers
in int8, at the first batch; with ``--profile`` (of the same network, with measured mixes) beside what it promises.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import nn

from rlprune.delivery.onnx.export import export_onnx_bytes
from rlprune.delivery.onnx.few_bits import weight_only_onnx
from rlprune.delivery.onnx.int8 import quantize_for_timing, quantize_onnx
from rlprune.delivery.onnx.reading import input_arrays
from rlprune.delivery.onnx.session import Feed, open_session
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.profiling.timing import minima, rounds_for, time_round
from rlprune.devices.runtimes.onnx_runtime import OnnxRuntime
from rlprune.experiments.benchmarks.columns import first, groups, table, values
from rlprune.experiments.benchmarks.harness import Benchmark, Case, Row, Rows
from rlprune.experiments.benchmarks.int8_networks import UNTRAINED, network_named
from rlprune.experiments.benchmarks.int8_sets import error_text, layer_sets, shown
from rlprune.experiments.benchmarks.searches import at_least, material_of
from rlprune.experiments.presenting.document import Section, Table, Words
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

TRAINED = ["fashion-resnet20", "fashion-vgg", "fashion-mobilenet"]
BATCH = 100
CALIBRATION = 512
PAYS = 0.98
"""A ratio to float32 below which a layer alone is faster, beyond the noise."""
CPU = torch.device("cpu")


def timed(network: Network, models: Mapping[str, bytes], exported: bytes, batch: int, case: Case) -> dict[str, float]:
    """Shortest run of every model in milliseconds; all run in turn."""
    runtime, feed = OnnxRuntime(batch=batch), input_arrays(exported, network.example_inputs, batch)
    loaded = [runtime.load_bytes(model, feed) for model in models.values()]
    rounds = [time_round(runtime, loaded, number, case.seed).min(axis=1) for number in range(rounds_for(case.samples))]
    return dict(zip(models, minima(np.array(rounds)).tolist(), strict=True))


def latencies(network: Network, batch: int, case: Case) -> list[Row]:
    """A row for each variant; ``alone`` where one layer computes in int8 alone."""
    exported = export_onnx_bytes(network.model, network.example_inputs, batch=batch, optimize=False)
    layers, places = int8_layers(network), storable_layers(network)
    models = {
        "float32": quantize_for_timing(exported, []),
        "weights 8": weight_only_onnx(exported, dict.fromkeys(places, 8), places),
        "int8": quantize_for_timing(exported, layers),
        **{f"int8 {name}": quantize_for_timing(exported, [name]) for name in layers},
    }
    times = timed(network, models, exported, batch, case)
    return [
        {"of": "latency", "batch": batch, "variant": name, "ms": ms, "ratio": ms / times["float32"],
         "alone": name.startswith("int8 ")}
        for name, ms in times.items()
    ]  # fmt: skip


def sets_of_layers(network: Network, case: Case) -> list[Row]:
    """A row for each set of layers in int8, timed at full widths; the first is in float."""
    profile = None if case.profile is None else DeviceProfile.load(case.profile).for_network(network)
    sets, batch = layer_sets(network, profile, case.seed), case.batch[0]
    exported = export_onnx_bytes(network.model, network.example_inputs, batch=batch, optimize=False)
    models = {str(place): quantize_for_timing(exported, each.layers) for place, each in enumerate(sets)}
    times = timed(network, models, exported, batch, case).values()
    return [
        {"of": "sets", **vars(each), "layers": list(each.layers), "measured_ms": ms}
        for each, ms in zip(sets, times, strict=True)
    ]


def accuracies(network: Network, task: Task, images: int) -> list[Row]:
    """A row for each variant: score, divergence from float32, and agreement with int8 in ONNX Runtime."""
    layers, places = int8_layers(network), storable_layers(network)
    exported = export_onnx_bytes(network.model, network.example_inputs, batch=BATCH, optimize=False)
    calibration, split = task.calibration.take(CALIBRATION), task.validation.take(images)
    samples = _feeds(exported, calibration)
    answers = {"float32": _torch_answers(network.model, split)}
    for name, percentile in (("int8", None), ("int8 99.99%", 99.99)):
        ranges = measure_ranges(network.model, layers, batches(calibration, BATCH, CPU), percentile=percentile)
        answers[f"{name}, ONNX Runtime"] = _onnx_answers(quantize_onnx(exported, layers, samples, ranges), split)
        simulated = _rounded(network, places, 8)
        Int8Inputs(simulated, layers).apply(ranges, layers)
        answers[f"{name}, simulated"] = _torch_answers(simulated, split)
    for bits in (8, 4):
        answers[f"weights {bits}"] = _torch_answers(_rounded(network, places, bits), split)
    delivered = answers["int8, ONNX Runtime"]
    return [
        {
            "of": "accuracy",
            "variant": name,
            "score": task.score(answer, split.targets),
            "divergence": task.divergence(answer, answers["float32"]),
            "agrees_with_int8": float((answer.argmax(1) == delivered.argmax(1)).float().mean()),
            "divergence_from_int8": task.divergence(answer, delivered),
        }
        for name, answer in answers.items()
    ]


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


def run(case: Case) -> list[Row]:
    """Everything about one network."""
    if case.network in UNTRAINED:
        network, task = network_named(case.network), None
    else:
        material = material_of(case)
        network, task = material.network, material.task
    rows = [row for batch in case.batch for row in latencies(network, batch, case)] + sets_of_layers(network, case)
    return rows + (accuracies(network, task, case.images) if task is not None and case.images else [])


def latency_table(rows: Rows) -> Table:
    """A line for each network and batch: ratios to float32."""

    def ratio_of(own: Rows, variant: str) -> str:
        return first("ratio", ".2f")([row for row in own if row["variant"] == variant])

    def alone(own: Rows) -> list[float]:
        return sorted(values([row for row in own if row["alone"]], "ratio"))

    columns = {
        "float32, ms": lambda own: first("ms", ".3f")([row for row in own if row["variant"] == "float32"]),
        "int8, all layers": lambda own: ratio_of(own, "int8"),
        "one layer alone": lambda own: f"{alone(own)[0]:.2f} to {alone(own)[-1]:.2f}",
        f"of them below {PAYS}": lambda own: f"{sum(one < PAYS for one in alone(own))} of {len(alone(own))}",
        "weights in 8 bits": lambda own: ratio_of(own, "weights 8"),
    }
    return table(rows, ["network", "batch"], columns)


ACCURACY = {
    "score": first("score", ".2%"),
    "KL": first("divergence", ".5f"),
    "agrees with int8": first("agrees_with_int8", ".2%"),
    "KL from int8": first("divergence_from_int8", ".5f"),
}


def tables(rows: Rows) -> Iterator[Section]:
    """Latencies of all networks, then accuracies and sets of layers."""
    by_kind = {kind: own for (kind,), own in groups(rows, "of").items()}
    yield Section("Shortest runs, ratios to float32", [latency_table(by_kind["latency"])])
    if "accuracy" in by_kind:
        yield Section("Accuracy", [table(by_kind["accuracy"], ["network", "variant"], ACCURACY)])
    for (network,), own in groups(by_kind["sets"], "network").items():
        yield Section(f"{network}: layers in int8, ratios to float32", [shown(own), *map(Words, error_text(own))])


def flags(parser: argparse.ArgumentParser) -> None:
    """What can be asked for."""
    parser.add_argument("--network", nargs="+", default=[*TRAINED, *UNTRAINED], help="names")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 64])
    parser.add_argument("--samples", type=int, default=200, help="timed runs of each variant")
    parser.add_argument("--images", type=int, default=4000, help="validation images; 0 leaves accuracy out")
    parser.add_argument("--profile", default=None, help="profile of the network, where one is named")
    parser.add_argument("--seed", type=int, default=0)


BENCHMARK = Benchmark(
    "int8_latency", __doc__, flags, ("network",), run, tables,
    lambda options: at_least(options, batch=1, samples=1, images=0),
)  # fmt: skip
main = BENCHMARK.main

if __name__ == "__main__":
    sys.exit(main())
