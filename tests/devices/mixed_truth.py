"""Networks with blocks, and a device whose dropped blocks and int8 obey a formula."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import nn

from rlprune.arrays import FloatArray, IntArray
from rlprune.choices.choice import Kind
from rlprune.choices.scope import Scope
from rlprune.choices.space import Space
from rlprune.devices.profiles.int8.links import Int8Links, Link, find_links
from rlprune.devices.profiles.int8.model import Conversion, KindInInt8
from rlprune.devices.profiles.mixed import NO_MIXES, MixedLatency, MixedPlan
from rlprune.devices.profiles.predictor import LatencyPredictor, Step, timed_layers
from rlprune.devices.runtimes.base import Inference, Runtime, RuntimeIdentity
from rlprune.networks.layers import Layer
from rlprune.networks.network import Network
from rlprune.pruning.quantization import int8_layers
from rlprune.tasks.base import Task
from rlprune.tasks.split import Split
from tests.architectures import checks
from tests.architectures.catalogue import ARCHITECTURES
from tests.models import ResidualBlock, build, images

ALL: tuple[Kind, ...] = ("depth", "channels", "weights", "bits")
PAYS = {"conv": KindInInt8(0.3, 1e-8, 1e-4), "linear": KindInInt8(0.4, 2e-8, 1e-4)}
COSTS = {"conv": KindInInt8(0.9, 1e-5, 0.01), "linear": KindInInt8(1.0, 1e-5, 0.01)}
"""Constants of int8: always faster, and never."""
PADDED = {"conv": KindInInt8(0.1, 1e-7, 1e-4, 5e-7, 8), "linear": KindInInt8(0.2, 1e-7, 1e-4, 5e-7, 8)}
"""Kernels that fill up channels."""
SOMETIMES = {"conv": KindInInt8(0.3, 2e-6, 1e-3), "linear": KindInInt8(0.5, 2e-6, 1e-3)}
CONVERSION = Conversion(5e-7, 2e-4)


class Tower(nn.Module):
    """A stem, three residual blocks that may be dropped, a head."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, 1, 1)
        self.blocks = nn.Sequential(*(ResidualBlock(width, width, 1) for _ in range(3)))
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.head(self.blocks(torch.relu(self.stem(x))).mean((2, 3)))
        return answer


@lru_cache(maxsize=8)
def network(name: str) -> Network:
    """``tower``, a small network of :mod:`tests.models`, or an entry of the collection of architectures."""
    if name in ARCHITECTURES:
        return checks.network_of(ARCHITECTURES[name])
    if name != "tower":
        return Network(build(name), images(1), multiple=4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Network(Tower().eval(), images(1), multiple=4)


@lru_cache(maxsize=16)
def space_of(name: str, kinds: tuple[Kind, ...] = ALL) -> Space:
    return Space(network(name), Scope(kinds, densities=(5, 30, 60)))


def toy_task(net: Network) -> Task:
    """The dense network's own answers to images [1, 8, 8]."""

    def split(seed: int, count: int) -> Split:
        inputs = images(count, seed)
        with torch.no_grad():
            return Split(inputs, net.model(inputs).argmax(1))

    return Task("toy", calibration=split(1, 96), validation=split(2, 64), test=split(3, 32), classes=10)


def predictor_of(net: Network) -> LatencyPredictor:
    """Milliseconds: a call, the products, outputs and inputs of every layer, and steps of the first group."""
    layers = {layer.name: {"macs": 1e-6, "outputs": 2e-6, "inputs": 1e-6} for layer in timed_layers(net)}
    group = net.groups[0]
    return LatencyPredictor(0.2, 1, layers, {group.name: (Step(group.widths[len(group.widths) // 2], 0.01),)})


def truth_of(space: Space, kinds: dict[str, KindInInt8], layers: Sequence[str] | None = None) -> MixedLatency:
    """Shares that differ, and every layer a candidate for int8."""
    shares = {name: 0.5 + 0.4 * number / len(space.blocks) for number, name in enumerate(space.blocks.names)}
    candidates = int8_layers(space.network) if layers is None else tuple(layers)
    return replace(NO_MIXES, shares=shares, layers=candidates, kinds=kinds, layer_ms=0.002, conversion=CONVERSION)


def random_rows(space: Space, count: int, seed: int = 0) -> IntArray:
    """Any levels, every other row with at most 8 bits throughout."""
    random = np.random.default_rng(seed)
    rows = np.array([[random.choice(choice.levels) for choice in space.choices] for _ in range(count)])
    bits = np.array([choice.kind == "bits" for choice in space.choices])
    rows[::2, bits] = np.minimum(rows[::2, bits], 8)
    return rows.astype(np.int64)


def promised_ms(truth: MixedLatency, space: Space, predictor: LatencyPredictor, row: IntArray) -> float:
    """The formula of ``profiles/mixed.py``, plan by plan and layer by layer, int8 whether it pays or not."""
    net, widths = space.network, space.widths(row[None])
    timed = [layer.name for layer in timed_layers(net)]
    inside = {name for block in space.blocks for name in block.groups}
    narrow = [g.widths[0] if g.name in inside else w for g, w in zip(net.groups, widths[0], strict=True)]
    times = predictor.bind(net).by_layer(np.array([widths[0], narrow]))
    own, least = (dict(zip(timed, each, strict=True)) for each in times)
    out, into = (axis[0] for axis in net.axis_widths(widths))
    latency, dropped = predictor.intercept_ms + sum(own.values()), set(space.dropped(row))
    share = {name: truth.shares[block.name] for block in space.blocks for name in block.layers}
    for block in space.blocks:
        gone = [name for name in timed if name in block.layers]
        if block.name in dropped:
            rest = 1 - truth.shares[block.name]
            latency -= sum(own[name] - rest * least[name] for name in gone) + truth.layer_ms * len(gone)
    computed = space.computed_in_int8(row)
    for index, layer in enumerate(net.layers):
        if layer.name in computed:
            kind, part = truth.kinds[layer.kind], own[layer.name] * share.get(layer.name, 1.0)
            elements = sum(_elements(layer, out[index], into[index]))
            macs = _filled(out[index], kind) * _filled(into[index], kind) * layer.macs_per_pair
            in_int8 = kind.factor * part + kind.mac_ms * macs + kind.element_ms * elements + kind.fixed_ms
            latency -= part - in_int8
    return latency + converting_ms(truth.conversion, space, row)


def _filled(channels: float, kind: KindInInt8) -> float:
    return math.ceil(channels / kind.block) * kind.block


def _elements(layer: Layer, out: float, into: float) -> tuple[float, float]:
    """Answered and read."""
    strides = float(np.prod(layer.stride)) if layer.stride else 1.0
    return layer.positions * float(out), layer.positions * strides * float(into)


@lru_cache(maxsize=8)
def links_of(network: Network) -> Int8Links:
    """What :func:`find_links` finds, once for all plans."""
    return find_links(network)


def converting_ms(conversion: Conversion | None, space: Space, row: IntArray) -> float:
    """The least of all ways to have sums and dropped layers in int8 or not."""
    net, found, computed = space.network, links_of(space.network), space.computed_in_int8(row)
    if not computed or conversion is None:
        return 0.0
    widths = space.effective_widths(space.widths(row[None]), space.kept(row[None]))
    out, into = (axis[0] for axis in net.axis_widths(widths))
    elements = {layer.name: _elements(layer, out[i], into[i]) for i, layer in enumerate(net.layers)}
    left = dict(zip((layer.name for layer in net.layers), space.present(row[None])[0], strict=True))
    ways = [(node in computed,) if node and left[node] else (False, True) for node in found.nodes]
    sizes = [elements[link.layer][0 if link.answered else 1] for link in found.links]
    costs = [conversion.element_ms * size + conversion.fixed_ms for size in sizes]
    return min(_converted([*way, False], found.links, costs) for way in product(*ways))


def _converted(in_int8: Sequence[bool], links: Sequence[Link], costs: Sequence[float]) -> float:
    return sum(cost for link, cost in zip(links, costs, strict=True) if in_int8[link.ends[0]] != in_int8[link.ends[1]])


class FormulaRuntime(Runtime):
    """Answers the formula, exactly; int8 always pays or never, as the truth says."""

    identity = RuntimeIdentity("onnxruntime", "0.0", "FormulaProvider", 1, 1, "float32")
    int8 = True
    round_s = 0.0

    def __init__(self, space: Space, truth: MixedLatency, stops_after: int | None = None) -> None:
        self.space, self.truth, self.predictor = space, truth, predictor_of(space.network)
        self.loaded: list[tuple[int, ...]] = []
        self.timings, self.stops_after = 0, stops_after

    def available(self) -> str | None:
        return None

    def device_name(self) -> str:
        return "Formula"

    def load(self, network: Network, widths: IntArray) -> Inference:
        latency = float(self.predictor.bind(network)(np.atleast_2d(widths))[0])
        return lambda: latency

    def load_module(self, module: nn.Module, example_inputs: Any) -> Inference:
        raise NotImplementedError

    def load_mix(self, network: Network, space: Space, row: IntArray) -> Inference:
        self.loaded.append(tuple(int(level) for level in row))
        latency = promised_ms(self.truth, space, self.predictor, row)
        return lambda: latency

    def time(self, inference: Inference, repeats: int) -> FloatArray:
        if self.timings == self.stops_after:
            raise KeyboardInterrupt
        self.timings += 1
        return np.full(repeats, inference())


def measured(truth: MixedLatency, space: Space, rows: IntArray, held_out: int) -> list[MixedPlan]:
    """Rows of a space whose rule lets every candidate compute in int8, as they were measured; the last are held out."""
    predictor = predictor_of(space.network)
    return [
        MixedPlan(
            tuple(int(width) for width in space.widths(row[None])[0]),
            space.dropped(row),
            space.computed_in_int8(row),
            promised_ms(truth, space, predictor, row),
            number >= len(rows) - held_out,
        )
        for number, row in enumerate(rows)
    ]
