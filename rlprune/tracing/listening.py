"""Shows what each weight of a network is multiplied with, however the network calls it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from rlprune.inputs import Inputs
from rlprune.tracing.records import Call
from rlprune.tracing.tracer import Tracer

if TYPE_CHECKING:
    from rlprune.layers import Layer

OPERANDS = {"mm": (0, 1), "bmm": (0, 1), "matmul": (0, 1), "addmm": (1, 2), "baddbmm": (1, 2), "linear": (0, 1)}


@dataclass(frozen=True, eq=False)
class Reading:
    """One call: an activation multiplied with a weight of the network.

    Attributes:
        layer: layer name.
        inputs: ``[batch, channels, *space]`` for convolutions, ``[..., features]`` for matrices, where the batch need
            not come first.
        stride, padding, dilation, output_padding: of a convolution; empty for matrices.
        groups, transposed: of a convolution.
    """

    layer: str
    inputs: torch.Tensor
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    output_padding: tuple[int, ...] = ()
    groups: int = 1
    transposed: bool = False


class _Listener(Tracer):
    def __init__(
        self, model: nn.Module, inputs: Inputs, layers: dict[str, str], callback: Callable[[Reading], None]
    ) -> None:
        super().__init__(model, inputs)
        self._layers = layers
        self._callback = callback

    def follow(self, func: Any, call: Call) -> None:
        if call.name == "convolution":
            x, weight, _, stride, padding, dilation, transposed, output_padding, groups = call.args[:9]
            geometry = (tuple(stride), tuple(padding), tuple(dilation), tuple(output_padding), groups, transposed)
            self._report(weight, x, geometry)
        elif call.name in OPERANDS:
            left, right = (call.args[place] for place in OPERANDS[call.name])
            place = self.weight_of(left, right)
            if place == 1:
                self._report(right, left)
            elif place == 0:
                self._report(left, right.transpose(-1, -2))

    def _report(self, weight: torch.Tensor, inputs: torch.Tensor, geometry: tuple[Any, ...] = ()) -> None:
        layer = self._layers.get(self.origin(weight) or "")
        if layer is not None:
            self._callback(Reading(layer, inputs, *geometry))


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
