"""Runs the network on calibration samples and gathers what each consumer of channels reads."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from rlprune.errors import NetworkError, first_line
from rlprune.networks.inputs import Inputs, batch_size, map_tensors
from rlprune.networks.layers import Layer
from rlprune.networks.listening import Reading, listen
from rlprune.networks.network import Network
from rlprune.networks.tensors import named_tensors
from rlprune.pruning.coefficients import Coefficients
from rlprune.pruning.sampling import sample_rows
from rlprune.pruning.statistics import HELD_OUT_ROWS, ChannelMoments, LayerStatistics, matrix_bytes
from rlprune.pruning.work import cube
from rlprune.tasks.batches import batches
from rlprune.tasks.split import Split

Statistics = LayerStatistics | ChannelMoments
LINEAR = ("conv", "transposed", "linear")
ROWS_PER_COLUMN = 4
MIN_ROWS, MAX_ROWS = 4096, 32768
HELD_OUT_EVERY = 8
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


def too_large(coefficients: Mapping[str, Coefficients], limit: float, most: float = math.inf) -> dict[str, str]:
    """Layers whose statistics are too much work, or do not fit with those of the others, largest first, and why.

    Args:
        limit: bytes that all may take together.
        most: operations that one may take (:func:`rlprune.pruning.work.cube`).
    """
    reasons = {
        name: f"its {item.weight_columns} inputs need {cube(item):.2g} operations, and a layer may take {most:.2g} "
        f"(raise most_operations){_bias_makes_up(item)}"
        for name, item in coefficients.items()
        if cube(item) > most
    }
    needs = {
        name: matrix_bytes(item.columns, item.groups) for name, item in coefficients.items() if name not in reasons
    }
    total = sum(needs.values())
    for name in sorted(needs, key=lambda name: -needs[name]):
        if total <= limit:
            break
        total -= needs[name]
        item = coefficients[name]
        reasons[name] = (
            f"its {item.weight_columns} inputs need {needs[name] / GIB:.2g} GiB, and all layers together may take "
            f"{limit / GIB:.2g} GiB (raise memory_gib){_bias_makes_up(item)}"
        )
    return reasons


def _bias_makes_up(coefficients: Coefficients) -> str:
    return "" if coefficients.bias is None else "; only its bias makes up for what is removed"


COMPUTED = "forward computes what it multiplies with from its weight or bias (normalises it, or scales it by turns)"


class Collector:
    """Statistics of many layers from one pass over the calibration samples.

    Args:
        network: the dense network.
        statistics: layer name -> what to fill.
        samples: how many calibration samples there will be.
        generator: draws the positions at which layers are looked at.

    Attributes:
        scales: what forward multiplies weight and bias of a layer with before it uses them.
        reasons: layers that cannot be refitted, as was seen on the way, and why.
    """

    def __init__(
        self, network: Network, statistics: Mapping[str, Statistics], samples: int, generator: torch.Generator
    ) -> None:
        self.statistics = statistics
        self.layers = {layer.name: layer for layer in network.layers if layer.name in statistics}
        self.scales: dict[str, tuple[float, float]] = {}
        self.reasons: dict[str, str] = {}
        self._generator = generator
        held_out = number_held_out(samples)
        judged = held_out, HELD_OUT_ROWS
        self._shares = {
            name: tuple(self._share(layer, *some) for some in ((samples - held_out, self._rows(name)), judged))
            for name, layer in self.layers.items()
        }

    def _rows(self, name: str) -> int:
        """How many rows are enough."""
        statistics = self.statistics[name]
        if not isinstance(statistics, LayerStatistics):
            return MIN_ROWS
        return min(max(ROWS_PER_COLUMN * statistics.coefficients.columns, MIN_ROWS), MAX_ROWS)

    def _share(self, layer: Layer, samples: int, rows: int) -> float:
        """Part of the output positions of so many samples that gives so many rows."""
        positions = layer.positions * (math.prod(layer.stride) if layer.kind == "transposed" else 1)
        return min(1.0, rows / max(positions * samples, 1.0))

    def run(self, model: nn.Module, inputs: Inputs, held_out: bool) -> None:
        """One batch: to fit to, or to judge by."""
        listen(model, self.layers.values(), inputs, partial(self._take, held_out))

    def _take(self, held_out: bool, reading: Reading) -> None:
        name, statistics = reading.layer, self.statistics[reading.layer]
        if reading.scales is None or self.scales.setdefault(name, reading.scales) != reading.scales:
            self.reasons[name] = COMPUTED
        share = self._shares[name][held_out]
        for rows in sample_rows(reading, self.layers[name].kernel, share, self._generator):
            if rows.shape[1:] != (statistics.coefficients.groups, statistics.coefficients.weight_columns):
                self.reasons[name] = "only a part of its weight is used at a time"
                return
            (statistics.hold_out if held_out else statistics.add)(rows)


def gather(
    network: Network,
    statistics: dict[str, Statistics],
    calibration: Split,
    seed: int,
    device: torch.device,
    told: Callable[[int], None] = lambda samples: None,
) -> dict[str, str]:
    """Fill ``statistics`` (layer name -> empty statistics); those that stay without rows are taken out.

    Args:
        told: is given the number of samples that were run, after each batch.

    Returns:
        Why layers cannot be refitted: those that were taken out, and those whose weight is not multiplied as it is
        stored, where the statistics tell about importance only.

    Raises:
        NetworkError: the network cannot take the calibration samples.
    """
    collector = Collector(network, statistics, len(calibration), torch.Generator().manual_seed(seed))
    model = network.model if device.type == "cpu" else copy.deepcopy(network.model).to(device)
    try:
        for held_out, inputs in divided(calibration, batch_for(network.layers), device):
            collector.run(model, inputs, held_out)
            told(batch_size(inputs))
    except Exception as reason:
        raise NetworkError(
            f"The network must accept the task's calibration samples; its forward failed: {first_line(reason)}. "
            "Is this the task for this network?"
        ) from reason
    reasons = collector.reasons
    for name, item in statistics.items():
        if item.rows == 0:
            reasons.setdefault(name, "what it reads could not be observed on the calibration samples")
        elif not item.finite:
            reasons.setdefault(name, "what it reads is not finite, or its square overflows")
    for name in (name for name, reason in reasons.items() if reason != COMPUTED):
        del statistics[name]
    for name, item in statistics.items():
        item.coefficients = replace(item.coefficients, scales=collector.scales.get(name, (1.0, 1.0)))
        item.finish()
    return reasons


def number_held_out(samples: int) -> int:
    """Of so many calibration samples; none of a single one."""
    return samples // min(HELD_OUT_EVERY, max(samples, 1)) if samples > 1 else 0


def divided(calibration: Split, size: int, device: torch.device) -> Iterator[tuple[bool, Inputs]]:
    """Batches of at most ``size`` samples, and whether they are held out: every eighth sample is."""
    every, start = min(HELD_OUT_EVERY, len(calibration)), 0
    for inputs in batches(calibration, size, device):
        numbers = torch.arange(start, min(start + size, len(calibration)))
        apart = (numbers % every == every - 1) & (len(calibration) > 1)
        start += size
        for held_out, mine in ((False, ~apart), (True, apart)):
            if mine.any():
                yield held_out, map_tensors(partial(_rows_of, mine), inputs)


def _rows_of(mine: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    return tensor[mine.to(tensor.device)]


def batch_for(layers: tuple[Layer, ...]) -> int:
    """Samples that run at once so that no activation is large."""
    largest = 1.0
    for layer in layers:
        inputs = layer.in_width * layer.groups * math.prod(layer.stride)
        largest = max(largest, layer.positions * max(layer.out_width, inputs))
    return int(min(max(ACTIVATION_BYTES // (4 * largest), 1), BATCH))
