"""Blocks: what is found in every architecture, and that dropping is what it is said to be."""

from __future__ import annotations

import copy
import importlib.util
import pickle
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.delivery.onnx.export import export_onnx_bytes
from rlprune.errors import PlanError
from rlprune.networks import surgery
from rlprune.networks.network import Network
from rlprune.pruning import batchnorm
from rlprune.pruning.blocks.blocks import Blocks, is_inside, macs_without, params_without, vanishing_layers
from rlprune.pruning.blocks.depth import BlockSwitch, Skip, block_errors, drop_blocks
from rlprune.pruning.blocks.droppable import find_blocks
from rlprune.pruning.tables import PruningTables
from rlprune.tasks import load_task
from rlprune.tasks.batches import even_batches
from rlprune.zoo import resolve_network
from tests.architectures import checks
from tests.architectures.catalogue import ARCHITECTURES
from tests.architectures.counting import counted_macs

FOUND = {
    "vgg": (),
    "resnet-basic": ("layer1.0", "layer1.1", "layer2.1"),
    "resnet-bottleneck": ("layer1.0", "layer1.1", "layer2.1"),
    "mobilenet-v2": ("features.1.conv.3", "features.2"),  # the depthwise convolution of a block that widens
    "densenet": (),
    "unet": (),
    "shufflenet-v2": ("features.1.branch", "features.2.branch"),
    "convnext": ("block1", "block2"),
    "encoder-pre-norm": ("encoder.layers.0", "encoder.layers.1"),
    "transformer-complete": tuple(f"transformer.{part}.layers.{n}" for part in ("encoder", "decoder") for n in (0, 1)),
    "vision-transformer": ("blocks.0", "blocks.1"),
    "swin": ("stage1.0", "stage1.1", "stage2.0", "stage2.1"),
    "lstm": (),
    "lstm-residual": ("layers.0", "layers.1"),
    "dlrm": (),
    "hf-bert-classifier": ("bert.encoder.layer.0", "bert.encoder.layer.1"),
    "hf-gpt2": ("transformer.h.0", "transformer.h.1"),
    "hf-vit": ("vit.layers.0", "vit.layers.1"),
    "hf-qwen3": ("model.layers.0", "model.layers.1"),
    "hf-resnet": ("resnet.encoder.stages.0.layers.0", "resnet.encoder.stages.1.layers.1"),
}
SLOW = {"swin": pytest.mark.slow, "transformer-complete": pytest.mark.slow}
ROUNDING = 1e-6  # equal weights elsewhere in memory are summed in another order
ROUTED = ("experts-switched",)  # which tokens an expert gets depends on the channels that are left
EXPORTED = ("resnet-basic", "encoder-pre-norm", "hf-vit")


@lru_cache(maxsize=2)
def prepared(name: str) -> tuple[Network, Blocks]:
    if ARCHITECTURES[name].requires is not None and importlib.util.find_spec(str(ARCHITECTURES[name].requires)) is None:
        pytest.skip(f"needs {ARCHITECTURES[name].requires}")
    network = checks.network_of(ARCHITECTURES[name])
    return network, find_blocks(network)


def plans(network: Network, blocks: Blocks) -> Iterator[tuple[IntArray, IntArray]]:
    """Widths above one, where torch counts products, with each block dropped alone, half of them, and all."""
    generator = np.random.default_rng(0)
    subsets = [*(1 - np.eye(len(blocks), dtype=np.int64))[:3], generator.integers(2, size=len(blocks))]
    for kept in [*subsets, np.zeros(len(blocks), dtype=np.int64)]:
        yield np.array([generator.integers(2, group.width + 1) for group in network.groups]), kept


def dropped_names(blocks: Blocks, kept: IntArray) -> list[str]:
    return [name for name, stays in zip(blocks.names, kept, strict=True) if not stays]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=SLOW.get(name, ()) if name in FOUND else pytest.mark.slow) for name in ARCHITECTURES],
)
def test_shorter_networks_run_cost_what_is_said_and_answer_as_a_switch_does(name: str) -> None:
    network, blocks = prepared(name)
    assert blocks.names == FOUND.get(name, blocks.names)
    dense = checks.structure(checks.answer(network.model, network))
    shell = surgery.Shell(copy.deepcopy(network.model), network)
    switch, keys = BlockSwitch(shell.module, blocks), list(shell.module.state_dict())
    for widths, kept in plans(network, blocks) if blocks else ():
        cut = surgery.prune(network, surgery.leading_channels(network, widths)).eval()
        short = drop_blocks(cut, blocks, dropped_names(blocks, kept))
        answer = checks.answer(short, network)
        assert checks.structure(answer) == dense
        params = params_without(network, blocks, widths, kept)
        assert params == [sum(parameter.numel() for parameter in short.parameters())]
        macs = macs_without(network, blocks, widths, kept)
        assert name in ROUTED or macs == pytest.approx([counted_macs(short, network.example_inputs)])
        switch.only(dropped_names(blocks, kept))
        module = shell.fill(dict(cut.state_dict()), widths)
        assert checks.difference(checks.answer(module, network), answer) < ROUNDING
        assert list(module.state_dict()) == keys
        switch.only([])
        assert checks.difference(checks.answer(module, network), checks.answer(cut, network)) < ROUNDING


@pytest.mark.parametrize("name", ["resnet-basic", "encoder-pre-norm", "hf-gpt2"])
def test_a_shorter_network_is_a_network(name: str) -> None:
    network, blocks = prepared(name)
    short = Network(drop_blocks(network.model, blocks, blocks.names), network.example_inputs, multiple=1)
    gone = {group for block in blocks for group in block.groups}
    assert {group.name for group in short.groups} == {group.name for group in network.groups} - gone
    widths, kept = network.dense_widths, np.zeros(len(blocks))
    assert short.macs(short.dense_widths) == pytest.approx(macs_without(network, blocks, widths, kept))
    assert list(short.params(short.dense_widths)) == list(params_without(network, blocks, widths, kept))


def test_costs_of_many_plans_at_once() -> None:
    network, blocks = prepared("resnet-basic")
    widths, kept = (np.stack(part) for part in zip(*plans(network, blocks), strict=True))
    for cost in (macs_without, params_without):
        each = [float(cost(network, blocks, *plan)[0]) for plan in zip(widths, kept, strict=True)]
        assert list(cost(network, blocks, widths, kept)) == pytest.approx(each)
        assert cost(network, blocks, network.dense_widths, np.ones(len(blocks))) == pytest.approx(
            cost(network, Blocks(), network.dense_widths, np.ones((1, 0)))
        )


def test_parameters_of_no_layer_go_too() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.outer = nn.Linear(8, 16), nn.Linear(16, 8)
            self.scale = nn.Parameter(torch.tensor(0.5))
            self.unused = nn.Parameter(torch.ones(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            answer: torch.Tensor = x + self.scale * self.outer(torch.relu(self.inner(x)))
            return answer

    network = Network(nn.Sequential(nn.Linear(4, 8), Scaled(), nn.Linear(8, 2)), torch.randn(2, 4), multiple=1)
    blocks = find_blocks(network)
    assert blocks.names == ("1",)
    assert params_without(network, blocks, network.dense_widths, [[0]]) == [4 * 8 + 8 + 8 * 2 + 2]


def test_tables_and_layers_of_a_block() -> None:
    network, blocks = prepared("encoder-pre-norm")
    first = blocks[0]
    assert any(":product" in name for name in first.layers)
    assert {"encoder.layers.0.linear1"} <= set(first.groups)
    assert all(is_inside(name, first.name) for name in (*first.layers, *first.groups))
    vanishing = vanishing_layers(network, blocks)
    assert vanishing.shape == (len(blocks), len(network.layers))
    assert [layer.name for layer, gone in zip(network.layers, vanishing[0], strict=True) if gone] == list(first.layers)
    stream = next(group for group in network.groups if group.name not in {g for block in blocks for g in block.groups})
    assert {member.layer for member in stream.members} - {name for block in blocks for name in block.layers}


@pytest.mark.parametrize("name", EXPORTED)
def test_a_dropped_block_leaves_nothing_behind(name: str) -> None:
    import onnx

    network, blocks = prepared(name)
    short = drop_blocks(network.model, blocks, blocks.names)
    assert [key for key in network.model.state_dict() if not any(is_inside(key, b) for b in blocks.names)] == list(
        short.state_dict()
    )
    graph, dense = (
        onnx.load_from_string(export_onnx_bytes(m, network.example_inputs)).graph for m in (short, network.model)
    )
    assert not [node for node in graph.node if node.op_type == "Identity"]
    inside = count_nodes(dense) - count_nodes(graph)
    assert {"resnet-basic": Counter(Conv=6, Relu=6, Add=3)}.get(name, inside) == inside
    assert inside.total() > 0
    assert not any(is_inside(tensor.name, block) for tensor in graph.initializer for block in blocks.names)


def count_nodes(graph: Any) -> Counter[str]:
    return Counter(node.op_type for node in graph.node)


def test_a_skip_answers_in_the_form_of_its_block() -> None:
    x = torch.ones(2)
    assert Skip()(x, mask=None) is x
    assert Skip("hidden_states", 3)(hidden_states=x) == (x, None, None)
    assert Skip(1)(None, x) is x
    layer = nn.TransformerEncoderLayer(8, 2, batch_first=True)
    skip = Skip.of(Blocks(prepared("encoder-pre-norm")[1])[0], layer)
    assert skip.self_attn.batch_first is True
    assert not skip.state_dict()
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = skip.nothing
    assert pickle.loads(pickle.dumps(skip)).self_attn.num_heads == copy.deepcopy(skip).self_attn.num_heads == 2


def test_modules_that_are_used_twice_or_shared_stay() -> None:
    assert "called 3 times" in prepared("shared-layers")[1].refused["block"]

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.one, self.two = nn.Linear(4, 8), Branch(), Branch()
            self.head = nn.Linear(8, 2)
            self.two.outer.weight = self.one.outer.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            answer: torch.Tensor = self.head(self.two(self.one(self.stem(x))))
            return answer

    blocks = find_blocks(Network(Tied(), torch.randn(2, 4), multiple=1))
    assert not blocks
    assert blocks.refused == {
        "one": "it shares one.outer.weight with two.outer.weight",
        "two": "it shares two.outer.weight with one.outer.weight",
    }


class Branch(nn.Module):
    """A residual block of linear layers."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, 16), nn.Linear(16, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = x + self.outer(torch.relu(self.inner(x)))
        return answer


class Divided(nn.Module):
    """Answers with NaN where a block changes nothing, and reads a weight of another from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(4, 8), nn.Linear(8, 2)
        self.normalized, self.read, self.plain = Branch(), Branch(), Branch()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        changed = self.normalized(x)
        x = (changed - x) / (changed - x).norm(dim=1, keepdim=True)
        x = self.read(x) + self.read.outer.bias.sum()
        answer: torch.Tensor = self.head(self.plain(x))
        return answer


def test_what_the_network_does_not_run_without_is_refused_with_the_reason() -> None:
    blocks = find_blocks(Network(Divided(), torch.randn(2, 4), multiple=1))
    assert blocks.names == ("plain",)
    assert blocks.refused["normalized"] == "without it the network's outputs are not finite"
    assert "without it the network fails" in blocks.refused["read"]
    with pytest.raises(PlanError, match="'read' is none: without it the network fails"):
        blocks.named(["read"])


class Either(nn.Module):
    """Runs without either of two blocks, not without both."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two, self.head = nn.Linear(4, 8), Branch(), Branch(), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = self.two(self.one(x))
        change = (y - x).square().sum(dim=1, keepdim=True)
        answer: torch.Tensor = self.head(y) / change
        return answer


def test_blocks_that_cannot_go_together() -> None:
    blocks = find_blocks(Network(Either(), torch.randn(2, 4), multiple=1))
    assert blocks.names == ("one",)
    assert "not finite, together with one" in blocks.refused["two"]


def test_unknown_names_are_refused() -> None:
    network, blocks = prepared("resnet-basic")
    with pytest.raises(PlanError, match=r"Unknown block 'layer1\.2'\. Did you mean 'layer1\.[01]'\?"):
        drop_blocks(network.model, blocks, ["layer1.2"])
    with pytest.raises(PlanError, match="different channels"):
        BlockSwitch(copy.deepcopy(network.model), blocks).only(["layer2.0.conv2"])


def test_finding_changes_nothing_and_repeats_itself() -> None:
    network, blocks = prepared("resnet-basic")
    state = torch.random.get_rng_state()
    before = copy.deepcopy(network.model)
    assert find_blocks(network) == blocks
    assert torch.equal(torch.random.get_rng_state(), state)
    assert [type(module) for module in network.model.modules()] == [type(module) for module in before.modules()]
    assert not any("forward" in vars(module) for module in network.model.modules())
    assert pickle.loads(pickle.dumps(blocks)) == blocks
    assert pickle.loads(pickle.dumps(blocks)).refused == blocks.refused


def test_errors_say_how_much_a_block_changes() -> None:
    loaded, task = resolve_network("digits-resnet"), load_task("digits")
    network = Network(loaded.model, loaded.example_inputs)
    blocks = find_blocks(network)
    seen: list[torch.Tensor] = []
    part = network.model.get_submodule(blocks.names[0])
    handle = part.register_forward_hook(lambda _, given, answer: seen.extend((given[0], answer)))
    with torch.no_grad():
        network.model(task.calibration.tensors[0])
    handle.remove()
    wanted = float((seen[1] - seen[0]).square().sum() / seen[1].square().sum())
    assert block_errors(network, blocks, task.calibration) == {blocks.names[0]: pytest.approx(wanted, rel=1e-4)}
    with torch.no_grad():
        network.model.get_submodule("stages.0.0.second.1").weight.zero_()
        network.model.get_submodule("stages.0.0.second.1").bias.zero_()
    assert block_errors(network, blocks, task.calibration) == {blocks.names[0]: 0.0}


def test_reestimated_batchnorms_help_a_shorter_network() -> None:
    task = load_task("fashion-mnist")
    try:
        inputs = task.calibration.take(1).tensors
    except ValueError:
        pytest.skip("needs the files of Fashion-MNIST")
    network = Network(resolve_network("fashion-resnet20").model, inputs)
    blocks = find_blocks(network)
    assert blocks.names == tuple(f"stages.{s}.{b}" for s, b in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)))
    short = drop_blocks(network.model, blocks, ["stages.0.1", "stages.1.2"])
    images = task.validation.take(1000)

    def accuracy() -> float:
        with torch.no_grad():
            return task.score(short(images.tensors[0]), images.targets)

    before = accuracy()
    batchnorm.reestimate(short, even_batches(task.calibration, 256, torch.device("cpu")))
    assert accuracy() > before + 0.05


def test_blocks_of_the_permuted_network_of_tables() -> None:
    """Tables put channels in another order; without a block they give what the dense network gives without it."""
    loaded, task = resolve_network("digits-resnet"), load_task("digits")
    network = Network(loaded.model, loaded.example_inputs)
    blocks, shell = find_blocks(network), PruningTables(network, task.calibration).shell()
    BlockSwitch(shell.module, blocks).only(blocks.names)
    images = task.validation.take(16).tensors[0]
    with torch.no_grad():
        wanted = drop_blocks(network.model, blocks, blocks.names)(images)
        torch.testing.assert_close(shell.module(images), wanted, atol=1e-4, rtol=1e-4)
