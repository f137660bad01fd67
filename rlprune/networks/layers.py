"""Layers: the weights of a network, what goes with each, and along which dimensions they hold channels.

A layer is one weight, mostly one module. A module with several weights, such as an LSTM, has one layer for each, and so
has a parameter that stands alone. Multiplications of two activations (attention) are layers without tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from rlprune.networks.tracing.atoms import Label

Side = Literal["out", "in", "repeated"]
"""``repeated``: a product is repeated over these channels, as where tokens are mixed; no tensor holds them."""

Sides = tuple[Side | None, ...]
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


@dataclass(frozen=True, eq=False)
class Layer:
    """A weight of a network and what goes with it.

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
