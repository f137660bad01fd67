"""Weights in fewer bits, and layers computed in int8, simulated in torch as ONNX Runtime computes them.

Weights are symmetric with one scale for each output channel (:mod:`rlprune.pruning.codes`), inputs asymmetric uint8
with one scale for the tensor: Jacob et al., CVPR 2018; Krishnamoorthi, arXiv:1806.08342. BatchNorm needs no folding
here: scaling an output channel scales its weights' scale and leaves the codes as they are.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rlprune.errors import NetworkError, PlanError
from rlprune.networks.inputs import Inputs, as_inputs, call
from rlprune.networks.layers import Layer
from rlprune.networks.network import Network
from rlprune.pruning.codes import dequantize, halve, quantize

STORED_BITS = (4, 8, 16, 32)
CODES = 255
"""Largest code of an input: uint8."""

COMPUTED_IN_INT8 = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
"""Exactly these: subclasses may use their weight without calling the module."""


class Range(NamedTuple):
    """Smallest and largest value of a tensor."""

    low: float
    high: float

    def joined(self, other: Range) -> Range:
        """The smallest range that holds this one and another."""
        return Range(min(self.low, other.low), max(self.high, other.high))


ActivationRanges = Mapping[str, Range]
"""Layer name -> range of what the layer reads, over calibration samples."""


class InputCodes(NamedTuple):
    """How a layer's input becomes uint8: ``code = round(x / scale) + zero_point``, cut off at 0 and 255."""

    scale: float
    zero_point: int

    @classmethod
    def covering(cls, values: Range) -> InputCodes:
        """Codes for a range widened to hold 0, rounded to float32 as ONNX Runtime's own quantizer does."""
        low, high = min(values.low, 0.0), max(values.high, 0.0)
        scale = (high - low) / CODES
        if scale < torch.finfo(torch.float32).tiny:
            return cls(1.0, 0)
        return cls(float(torch.tensor(scale, dtype=torch.float32)), round(-low / scale))


def int8_layers(network: Network) -> tuple[str, ...]:
    """Layers that can be computed in int8, in forward order: plain convolutions and linear layers of one weight.

    Those whose weight is used without a call of their module are left out: nothing could observe what they read.
    """
    names = [layer.name for layer in network.layers if _is_int8(layer, network.model)]
    called: set[str] = set()
    with _watched(network.model, names, lambda name, _values: called.add(name)), torch.no_grad():
        call(network.model, as_inputs(network.example_inputs))
    return tuple(name for name in names if name in called)


def _is_int8(layer: Layer, model: nn.Module) -> bool:
    if layer.weight != f"{layer.name}.weight":
        return False
    return type(model.get_submodule(layer.name)) in COMPUTED_IN_INT8


class WeightPlace(NamedTuple):
    """A weight's ``state_dict`` key, and its dimension that has a scale for each position: that of output channels, or
    of the rows of an embedding, which differ more in size than its columns."""

    key: str
    out_dim: int


def storable_layers(network: Network) -> dict[str, WeightPlace]:
    """Layers whose weight can be stored in fewer bits -> that weight, in forward order.

    A weight that is a vector, has no output channels or is in no ``state_dict`` stays as it is.
    """
    sides = {layer.name: layer.tensors[layer.weight] for layer in network.layers if layer.weight}
    state = network.model.state_dict()
    return {
        layer.name: WeightPlace(layer.weight, scaled_dim(layer))
        for layer in network.layers
        if layer.weight in state and "out" in sides[layer.name] and len(sides[layer.name]) > 1
    }


def scaled_dim(layer: Layer) -> int:
    """The dimension of a layer's weight whose positions have a scale each; see :class:`WeightPlace`."""
    sides = layer.tensors[layer.weight or ""]
    return 0 if layer.kind == "embedding" or "out" not in sides else sides.index("out")


def few_bits(weight: Tensor, bits: int, out_dim: int) -> tuple[Tensor, Tensor]:
    """What is stored of a weight, and the scale of each output channel (:mod:`rlprune.pruning.codes`).

    Args:
        weight: floating point, any shape.
        bits: 4 or 8 (int8 codes), or 16 (float16).
        out_dim: the dimension of ``weight`` that holds output channels.

    Raises:
        PlanError: other bits.
        NetworkError: a weight is not finite.
    """
    if bits not in STORED_BITS[:-1]:
        raise PlanError(f"Weights are stored in {', '.join(map(str, STORED_BITS))} bits; {bits} came. Choose one.")
    return halve(weight, out_dim) if bits == 16 else quantize(weight, bits, out_dim)


def fake_quantized(weight: Tensor, bits: int, out_dim: int) -> Tensor:
    """A weight as it comes back when it is stored in fewer bits, in its own type; with 32 ``weight`` itself.

    Raises:
        PlanError, NetworkError: see :func:`few_bits`.
    """
    if bits == 32:
        return weight
    return dequantize(*few_bits(weight, bits, out_dim), out_dim).to(weight.dtype)


def measure_ranges(
    module: nn.Module, layers: Collection[str], batches: Iterable[Inputs], *, percentile: float | None = None
) -> dict[str, Range]:
    """What ``layers`` read while ``module`` runs on ``batches``.

    Args:
        module: in eval mode; left as it was.
        layers: names of modules, as :func:`int8_layers` gives them.
        batches: calibration samples as forward takes them.
        percentile: None for the smallest and the largest value; 99.99 leaves out 0.01% of each batch's values at
            either end, and averages over batches.

    Returns:
        Layer name -> range. Layers whose module was never called are left out.

    Raises:
        NetworkError: a layer read NaN or infinity.
    """
    found: dict[str, list[Range]] = {name: [] for name in layers}

    def note(name: str, values: Tensor) -> None:
        found[name].append(_finite(name, _range(values.detach(), percentile)))

    with _watched(module, layers, note), torch.no_grad():
        for inputs in batches:
            call(module, inputs)
    return {name: _together(each, percentile) for name, each in found.items() if each}


def _finite(name: str, values: Range) -> Range:
    if not all(map(math.isfinite, values)):
        raise NetworkError(
            f"What a layer computed in int8 reads must be finite; {name} read NaN or infinity. Compute it in float."
        )
    return values


LARGEST_SAMPLE = 1 << 20


def _range(values: Tensor, percentile: float | None) -> Range:
    if percentile is None:
        return Range(*(float(end) for end in values.aminmax()))
    flat = values.float().flatten()
    flat = flat[:: -(-len(flat) // LARGEST_SAMPLE)]
    ends = torch.quantile(flat, torch.tensor([1 - percentile / 100, percentile / 100], dtype=flat.dtype))
    return Range(*ends.tolist())


def _together(each: list[Range], percentile: float | None) -> Range:
    if percentile is not None:
        return Range(*(sum(ends) / len(each) for ends in zip(*each, strict=True)))
    result = each[0]
    for other in each[1:]:
        result = result.joined(other)
    return result


def _read(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    tensor: Tensor = args[0] if args else kwargs["input"]
    return tensor


@contextmanager
def _watched(module: nn.Module, layers: Collection[str], note: Any) -> Iterator[None]:
    """Calls ``note(name, input)`` before each run of one of ``layers``."""

    def before(name: str, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        note(name, _read(args, kwargs))

    hooks = [
        module.get_submodule(name).register_forward_pre_hook(partial(before, name), with_kwargs=True) for name in layers
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class Int8Inputs:
    """Rounds what layers of a module read to uint8 and back, for the layers a plan computes in int8.

    The weights are the caller's part (:func:`fake_quantized` with 8 bits). ONNX Runtime rounds the outputs of
    convolutions too, which the next layer's input mostly is; docs/internals/int8.md says how far they agree.

    Args:
        module: in eval mode; hooks stay on it until :meth:`remove`.
        layers: names of modules that may be computed in int8.
    """

    def __init__(self, module: nn.Module, layers: Collection[str]) -> None:
        self._codes: dict[str, InputCodes | None] = {}
        self._layers = frozenset(layers)
        self._hooks = [
            module.get_submodule(name).register_forward_pre_hook(partial(self._round, name), with_kwargs=True)
            for name in layers
        ]

    def apply(self, ranges: ActivationRanges, active: Collection[str]) -> None:
        """From now on, ``active`` layers and no others read uint8.

        Raises:
            PlanError: a layer has no range, or was not named when this was made.
        """
        for name in sorted(active):
            if name not in self._layers:
                raise PlanError(f"Only convolutions and linear layers are computed in int8; {name} is not one of them.")
            if name not in ranges:
                raise PlanError(
                    f"A layer computed in int8 needs the range of its inputs; {name} has none. "
                    "Calibrate on samples that reach it, or compute it in float."
                )
        self._codes = {name: InputCodes.covering(ranges[name]) for name in active}

    def follow(self, active: Collection[str]) -> None:
        """From now on, ``active`` layers read uint8, over the range of each batch: what a search does, which has no
        time to calibrate every plan.
        """
        self._codes = dict.fromkeys(active)

    @contextmanager
    def off(self) -> Iterator[None]:
        """While the block runs, every layer reads what it is given."""
        codes, self._codes = self._codes, {}
        try:
            yield
        finally:
            self._codes = codes

    def remove(self) -> None:
        """Let the layers read their inputs unrounded again, for good."""
        for hook in self._hooks:
            hook.remove()

    def _round(
        self, name: str, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if name not in self._codes:
            return None
        given = _read(args, kwargs)
        codes = self._codes[name] or InputCodes.covering(Range(*(float(end) for end in given.aminmax())))
        rounded = torch.fake_quantize_per_tensor_affine(given, codes.scale, codes.zero_point, 0, CODES)
        return ((rounded, *args[1:]), kwargs) if args else (args, kwargs | {"input": rounded})
