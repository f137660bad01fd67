"""The layer kinds whose channels can be cut, and what cutting them means.

A kind says along which dimensions each tensor of the layer holds output and input channels, and which attributes
repeat those sizes. Everything else in the project (counting, surgery, export) reads this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

Side = Literal["out", "in"]
Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
Transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


@dataclass(frozen=True)
class LayerKind:
    """How one kind of layer stores channels.

    Attributes:
        name: ``conv``, ``transposed``, ``depthwise``, ``linear``, ``batchnorm``, ``prelu`` or ``embedding``.
        matches: whether a module is of this kind.
        tensors: tensor name -> the side each of its leading dimensions holds (None: no channels).
        attributes: module attribute -> the side whose size it repeats.
    """

    name: str
    matches: Callable[[nn.Module], bool]
    tensors: dict[str, tuple[Side | None, ...]]
    attributes: dict[str, Side]

    @property
    def sides(self) -> frozenset[Side]:
        return frozenset(self.attributes.values())


def _is_depthwise(module: nn.Module) -> bool:
    return isinstance(module, Convolution) and module.groups == module.in_channels == module.out_channels > 1


KINDS: tuple[LayerKind, ...] = (
    LayerKind(
        "depthwise",
        _is_depthwise,
        {"weight": ("out",), "bias": ("out",)},
        {"out_channels": "out", "in_channels": "out", "groups": "out"},
    ),
    LayerKind(
        "conv",
        lambda module: isinstance(module, Convolution) and module.groups == 1,
        {"weight": ("out", "in"), "bias": ("out",)},
        {"out_channels": "out", "in_channels": "in"},
    ),
    LayerKind(
        "transposed",
        lambda module: isinstance(module, Transposed) and module.groups == 1,
        {"weight": ("in", "out"), "bias": ("out",)},
        {"out_channels": "out", "in_channels": "in"},
    ),
    LayerKind(
        "linear",
        lambda module: isinstance(module, nn.Linear),
        {"weight": ("out", "in"), "bias": ("out",)},
        {"out_features": "out", "in_features": "in"},
    ),
    LayerKind(
        "batchnorm",
        lambda module: isinstance(module, BatchNorm),
        {"weight": ("out",), "bias": ("out",), "running_mean": ("out",), "running_var": ("out",)},
        {"num_features": "out"},
    ),
    LayerKind(
        "prelu",
        lambda module: isinstance(module, nn.PReLU) and module.num_parameters > 1,
        {"weight": ("out",)},
        {"num_parameters": "out"},
    ),
    LayerKind(
        "embedding",
        lambda module: isinstance(module, nn.Embedding | nn.EmbeddingBag),
        {"weight": (None, "out")},
        {"embedding_dim": "out"},
    ),
)


def kind_of(module: nn.Module) -> LayerKind | None:
    """The kind of ``module``, or None where its channels cannot be cut."""
    if hasattr(module, "parametrizations") or "weight" not in module._parameters:  # computed anew at each call
        return None
    return next((kind for kind in KINDS if kind.matches(module)), None)


@dataclass(frozen=True)
class Layer:
    """One layer of a network, in forward order.

    Attributes:
        name: qualified module name.
        kind: name of its :class:`LayerKind`; ``other`` where its channels cannot be cut.
        positions: output positions of one sample, summed over calls (input positions for ``transposed``).
        kernel, stride: spatial sizes; empty for layers without.
        out_width, in_width: channels of the dense layer; ``in_width`` is 0 for kinds without an input side.
        macs_per_pair: multiply-adds for each pair of one output and one input channel (or output channel alone).
        params_per_pair, params_per_out: parameters for each such pair, and for each output channel.
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


def fixed_macs(module: nn.Module, positions: float) -> float:
    """Multiply-adds of one sample in a convolution or linear layer whose channels cannot be cut; 0 for other layers."""
    if not isinstance(module, Convolution | Transposed | nn.Linear):
        return 0.0
    return positions * module.weight.numel()


def _sizes(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple) else ()


def describe(name: str, module: nn.Module, kind: LayerKind, positions: float) -> Layer:
    """The :class:`Layer` of a module of a known kind."""
    widths = {side: int(getattr(module, attribute)) for attribute, side in kind.attributes.items()}
    out_width, in_width = widths["out"], widths.get("in", 0)
    pair = paired = 0.0
    for tensor_name, sides in kind.tensors.items():
        tensor = dict(module.named_parameters(recurse=False)).get(tensor_name)
        if tensor is None:
            continue
        if set(sides) == {"out", "in"}:
            pair += tensor.numel() / (out_width * in_width)
        else:
            paired += tensor.numel() / out_width
    multiplies = pair
    if kind.name == "depthwise":
        multiplies = module.get_parameter("weight").numel() / out_width
    return Layer(
        name=name,
        kind=kind.name,
        positions=positions,
        kernel=_sizes(getattr(module, "kernel_size", ())),
        stride=_sizes(getattr(module, "stride", ())),
        out_width=out_width,
        in_width=in_width,
        macs_per_pair=multiplies * positions,
        params_per_pair=pair,
        params_per_out=paired,
    )
