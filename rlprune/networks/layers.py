"""Layers: the weights of a network, what goes with each, and along which dimensions they hold channels.

A layer is one weight, mostly one module. A module with several weights, such as an LSTM, has one layer for each, and so
has a parameter that stands alone. Multiplications of two activations (attention) are layers without tensors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from torch import nn

from rlprune.arrays import IntArray
from rlprune.networks.tensors import named_tensors
from rlprune.networks.tracing.atoms import FIXED, Label
from rlprune.networks.tracing.records import Product, Trace

Side = Literal["out", "in", "repeated"]
"""``repeated``: a product is repeated over these channels, as where tokens are mixed; no tensor holds them."""

Sides = tuple[Side | None, ...]
Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


@dataclass(frozen=True, eq=False)
class Layer:
    """One weight of a network, in forward order.

    Attributes:
        name: module name, or the ``state_dict`` key where the module holds several weights.
        kind: ``conv``, ``transposed``, ``depthwise``, ``linear``, ``embedding``, ``batchnorm``, ``norm``, ``prelu``,
            ``scale`` (any other parameter), or ``product`` (two activations are multiplied).
        positions: output positions of one sample, summed over calls (input positions for ``transposed``).
        kernel, stride: spatial sizes; empty for layers without.
        out_width, in_width: channels of the dense layer; ``in_width`` is 0 for kinds without an input side, and counts
            one group's inputs for grouped convolutions.
        macs_per_pair: multiply-adds for each pair of one output and one input channel (or output channel alone).
        params_per_pair, params_per_out: parameters for each such pair, and for each output channel.
        tensors: ``state_dict`` key -> the side each of its dimensions holds (None: no channels).
        weight, bias: ``state_dict`` keys of what multiplies and what is added to the product; None where there is none.
        groups: of a convolution, else 1.
        repeated: channels over which the product is repeated; ``macs_per_pair`` is for each of them.
    """

    name: str
    kind: str
    positions: float
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    out_width: int
    in_width: int
    macs_per_pair: float
    params_per_pair: float
    params_per_out: float
    tensors: Mapping[str, Sides] = field(default_factory=dict)
    weight: str | None = None
    bias: str | None = None
    groups: int = 1
    repeated: int = 1


@dataclass(frozen=True, eq=False)
class LabelledLayer:
    """A layer and the labels along its sides."""

    layer: Layer
    labels: Mapping[Side, Label]


def describe_layers(trace: Trace, model: nn.Module) -> list[LabelledLayer]:
    """All layers that were used, in the order of their first use."""
    return _Description(trace, model).layers()


class _Description:
    def __init__(self, trace: Trace, model: nn.Module) -> None:
        self.trace = trace
        self.model = model
        self.tensors = {
            key: tensor
            for key, tensor in named_tensors(model)
            if tensor.is_floating_point() and key not in trace.aliases
        }
        self.roots = trace.atoms.roots()
        self.fixed = set(trace.atoms.fixed(self.roots))
        self.axes = {(axis.tensor, axis.dim): axis for axis in trace.atoms.axes}
        self.products: dict[str, list[Product]] = defaultdict(list)
        for product in trace.products:
            if product.weight is not None:
                self.products[product.weight].append(product)

    def layers(self) -> list[LabelledLayer]:
        by_module: dict[str, list[str]] = defaultdict(list)
        for key in self.tensors:
            if key in self.trace.first_use:
                by_module[key.rpartition(".")[0]].append(key)
        found = [layer for name, keys in by_module.items() for layer in self._of_module(name, keys)]
        found.sort(key=self._first_use)
        return [*found, *self._activations()]

    def _first_use(self, labelled: LabelledLayer) -> int:
        return min(self.trace.first_use[key] for key in labelled.layer.tensors if key in self.trace.first_use)

    def _of_module(self, name: str, keys: list[str]) -> list[LabelledLayer]:
        module = self.model.get_submodule(name)
        weights = [key for key in keys if key in self.products or key in self.trace.tables]
        result = []
        idle = self._idle(name)
        free = {*keys, *idle} - set(weights)
        for key in weights:
            bias = next((p.bias for p in self.products[key] if p.bias is not None), None)
            alone = len(weights) == 1
            result.append(self._weighted(name if alone and name else key, key, bias, free, alone))
        rest = [key for key in keys if key in free]
        if rest:
            rest += [key for key in idle if key in free and self.tensors[key].shape == self.tensors[rest[0]].shape]
            result += self._carriers(name, module, rest, alone=not weights)
        return result

    def _idle(self, name: str) -> list[str]:
        """Vectors that a module holds and these inputs leave unused: as long as its output, they are to stay so."""
        found = [f"{name}.{own}" if name else own for own in ("weight", "bias")]
        known = [key for key in found if key in self.tensors and key not in self.trace.first_use]
        return [key for key in known if self.tensors[key].dim() == 1]

    def _weighted(self, name: str, key: str, bias: str | None, free: set[str], alone: bool) -> LabelledLayer:
        """A weight that multiplies or is looked up; vectors as long as its output go with it."""
        products = self.products[key]
        sides = self._sides(key, products)
        shape = self.tensors[key].shape
        tensors: dict[str, Sides] = {key: sides}
        out = shape[sides.index("out")] if "out" in sides else 1
        for other in sorted(free):
            accompanies = other == bias or (alone and not self._apart(other, key, sides))
            if self.tensors[other].shape == (out,) and accompanies:
                tensors[other] = ("out",)
                free.discard(other)
        form = "embedding" if key in self.trace.tables else products[0].form
        groups = products[0].groups if products else 1
        if form == "conv" and "in" not in sides:
            form = "depthwise"
        kernel = tuple(products[0].kernel) if products else ()
        return self._layer(
            name, form, tensors, sum(p.positions for p in products) or self._positions(key, out), kernel,
            products[0].stride if products else (), key, bias if bias in tensors else None, groups,
        )  # fmt: skip

    def _apart(self, vector: str, key: str, sides: Sides) -> bool:
        """Whether a vector of the module holds channels, but not those that come out of this weight."""
        own = self.axes.get((vector, 0))
        out = self.axes.get((key, sides.index("out"))) if "out" in sides else None
        if own is None or out is None or own.size != out.size or vector not in self.trace.first_use:
            return False
        return self._free(own.atoms) and self._free(out.atoms) and not self._equal(own.atoms, out.atoms)

    def _sides(self, key: str, products: list[Product]) -> Sides:
        shape = self.tensors[key].shape
        rest: Sides = (None,) * max(len(shape) - 2, 0)
        if key in self.trace.tables:
            return (None, "out", *rest)
        first = products[0]
        if len(shape) == 1:
            return ("in",)
        if first.form == "transposed":
            return ("in", "out", *rest)
        if first.form == "conv":
            return ("out", None, *rest) if first.groups > 1 and shape[1] == 1 else ("out", "in", *rest)
        out, into = self._dim_of(key, first.out), self._dim_of(key, first.into)
        if len(shape) == 2:
            if out is None and into is None:
                out = 0 if shape[0] == first.sizes[0] else 1
            out = 1 - into if out is None and into is not None else out
            return ("out", "in") if out == 0 else ("in", "out")
        return tuple("out" if dim == out else "in" if dim == into else None for dim in range(len(shape)))

    def _dim_of(self, key: str, label: Label) -> int | None:
        """Which dimension of a tensor has these atoms."""
        known = label[label >= 0] if label is not None else np.zeros(0, dtype=np.int64)
        for dim in range(self.tensors[key].dim()):
            axis = self.axes.get((key, dim))
            if axis is not None and len(known) > 0 and axis.start <= known[0] < axis.start + axis.size:
                return dim
        return None

    def _carriers(self, name: str, module: nn.Module, keys: list[str], alone: bool) -> list[LabelledLayer]:
        """Parameters that only accompany channels: one layer for a module of equal vectors, else one for each."""
        shapes = {tuple(self.tensors[key].shape) for key in keys}
        if alone and not list(module.children()) and len(shapes) == 1 and len(next(iter(shapes))) == 1:
            tensors: dict[str, Sides] = dict.fromkeys(keys, ("out",))
            size = next(iter(shapes))[0]
            return [self._layer(name or keys[0], _kind(module), tensors, self._positions(keys[0], size))]
        return [
            self._layer(key, "scale", {key: sides}, self._positions(key, self.tensors[key].shape[sides.index("out")]))
            for key in keys
            if "out" in (sides := self._carried_sides(key))
        ]

    def _carried_sides(self, key: str) -> Sides:
        """The last two dimensions that are not fixed hold channels; any other stays whole."""
        fixed = self.trace.fixed_axes()
        free = [dim for dim, size in enumerate(self.tensors[key].shape) if size > 1 and (key, dim) not in fixed]
        for dim in free[:-2]:
            self.trace.atoms.fix(self.axes[(key, dim)].atoms, f"{key} holds channels along three dimensions")
        sides: list[Side | None] = [None] * self.tensors[key].dim()
        for dim, side in zip(free[-2:], ("in", "out")[2 - len(free[-2:]) :], strict=True):
            sides[dim] = "in" if side == "in" else "out"
        return tuple(sides)

    def _positions(self, key: str, size: int) -> float:
        return self.trace.uses.get(key, 0.0) / max(size, 1)

    def _layer(
        self, name: str, kind: str, tensors: dict[str, Sides], positions: float, kernel: tuple[int, ...] = (),
        stride: tuple[int, ...] = (), weight: str | None = None, bias: str | None = None, groups: int = 1,
    ) -> LabelledLayer:  # fmt: skip
        over = self._repeated_over(self.products.get(weight or "", []))
        labels: dict[Side, Label] = {"out": None, "in": None, "repeated": over}
        widths = {"out": 1, "in": 0}
        for key, sides in tensors.items():
            for dim, side in enumerate(sides):
                axis = self.axes.get((key, dim))
                if side is not None:
                    widths[side] = max(widths[side], self.tensors[key].shape[dim])
                if side is None or axis is None:
                    continue
                own = labels[side]
                labels[side] = axis.atoms if own is None else own
                if own is not None:
                    self.trace.atoms.join(own, axis.atoms, "its bias and its weight differ")
        repeated = 1 if over is None else len(over)
        pair, paired = self._counts(tensors, widths)
        multiplies = pair if widths["in"] and weight is not None else 0.0
        if kind in ("depthwise", "embedding") and weight is not None and self.products.get(weight):
            multiplies = self.tensors[weight].numel() / widths["out"]
        layer = Layer(
            name, kind, positions, kernel, stride, widths["out"], widths["in"], multiplies * positions / repeated, pair,
            paired, tensors, weight, bias, groups, repeated,
        )  # fmt: skip
        return LabelledLayer(layer, labels)

    def _counts(self, tensors: Mapping[str, Sides], widths: Mapping[str, int]) -> tuple[float, float]:
        """Parameters for each pair of an output and an input channel, and for each output channel."""
        pair = paired = 0.0
        for key, sides in tensors.items():
            tensor = self.tensors[key]
            if not isinstance(tensor, nn.Parameter):
                continue
            if "in" in sides:
                pair += tensor.numel() / (widths["out"] * widths["in"])
            else:
                paired += tensor.numel() / widths["out"]
        return pair, paired

    def _free(self, label: IntArray) -> bool:
        """Whether some of these positions can be removed."""
        known = label[label != FIXED]
        return not self.fixed.issuperset(self.roots[known].tolist())

    def _repeated_over(self, products: Sequence[Product]) -> Label:
        """The channels that all of these products are repeated over, if there are any."""
        found = [next((label for label in product.others if self._free(label)), None) for product in products]
        first = found[0] if found else None
        if first is None or any(label is None or not self._equal(label, first) for label in found):
            return None
        return first

    def _equal(self, left: IntArray, right: IntArray) -> bool:
        return len(left) == len(right) and bool((self.roots[left] == self.roots[right]).all())

    def _activations(self) -> list[LabelledLayer]:
        result: list[LabelledLayer] = []
        count: dict[str, int] = defaultdict(int)
        for product in self.trace.products:
            if product.weight is None:
                count[product.module] += 1
                number = count[product.module]
                name = f"{product.module or 'network'}:product{number if number > 1 else ''}"
                result.append(self._activation(name, product))
        return result

    def _activation(self, name: str, product: Product) -> LabelledLayer:
        """At most three dimensions of the product of two activations can shrink; more are taken as constant."""
        free = [label for label in product.others if self._free(label)][:3]
        labels: dict[Side, Label] = {"out": None, "in": None, "repeated": None}
        labels.update(zip(("out", "in", "repeated"), free, strict=False))
        out, into, repeated = ((1 if label is None else len(label)) for label in labels.values())
        each = product.positions / (out * into * repeated)
        return LabelledLayer(Layer(name, "product", 1.0, (), (), out, into, each, 0.0, 0.0, repeated=repeated), labels)


def _kind(module: nn.Module) -> str:
    if isinstance(module, BatchNorm):
        return "batchnorm"
    if isinstance(module, nn.PReLU):
        return "prelu"
    return "norm" if "norm" in type(module).__name__.lower() else "scale"
