"""Runs the network on calibration samples and gathers what each consumer of channels reads."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import nn

from rlprune.errors import NetworkError, first_line
from rlprune.inputs import Inputs
from rlprune.layers import Layer
from rlprune.network import Network
from rlprune.pruning.coefficients import Coefficients
from rlprune.pruning.sampling import sample_rows
from rlprune.pruning.statistics import ChannelMoments, LayerStatistics, matrix_bytes
from rlprune.tasks.base import Split
from rlprune.tasks.batches import batches
from rlprune.tracing import Reading, listen
from rlprune.tracing.tracer import named_tensors

Statistics = LayerStatistics | ChannelMoments
LINEAR = ("conv", "transposed", "linear")
ROWS_PER_COLUMN = 4
MIN_ROWS, MAX_ROWS = 4096, 32768
BATCH = 64
ACTIVATION_BYTES = 2**26
GIB = 2**30


def linear_consumers(network: Network) -> tuple[dict[str, Coefficients], dict[str, str]]:
    """Consumers of the groups that least squares can repair, and why it cannot repair the others."""
    layers = {layer.name: layer for layer in network.layers}
    tensors = dict(named_tensors(network.model))
    found, reasons = {}, {}
    for name in sorted({name for group in network.groups for name in group.consumers}):
        reason = obstacle(layers[name])
        if reason is None:
            found[name] = Coefficients.of(layers[name], tensors)
        else:
            reasons[name] = reason
    return found, reasons


def obstacle(layer: Layer) -> str | None:
    """Why least squares cannot repair a layer, or None."""
    if layer.weight is None or layer.kind not in LINEAR or "in" not in layer.tensors[layer.weight]:
        return "it is not linear in its inputs"
    if layer.kind == "transposed" and layer.groups > 1:
        return "it is a grouped transposed convolution"
    if len(layer.tensors[layer.weight]) != 2 + len(layer.kernel):
        return "its weight is not a matrix"
    return None


def too_large(coefficients: Mapping[str, Coefficients], limit: float) -> dict[str, str]:
    """Layers whose statistics do not fit into ``limit`` bytes with those of the others, largest first, and why."""
    needs = {name: matrix_bytes(item.columns, item.groups) for name, item in coefficients.items()}
    total, reasons = sum(needs.values()), {}
    for name in sorted(needs, key=lambda name: -needs[name]):
        if total <= limit:
            break
        total -= needs[name]
        inputs = coefficients[name].weight_columns
        kept = "; only its bias makes up for what is removed" if coefficients[name].bias is not None else ""
        reasons[name] = (
            f"its {inputs} inputs need {needs[name] / GIB:.2g} GiB, and all layers together may take "
            f"{limit / GIB:.2g} GiB (raise memory_gib){kept}"
        )
    return reasons


class Collector:
    """Statistics of many layers from one pass over the calibration samples.

    Args:
        network: the dense network.
        statistics: layer name -> what to fill.
        samples: how many calibration samples there will be.
        generator: draws the positions at which layers are looked at.

    Attributes:
        partial: layers of which only a part of the weight was multiplied with something.
    """

    def __init__(
        self, network: Network, statistics: Mapping[str, Statistics], samples: int, generator: torch.Generator
    ) -> None:
        self.statistics = statistics
        self.layers = {layer.name: layer for layer in network.layers if layer.name in statistics}
        self.partial: set[str] = set()
        self._generator = generator
        self._shares = {name: self._share(layer, samples) for name, layer in self.layers.items()}

    def _share(self, layer: Layer, samples: int) -> float:
        """Part of the output positions that gives enough rows."""
        statistics = self.statistics[layer.name]
        wanted = MIN_ROWS
        if isinstance(statistics, LayerStatistics):
            wanted = min(max(ROWS_PER_COLUMN * statistics.coefficients.columns, MIN_ROWS), MAX_ROWS)
        positions = layer.positions * (math.prod(layer.stride) if layer.kind == "transposed" else 1)
        return min(1.0, wanted / max(positions * samples, 1.0))

    def run(self, model: nn.Module, inputs: Inputs) -> None:
        """One batch."""
        listen(model, self.layers.values(), inputs, self._add)

    def _add(self, reading: Reading) -> None:
        statistics = self.statistics[reading.layer]
        for rows in sample_rows(
            reading, self.layers[reading.layer].kernel, self._shares[reading.layer], self._generator
        ):
            if rows.shape[1:] != (statistics.coefficients.groups, statistics.coefficients.weight_columns):
                self.partial.add(reading.layer)
                return
            statistics.add(rows)


def gather(
    network: Network, statistics: dict[str, Statistics], calibration: Split, seed: int, device: torch.device
) -> dict[str, str]:
    """Fill ``statistics`` (layer name -> empty statistics); those that stay without rows are taken out.

    Returns:
        Why layers were taken out.

    Raises:
        NetworkError: the network cannot take the calibration samples.
    """
    collector = Collector(network, statistics, len(calibration), torch.Generator().manual_seed(seed))
    model = network.model if device.type == "cpu" else copy.deepcopy(network.model).to(device)
    try:
        for inputs in batches(calibration, batch_for(network.layers), device):
            collector.run(model, inputs)
    except Exception as reason:
        raise NetworkError(
            f"The network must accept the task's calibration samples; its forward failed: {first_line(reason)}. "
            "Is this the task for this network?"
        ) from reason
    reasons = dict.fromkeys(collector.partial, "only a part of its weight is used at a time")
    for name, item in statistics.items():
        if item.rows == 0:
            reasons.setdefault(name, "what it reads could not be observed on the calibration samples")
        elif not item.finite:
            reasons.setdefault(name, "what it reads is not finite, or its square overflows")
    for name in reasons:
        del statistics[name]
    for item in statistics.values():
        item.finish()
    return reasons


def batch_for(layers: tuple[Layer, ...]) -> int:
    """Samples that run at once so that no activation is large."""
    largest = 1.0
    for layer in layers:
        inputs = layer.in_width * layer.groups * math.prod(layer.stride)
        largest = max(largest, layer.positions * max(layer.out_width, inputs))
    return int(min(max(ACTIVATION_BYTES // (4 * largest), 1), BATCH))
