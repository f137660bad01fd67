"""How many weights of a plan remain, and how many bytes its tensors take in the compact file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from rlprune.arrays import FloatArray, IntArray
from rlprune.choices.choice import FULL_BITS
from rlprune.choices.space import Space
from rlprune.delivery.compact.file import stored_bytes
from rlprune.networks.layers import Layer
from rlprune.networks.tensors import named_tensors
from rlprune.pruning.blocks.blocks import is_inside


class WeightCounts:
    """Counts of many plans at once.

    A layer's weight has ``c x out x in`` entries, where ``c`` is constant and the channel counts follow the widths.
    Everything else of a layer (biases, norms, running statistics) is stored as it is. A tensor that has several names
    is stored under each of them.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        network = space.network
        self._state = network.model.state_dict()
        tensors = dict(named_tensors(network.model))
        self._weighted = np.array([i for i, layer in enumerate(network.layers) if layer.weight is not None])
        weighted = [network.layers[index] for index in self._weighted]
        names = Counter(key for alias, key in network.aliases.items() if alias in self._state)
        self._copies = np.array([1 + names[x.weight or ""] for x in weighted])
        weights = [tensors[x.weight or ""] for x in weighted]
        self._entry_bytes = np.array(
            [w.element_size() * (x.weight in self._state) for w, x in zip(weights, weighted, strict=True)]
        )
        self._rows = np.array([len(w) if x.kind == "embedding" else 0 for w, x in zip(weights, weighted, strict=True)])
        self._per_pair = np.array(
            [w.numel() / (x.out_width * max(x.in_width, 1)) for w, x in zip(weights, weighted, strict=True)]
        )
        rest = [self._rest(layer, names) for layer in network.layers]
        self._rest_per_out = np.array([per_out for per_out, _ in rest])
        self._rest_per_pair = np.array([per_pair for _, per_pair in rest])
        self._group = space.decisions.rule.group
        self._mean = space.decisions.rule.replacement == "mean"
        self._other = self._bytes_of(self._state) - float(self._floats(space.full[None])[0])
        self._other_of_blocks = self._outside_layers()

    def _rest(self, layer: Layer, names: Counter[str]) -> tuple[float, float]:
        """Bytes of the layer's other tensors for each output channel, and for each pair of channels."""
        per_out = per_pair = 0.0
        for key, sides in layer.tensors.items():
            stored = self._bytes_of([key]) * (1 + names[key])
            if key != layer.weight and "in" in sides:
                per_pair += stored / (layer.out_width * max(layer.in_width, 1))
            elif key != layer.weight:
                per_out += stored / layer.out_width
        return per_out, per_pair

    def _bytes_of(self, keys: Iterable[str]) -> float:
        """Bytes of stored tensors of the dense network; one that has two names counts twice, as it is stored."""
        stored = [self._state[key] for key in keys if key in self._state]
        return float(sum(tensor.numel() * tensor.element_size() for tensor in stored))

    def _axes(self, levels: IntArray) -> tuple[FloatArray, FloatArray]:
        out, into = self._space.network.axis_widths(self._space.widths(levels))
        return out.astype(np.float64), np.maximum(into, 1).astype(np.float64)

    def _sizes(self, levels: IntArray) -> tuple[FloatArray, FloatArray]:
        """Entries of each weight that is left, and how many of them remain; both ``[N, W]``."""
        out, into = self._axes(levels)
        present = self._space.present(levels)[:, self._weighted]
        numel = np.round(self._per_pair * out[:, self._weighted] * into[:, self._weighted]) * present
        density = self._space.density(levels)[:, self._weighted]
        remaining = self._of_pattern(numel, into) if self._group else np.maximum(np.round(numel * density), 1)
        return numel, np.where(density < 1, np.minimum(remaining, numel), numel)

    def _of_pattern(self, numel: FloatArray, into: FloatArray) -> FloatArray:
        """What N of every M inputs leave: of the rest where M does not divide the inputs, its share, rounded up."""
        kept, size = self._group or (1, 1)
        inputs = into[:, self._weighted]
        rest = np.ceil(kept * (inputs % size) / size)
        return np.asarray(numel / inputs * (inputs // size * kept + rest))

    def _of_layers(self, levels: IntArray) -> FloatArray:
        """Bytes of each layer, uncompressed, ``[N, L]``; 0 where it is gone."""
        out, into = self._axes(levels)
        found = self._rest_per_out * out + self._rest_per_pair * out * into
        weights = self._per_pair * out[:, self._weighted] * into[:, self._weighted]
        found[:, self._weighted] += weights * self._entry_bytes * self._copies
        return np.asarray(found * self._space.present(levels))

    def _floats(self, levels: IntArray) -> FloatArray:
        """Bytes of all layers, uncompressed, ``[N]``."""
        return np.asarray(self._of_layers(levels).sum(axis=1))

    def remaining(self, levels: IntArray) -> FloatArray:
        """Entries of weights that remain, ``[N, K] -> [N]``."""
        return np.asarray(self._sizes(levels)[1].sum(axis=1))

    def stored_bytes(self, levels: IntArray) -> FloatArray:
        """Bytes of all tensors, ``[N, K] -> [N]``."""
        numel, kept = (counts.astype(np.int64) for counts in self._sizes(levels))
        bits = self._space.bits(levels)[:, self._weighted]
        scales = np.where(self._rows, self._rows, self._axes(levels)[0][:, self._weighted]).astype(np.int64)
        treated, plain = (kept < numel) | (bits < FULL_BITS), numel * self._entry_bytes
        packed = np.where(treated, stored_bytes(numel, kept, bits, scales, self._mean), plain)
        compact = ((packed - plain) * self._copies).sum(axis=1)
        gone = ~self._space.kept(levels) @ self._other_of_blocks
        return np.asarray(self._floats(levels) + compact + self._other - gone, dtype=np.float64)

    def _outside_layers(self) -> FloatArray:
        """Bytes that stand in each block but in none of its layers, ``[B]``."""
        space = self._space
        of_layers = (self._of_layers(space.full[None]) * space.inside).sum(axis=1)
        held = [self._bytes_of(key for key in self._state if is_inside(key, block.name)) for block in space.blocks]
        return np.asarray(np.array(held, dtype=np.float64) - of_layers)
