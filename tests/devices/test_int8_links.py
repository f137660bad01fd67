"""Links between layers in int8, of networks whose links a person can state, and against ONNX Runtime's own graph."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from rlprune.delivery.onnx.export import export_onnx_bytes
from rlprune.delivery.onnx.int8 import quantize_for_timing
from rlprune.delivery.onnx.session import onnxruntime_module
from rlprune.devices.profiles.int8.links import FLOAT, find_links
from rlprune.networks.network import Network
from rlprune.pruning.quantization import int8_layers
from tests.devices.mixed_truth import network as tower


class Small(nn.Module):
    """A convolution with all that may follow, pooling, and two linear layers with a tanh between."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.second = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten())
        self.third, self.fourth = nn.Linear(8 * 2 * 2, 16), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.fourth(torch.tanh(self.third(self.second(self.first(x)))))
        return answer


class Sequences(nn.Module):
    """Linear layers on ``[batch, length, 6]``: the exporter adds their biases in float."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8, bias=bias), nn.Linear(8, 4, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.second(torch.relu(self.first(x)))
        return answer


def named(network: Network) -> list[tuple[str, str]]:
    found = find_links(network)
    sums = iter(range(len(found.nodes)))
    names = [*(f"+{next(sums)}" if node is None else node for node in found.nodes), "float"]
    return [(names[first], names[second]) for first, second in (link.ends for link in found.links)]


def test_what_lies_between_layers_in_int8() -> None:
    network = Network(Small().eval(), torch.zeros(1, 1, 8, 8))
    assert named(network) == [
        ("float", "first.0"),
        ("first.0", "second.1"),
        ("second.1", "third"),
        ("third", "float"),
        ("float", "fourth"),
        ("fourth", "float"),
    ]


def test_sums_are_nodes_and_what_a_mean_reads_is_float() -> None:
    links = named(tower("tower"))
    assert links[:4] == [
        ("float", "stem"),
        ("stem", "blocks.0.conv1"),
        ("blocks.0.conv1", "blocks.0.conv2"),
        ("blocks.0.conv2", "+0"),
    ]
    assert ("stem", "+0") in links
    assert ("+0", "blocks.1.conv1") in links
    assert ("+0", "+1") in links
    assert links[-4:] == [("blocks.2.conv2", "float"), ("+1", "float"), ("float", "head"), ("head", "float")]


@pytest.mark.parametrize("bias", [True, False])
def test_a_bias_on_sequences_is_added_in_float(bias: bool) -> None:
    links = named(Network(Sequences(bias).eval(), torch.zeros(1, 5, 6)))
    assert (("first", "second") in links) == (not bias)


def test_every_layer_is_a_node_and_no_end_is_out_of_range() -> None:
    for name in ("tower", "resnet-basic", "encoder-pre-norm", "residual"):
        found = find_links(tower(name))
        assert {node for node in found.nodes if node} == set(int8_layers(tower(name)))
        assert all(FLOAT <= end < len(found.nodes) for link in found.links for end in link.ends)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["small", "tower"])
def test_onnx_runtime_converts_where_a_link_leaves_int8_and_nowhere_else(name: str, tmp_path: Path) -> None:
    """All layers in int8: links with float are the only places where the optimised graph converts."""
    network = Network(Small().eval(), torch.zeros(1, 1, 8, 8)) if name == "small" else tower(name)
    exported = export_onnx_bytes(network.model, network.example_inputs, optimize=False)
    library = onnxruntime_module()
    options = library.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    model = quantize_for_timing(exported, int8_layers(network))
    library.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    operators = Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)
    entering = sum(link.ends[0] == FLOAT for link in find_links(network).links)
    leaving = sum(link.ends[1] == FLOAT for link in find_links(network).links)
    assert operators["QuantizeLinear"] == entering
    assert operators["DequantizeLinear"] == leaving
    assert operators["QLinearAdd"] == (2 if name == "tower" else 0)
