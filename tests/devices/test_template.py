"""Sliced ONNX graphs compute what the pruned torch modules compute."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch

from rlprune.arrays import IntArray
from rlprune.delivery.onnx import graph as onnx_graph
from rlprune.delivery.onnx.session import run_onnx
from rlprune.delivery.onnx.template import OnnxTemplate
from rlprune.devices.profiling.plans import choose_plans
from rlprune.networks import surgery
from rlprune.networks.network import Network


def pruned_outputs(network: Network, widths: IntArray) -> torch.Tensor:
    module = surgery.prune(network, surgery.leading_channels(network, widths)).eval()
    with torch.no_grad():
        output: torch.Tensor = module(*network.example_inputs)
        return output


@pytest.mark.parametrize("fixture", ["residual_template", "depthwise_template"])
def test_sliced_equals_pruned(fixture: str, request: pytest.FixtureRequest) -> None:
    template: OnnxTemplate = request.getfixturevalue(fixture)
    network = template.network
    assert template.exact, template.reason
    for widths in choose_plans(network, 8, seed=4):
        (output,) = run_onnx(template.sliced(widths), template.feed)
        np.testing.assert_allclose(output, pruned_outputs(network, widths).numpy(), rtol=1e-4, atol=1e-5)


def test_depthwise_groups_follow_their_weights(depthwise_template: OnnxTemplate) -> None:
    widths = np.array([8, 20, 16])
    graph = onnx.load_from_string(depthwise_template.sliced(widths)).graph
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    groups = [a.i for node in convolutions for a in node.attribute if a.name == "group"]
    assert groups == [1, 8, 1]
    onnx.checker.check_model(depthwise_template.sliced(widths))


def test_the_template_is_left_as_it_was(residual_template: OnnxTemplate) -> None:
    dense = residual_template.network.dense_widths
    before = residual_template.sliced(dense)
    residual_template.sliced(np.array([4, 4]))
    assert residual_template.sliced(dense) == before


def forget(graph: onnx.GraphProto, dense: onnx_graph.Arrays) -> None:
    """Leaves the groups of depthwise convolutions as they were: ONNX Runtime refuses the graph."""


def spoil(graph: onnx.GraphProto, dense: onnx_graph.Arrays) -> None:
    """A graph that runs, with one weight gone wrong."""
    right_groups(graph, dense)
    tensor = graph.initializer[0]
    tensor.CopyFrom(onnx.numpy_helper.from_array(2 * onnx.numpy_helper.to_array(tensor), tensor.name))


right_groups = onnx_graph.correct_groups


@pytest.mark.parametrize(("mistake", "reason"), [(forget, "cannot"), (spoil, "differs")])
def test_wrong_slices_are_found_and_plans_exported_truly(
    depthwise_network: Network, monkeypatch: pytest.MonkeyPatch, mistake: Callable[..., None], reason: str
) -> None:
    monkeypatch.setattr("rlprune.delivery.onnx.template.onnx_graph.correct_groups", mistake)
    template = OnnxTemplate(depthwise_network)
    assert not template.exact
    assert reason in str(template.reason)
    widths = np.array([8, 20, 16])
    (output,) = run_onnx(template.sliced(widths), template.feed)
    np.testing.assert_allclose(output, pruned_outputs(depthwise_network, widths).numpy()[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("source", "target", "freed"),
    [
        ([1, 32, 4, 4], [1, 512], [0, -1]),
        ([2, 32, 4, 4], [2, 32, 16], [0, 0, -1]),
        ([1, 16, 64], [1, 16, 4, 16], [0, 0, -1, 16]),
        ([1, 16, 4, 16], [1, 16, 64], [0, 0, -1]),
        ([1, 8], [1, 8], [0, 0]),
        ([3, 8, 2], [24, 2], [-1, 2]),
    ],
)
def test_freed_shapes_follow_their_input(source: list[int], target: list[int], freed: list[int]) -> None:
    assert onnx_graph._free(source, target) == freed
    if 0 in freed or -1 in freed:
        named = [source[i] if size == 0 else size for i, size in enumerate(freed)]
        known = int(np.prod([size for size in named if size > 0]))
        resolved = [int(np.prod(source)) // known if size == -1 else size for size in named]
        assert resolved == target
