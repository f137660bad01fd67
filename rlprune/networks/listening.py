"""Shows what each weight of a network is multiplied with, however the network calls it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.utils.weak import WeakTensorKeyDictionary

from rlprune.networks.inputs import Inputs, tensors_in
from rlprune.networks.layers import Layer
from rlprune.networks.tensors import named_tensors
from rlprune.networks.tracing.records import Call
from rlprune.networks.tracing.tracer import Tracer

OPERANDS = {"mm": (0, 1), "bmm": (0, 1), "matmul": (0, 1), "addmm": (1, 2), "baddbmm": (1, 2), "linear": (0, 1)}
COPIES = ("clone", "_to_copy", "_reshape_copy", "_unsafe_view", "contiguous", "view_copy")
"""Operations that answer with the values of their argument in other memory; views are known by their memory."""
SCALINGS: dict[str, Callable[[float, float], float]] = {"mul": operator.mul, "div": operator.truediv}


@dataclass(frozen=True, eq=False)
class Reading:
    """One call: an activation multiplied with a weight of the network.

    Attributes:
        layer: layer name.
        inputs: ``[batch, channels, *space]`` for convolutions, ``[..., features]`` for matrices, where the batch need
            not come first.
        stride, padding, dilation, output_padding: of a convolution; empty for matrices.
        groups, transposed: of a convolution.
        scales: what the stored weight and bias are multiplied with before they are used: 1 for the parameter itself,
            constants of an equalised learning rate; None where they are computed otherwise (normalised weights).
    """

    layer: str
    inputs: torch.Tensor
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    output_padding: tuple[int, ...] = ()
    groups: int = 1
    transposed: bool = False
    scales: tuple[float, float] | None = (1.0, 1.0)


class _Listener(Tracer):
    def __init__(
        self, model: nn.Module, inputs: Inputs, layers: dict[str, str], callback: Callable[[Reading], None]
    ) -> None:
        super().__init__(model, inputs)
        self._layers = layers
        self._callback = callback
        self._memory = {_memory(tensor) for _, tensor in named_tensors(model)}
        self._scales = WeakTensorKeyDictionary()

    def follow(self, func: Any, call: Call) -> None:
        if call.name == "convolution":
            x, weight, bias, stride, padding, dilation, transposed, output_padding, groups = call.args[:9]
            geometry = (tuple(stride), tuple(padding), tuple(dilation), tuple(output_padding), groups, transposed)
            self._report(weight, bias, x, geometry)
        elif call.name in OPERANDS:
            left, right = (call.args[place] for place in OPERANDS[call.name])
            bias = call.args[0] if call.name in ("addmm", "baddbmm") else call.argument(2, "bias")
            factors = call.kwargs.get("alpha", 1.0), call.kwargs.get("beta", 1.0)
            place = self.weight_of(left, right)
            if place == 1:
                self._report(right, bias, left, factors=factors)
            elif place == 0:
                self._report(left, bias, right.transpose(-1, -2), factors=factors)
        else:
            self._note_scale(call)

    def _note_scale(self, call: Call) -> None:
        """Follow a parameter through what only moves its values, or multiplies all of them with a constant."""
        source = call.args[0] if call.args else None
        scale = self._scale(source)
        if scale is None:
            return
        assert isinstance(source, torch.Tensor)
        if call.name in SCALINGS and not call.kwargs:
            factor = self._constant(call.args[1])
            scale = None if factor is None else SCALINGS[call.name](scale, factor)
        elif call.name.endswith("_") and source in self._scales:
            del self._scales[source]  # it is changed in place
            return
        for output in tensors_in(call.output):
            if scale is not None and (
                call.name in (*COPIES, *SCALINGS) or (_memory(output) == _memory(source) and output is not source)
            ):
                self._scales[output] = scale

    def _constant(self, value: Any) -> float | None:
        """A number that depends neither on inputs nor on parameters."""
        if isinstance(value, torch.Tensor):
            return None if value.dim() or value in self._live else float(value)
        return float(value)

    def _report(
        self,
        weight: torch.Tensor,
        bias: Any,
        inputs: torch.Tensor,
        geometry: tuple[Any, ...] = (),
        factors: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        layer = self._layers.get(self.origin(weight) or "")
        if layer is None:
            return
        of_weight, of_bias = self._scale(weight), 1.0 if self.origin(bias) is None else self._scale(bias)
        scales = None
        if of_weight and of_bias:  # one that multiplies with zero cannot be refitted
            scales = (of_weight * factors[0], of_bias * factors[1])
        self._callback(replace(Reading(layer, inputs, *geometry), scales=scales))

    def _scale(self, tensor: Any) -> float | None:
        """What the values of a parameter were multiplied with to give this tensor, if that is all that was done."""
        if not isinstance(tensor, torch.Tensor):
            return None
        if tensor in self._scales:
            scale: float = self._scales[tensor]
            return scale
        return 1.0 if _memory(tensor) in self._memory else None


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def listen(model: nn.Module, layers: Collection[Layer], inputs: Inputs, callback: Callable[[Reading], None]) -> Any:
    """Run the model and report each multiplication with the weight of one of ``layers``.

    Args:
        model: in eval mode; the layers' network, or one with the same names.
        layers: whose readings are wanted.
        inputs: arguments of its forward.
        callback: called while the model runs; tensors are detached and must not be changed.

    Returns:
        What the model answers.
    """
    wanted = {layer.weight: layer.name for layer in layers if layer.weight is not None}
    return _Listener(model, inputs, wanted, callback).run()
