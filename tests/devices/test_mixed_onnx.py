"""Mixes as real runtimes load them: the float part answers what the shortened module does, and int8 is in the graph."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.delivery.onnx.session import Feed
from rlprune.delivery.onnx.template import OnnxTemplate
from rlprune.devices.runtimes import OnnxRuntime, OpenVinoCpu, Runtime, TorchCpu
from rlprune.networks import surgery
from rlprune.networks.inputs import as_batch
from rlprune.networks.network import Network
from rlprune.pruning.blocks.depth import drop_blocks
from rlprune.pruning.quantization import int8_layers
from rlprune.zoo import resolve_network

from .mixed_truth import network
from .test_runtimes import answers

BATCH = 2


def everything(net: Network) -> Space:
    layers = int8_layers(net)
    plain = Space(net, Decisions(("depth", "channels", "bits"), bits=(8,)))
    others = [f"bits:{c.name}" for c in plain.choices if c.kind == "bits" and c.name not in layers]
    return Space(net, Decisions(("depth", "channels", "bits"), bits=(8,), exclude=others), int8=layers)


def row_of(space: Space, bits: int, dropped: int) -> IntArray:
    """Every other group at half its width, the first blocks dropped, all layers with ``bits``."""
    row, left = space.full.copy(), dropped
    for place, choice in enumerate(space.choices):
        if choice.kind == "channels" and place % 2:
            row[place] = choice.levels[len(choice.levels) // 2]
        elif choice.kind == "bits":
            row[place] = bits
        elif choice.kind == "depth" and left:
            row[place], left = 0, left - 1
    return row


def module_of(space: Space, row: IntArray) -> nn.Module:
    net = space.network
    module = surgery.prune(net, surgery.leading_channels(net, space.widths(row[None])[0]))
    return drop_blocks(module.eval(), space.blocks, space.dropped(row))


def wanted(space: Space, row: IntArray) -> Any:
    inputs = as_batch(space.network.example_inputs, BATCH)
    assert isinstance(inputs, tuple)
    with torch.no_grad():
        return module_of(space, row)(*inputs).numpy()


@pytest.mark.parametrize("dropped", [0, 1, 3])
@pytest.mark.parametrize("make", [OnnxRuntime, TorchCpu, OpenVinoCpu], ids=["onnxruntime", "torch", "openvino"])
def test_in_float_a_mix_answers_what_the_shortened_module_does(make: type[Runtime], dropped: int) -> None:
    runtime, space = make(1, BATCH), everything(network("tower"))
    if runtime.available() is not None:
        pytest.skip(str(runtime.available()))
    row = row_of(space, 32, dropped)
    (output,) = answers(runtime.load_mix(space.network, space, row))
    np.testing.assert_allclose(output, wanted(space, row), atol=1e-4)


class Watched(OnnxRuntime):
    """ONNX Runtime that keeps what it was given."""

    def __init__(self) -> None:
        super().__init__(1, BATCH)
        self.graphs: list[onnx.ModelProto] = []

    def load_bytes(self, model: bytes, feed: Feed) -> Any:
        self.graphs.append(onnx.load_from_string(model))
        return super().load_bytes(model, feed)

    @property
    def operators(self) -> Counter[str]:
        return Counter(node.op_type for node in self.graphs[-1].graph.node)


@pytest.mark.parametrize("dropped", [0, 1])
def test_layers_that_are_left_are_in_int8(dropped: int) -> None:
    runtime, space = Watched(), everything(network("tower"))
    row = row_of(space, 8, dropped)
    computed = space.computed_in_int8(row)
    assert len(computed) == len(space.int8.names) - 2 * dropped
    (output,) = answers(runtime.load_mix(space.network, space, row))
    assert output.shape == (BATCH, 10)
    assert np.isfinite(output).all()
    names = {tensor.name for tensor in runtime.graphs[-1].graph.initializer if tensor.name.endswith("weight_quantized")}
    assert names == {f"{name}.weight_quantized" for name in computed}
    assert runtime.operators["QuantizeLinear"] >= len(computed)
    runtime.load_mix(space.network, space, row_of(space, 32, dropped))
    assert not runtime.operators["QuantizeLinear"]


def test_each_set_of_blocks_is_exported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, space = OnnxRuntime(1, BATCH), everything(network("tower"))
    exports: list[int] = []
    original = OnnxTemplate.__init__

    def counted(self: OnnxTemplate, *arguments: Any, **named: Any) -> None:
        exports.append(1)
        original(self, *arguments, **named)

    monkeypatch.setattr(OnnxTemplate, "__init__", counted)
    for dropped in (0, 1, 0, 1, 2):
        for bits in (8, 32):
            runtime.load_mix(space.network, space, row_of(space, bits, dropped))
    assert len(exports) == 3


def test_another_network_is_exported_anew() -> None:
    runtime, first, second = OnnxRuntime(1, BATCH), everything(network("tower")), everything(network("residual"))
    for space in (first, second):
        row = row_of(space, 32, 1)
        (output,) = answers(runtime.load_mix(space.network, space, row))
        np.testing.assert_allclose(output, wanted(space, row), atol=1e-4)


@pytest.mark.slow
def test_a_shortened_digits_resnet() -> None:
    zoo = resolve_network("digits-resnet")
    runtime, space = OnnxRuntime(1, BATCH), everything(Network(zoo.model, zoo.example_inputs))
    row = row_of(space, 32, len(space.blocks))
    assert space.dropped(row)
    (output,) = answers(runtime.load_mix(space.network, space, row))
    np.testing.assert_allclose(output, wanted(space, row), atol=1e-3)
    inference = runtime.load_mix(space.network, space, row_of(space, 8, len(space.blocks)))
    assert np.isfinite(answers(inference)[0]).all()
    assert runtime.time(inference, 3).min() > 0
