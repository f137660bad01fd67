"""What a trace notes: products, sizes that stand in attributes, and forks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from rlprune.arrays import IntArray
from rlprune.networks.inputs import tensors_in
from rlprune.networks.tracing.atoms import Atoms, Label


@dataclass(frozen=True, eq=False)
class Product:
    """A multiplication of an activation with a weight, or of two activations.

    Attributes:
        module: innermost module it happened in.
        weight, bias: ``state_dict`` keys; None where there is none (two activations).
        form: ``conv``, ``transposed``, ``linear`` or ``product``.
        positions: multiply-adds for each pair of an output and an input channel and each kernel element, per sample;
            of two activations, all multiply-adds per sample.
        out, into: labels of the output and of the input channels (of one group, where a convolution has groups).
        sizes: their numbers.
        others: labels of further dimensions that the product is repeated over; they hold channels in a layer that
            mixes tokens. Of two activations, all labels.
        kernel, stride: of convolutions.
        groups: of convolutions, else 1.
    """

    module: str
    weight: str | None
    bias: str | None
    form: str
    positions: float
    out: Label
    into: Label
    sizes: tuple[int, int]
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    groups: int = 1
    others: tuple[IntArray, ...] = ()


@dataclass(frozen=True, eq=False)
class Size:
    """A module attribute that repeats the number of channels along a label.

    Attributes:
        module, attribute: where it stands.
        label: it counts these positions.
        certain: False for a guess: an attribute with the right value in a module that splits dimensions.
        index: of the entry, where the attribute is a list or a tuple.
    """

    module: str
    attribute: str
    label: IntArray
    certain: bool
    index: int | None = None


@dataclass(frozen=True, eq=False)
class Call:
    """One aten operation with its arguments and result."""

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    output: Any

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        return self.args[position] if position < len(self.args) else self.kwargs.get(name, default)

    @property
    def tensors(self) -> list[torch.Tensor]:
        return [*tensors_in(self.args), *tensors_in(dict(self.kwargs))]


@dataclass
class Fork:
    """A place where whole blocks or an equal part of each block can go, such as heads or channels of each head."""

    options: int
    taken: int
    label: IntArray


@dataclass
class Trace:
    """What one run showed."""

    atoms: Atoms = field(default_factory=Atoms)
    products: list[Product] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)
    forks: dict[str, list[Fork]] = field(default_factory=dict)
    first_use: dict[str, int] = field(default_factory=dict)
    renormalized: list[tuple[str, IntArray]] = field(default_factory=list)
    deciding: set[str] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)
    uses: dict[str, float] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()

    def fixed_axes(self) -> set[tuple[str, int]]:
        """Dimensions of parameters all of whose positions were fixed."""
        roots = self.atoms.roots()
        fixed = set(self.atoms.fixed(roots))
        return {(axis.tensor, axis.dim) for axis in self.atoms.axes if fixed.issuperset(roots[axis.atoms].tolist())}
