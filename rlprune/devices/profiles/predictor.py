"""Latency of any plan as a sum over layers: never falls when a width rises.

    latency(widths) = c0 + sum over layers l and features f of c[l, f] * f(channels of l)
                         + sum over groups g of a step for every width v <= widths[g],          none of them negative

Features are the multiply-adds, output elements and input elements of a layer, each also with its channels rounded up to
the block in which the runtime computes (8 or 16 floats: 24 channels can cost as much as 32): they say how a group and
its neighbours cost together. All shrink with the channels that a product is repeated over, as in token mixing. Steps
say what the features cannot, such as another kernel from some width on. All of them rise with every width, and so does
their sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import numpy as np

from rlprune.arrays import FloatArray, IntArray
from rlprune.errors import ProfileError
from rlprune.networks.layers import Layer
from rlprune.networks.network import Network
from rlprune.support.records import Count, NotNegative

Feature = Literal["macs", "outputs", "inputs", "block_macs", "block_outputs", "block_inputs"]
FEATURES: tuple[Feature, ...] = get_args(Feature)
LayerCoefficients = Mapping[str, Mapping[Feature, NotNegative]]


class Step(NamedTuple):
    """Milliseconds that are added from a width on."""

    width: Count
    ms: NotNegative


def timed_layers(network: Network) -> tuple[Layer, ...]:
    """Layers that take time of their own: runtimes fold BatchNorms into the layer before."""
    return tuple(layer for layer in network.layers if layer.kind != "batchnorm")


class LayerFeatures:
    """Features of every timed layer as functions of the widths.

    Attributes:
        layers: the timed layers, T of them.
        shares: of each group, what each timed layer has of its steps, ``[G, T]``.
        block: channels are rounded up to this for the ``block_`` features.
    """

    def __init__(self, network: Network, block: int) -> None:
        self.layers = timed_layers(network)
        self.block = block
        self._of_network = [network.layers.index(layer) for layer in self.layers]
        groups = len(network.groups)
        base = self._axes(network, np.zeros((1, groups), dtype=np.int64))
        self.base = base[0]
        self.slope = self._axes(network, np.eye(groups, dtype=np.int64)) - base
        self.macs, self.outputs, self.inputs = _per_channel(self.layers)
        self.paired = np.array([layer.in_width > 0 for layer in self.layers])
        self.shares = self._shares_of_layers(network)

    def _shares_of_layers(self, network: Network) -> FloatArray:
        """Equal shares of each group for the timed layers that it stands in, ``[G, T]``."""
        found = np.zeros((len(network.groups), len(self.layers)))
        for row, group in zip(found, network.groups, strict=True):
            members = {member.layer for member in group.members}
            row[[layer.name in members for layer in self.layers]] = 1.0
        return np.asarray(found / np.maximum(found.sum(axis=1, keepdims=True), 1.0))

    def _axes(self, network: Network, widths: IntArray) -> FloatArray:
        sides = (*network.axis_widths(widths), network.repeated(widths))
        return np.hstack([side[:, self._of_network].astype(np.float64) for side in sides])

    def channels(self, widths: IntArray) -> FloatArray:
        """Output channels, input channels and repetitions, ``[N, G] -> [N, 3 T]``. Sums of small integers: exact."""
        return np.asarray(self.base + widths @ self.slope)

    def rounded(self, channels: FloatArray, block: int | IntArray | None = None) -> FloatArray:
        """``channels`` rounded up to whole blocks, of the given sizes ``[2 T]`` or :attr:`block`; repetitions stay."""
        count, size = 2 * len(self.layers), self.block if block is None else block
        return np.hstack([np.ceil(channels[:, :count] / size) * size, channels[:, count:]])

    def __call__(self, widths: IntArray) -> FloatArray:
        """All features, ``[N, G] -> [N, L, 6]`` in the order of ``FEATURES``."""
        channels = self.channels(widths)
        return np.concatenate([self._plain(channels), self._plain(self.rounded(channels))], axis=2)

    def macs_in_blocks(self, widths: IntArray, blocks: IntArray) -> FloatArray:
        """Multiply-adds with the channels of each layer rounded up to whole blocks ``[T]``; ``[N, T]``."""
        rounded = self.rounded(self.channels(widths), np.concatenate([blocks, blocks]))
        return np.asarray(self._plain(rounded)[:, :, 0])

    def _plain(self, channels: FloatArray) -> FloatArray:
        out, into, repeated = np.split(channels, 3, axis=1)
        pairs = out * repeated * np.where(self.paired, into, 1.0)
        return np.stack([pairs * self.macs, out * repeated * self.outputs, into * repeated * self.inputs], axis=2)


def _per_channel(layers: tuple[Layer, ...]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Multiply-adds for each pair of channels, and elements for each output and each input channel, of one row."""
    macs = [layer.macs_per_pair for layer in layers]
    sides = []
    for layer in layers:
        strides = float(np.prod(layer.stride)) if layer.stride else 1.0
        smaller = layer.positions / layer.repeated
        sides.append((smaller * strides, smaller) if layer.kind == "transposed" else (smaller, smaller * strides))
    return np.array(macs), np.array([out for out, _ in sides]), np.array([into for _, into in sides])


@dataclass(frozen=True)
class LatencyPredictor:
    """A fitted predictor, free of any network object.

    Attributes:
        intercept_ms: c0.
        block: channels are rounded up to this for the ``block_`` features; 1 where they are not used.
        layers: layer name -> feature -> milliseconds per unit; zeros are left out.
        steps: group name -> its steps.
    """

    intercept_ms: NotNegative
    block: Count
    layers: LayerCoefficients
    steps: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)

    def bind(self, network: Network) -> BoundPredictor:
        """A quick function from widths ``[N, G]`` to milliseconds ``[N]``.

        Raises:
            ProfileError: a layer of the predictor is not in ``network``.
        """
        features = LayerFeatures(network, self.block)
        position = {layer.name: index for index, layer in enumerate(features.layers)}
        table = np.zeros((len(features.layers), len(FEATURES)))
        for name, coefficients in self.layers.items():
            if name not in position:
                raise ProfileError(
                    f"The profile knows a layer {name!r} that this network does not have. Profile it anew."
                )
            for feature, value in coefficients.items():
                table[position[name], FEATURES.index(feature)] = value
        steps = [(network.group_index(name), width, ms) for name, each in self.steps.items() for width, ms in each]
        return BoundPredictor(features, self.intercept_ms, table, steps)


class BoundPredictor:
    """The predictor as two products, so that a search can call it thousands of times."""

    def __init__(
        self, features: LayerFeatures, intercept: float, table: FloatArray, steps: Sequence[tuple[int, int, float]]
    ) -> None:
        self._features = features
        self._intercept = intercept
        self._table = table
        plain, block = table[:, :3], table[:, 3:]
        self._plain = _weights(features, plain)
        self._block = _weights(features, block) if block.any() else None
        self._count = len(features.layers)
        self._groups = [group for group, _, _ in steps]
        self._from = np.array([width for _, width, _ in steps], dtype=np.int64)
        self._step_ms = np.array([ms for _, _, ms in steps])

    def __call__(self, widths: IntArray) -> FloatArray:
        channels = self._features.channels(widths)
        latency = self._intercept + self._sum(channels, *self._plain)
        if self._block is not None:
            latency += self._sum(self._features.rounded(channels), *self._block)
        if self._groups:
            latency += (np.atleast_2d(widths)[:, self._groups] >= self._from) @ self._step_ms
        return latency

    def by_layer(self, widths: IntArray) -> FloatArray:
        """Milliseconds of each timed layer, ``[N, T]``; a group's steps are shared equally by the layers it stands in.

        With the intercept they add up to the latency.
        """
        rows = np.atleast_2d(widths)
        of_layers = (self._features(rows) * self._table).sum(axis=2)
        of_groups = np.zeros(rows.shape)
        reached = (rows[:, self._groups] >= self._from) * self._step_ms
        np.add.at(of_groups.T, self._groups, reached.T)
        return np.asarray(of_layers + of_groups @ self._features.shares)

    def _sum(self, channels: FloatArray, of_pairs: FloatArray, of_channels: FloatArray) -> FloatArray:
        out, into, repeated = np.split(channels, 3, axis=1)
        elements = np.hstack([out * repeated, into * repeated])
        return np.asarray((elements[:, : self._count] * into) @ of_pairs + elements @ of_channels)


def _weights(features: LayerFeatures, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Milliseconds for each pair of channels ``[L]``, and for each output and input channel ``[2 L]``."""
    macs = coefficients[:, 0] * features.macs
    outputs = coefficients[:, 1] * features.outputs + np.where(features.paired, 0.0, macs)
    return np.where(features.paired, macs, 0.0), np.concatenate([outputs, coefficients[:, 2] * features.inputs])
