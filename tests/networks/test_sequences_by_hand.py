"""Sequence networks whose groups a person can state: what goes together, and what must stay."""

from __future__ import annotations

import importlib.util
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.networks import surgery
from rlprune.networks.groups import Group
from rlprune.networks.layers import Side
from rlprune.networks.network import Network
from tests.architectures import recommenders, sequences

BY_NAME = {architecture.name: architecture for architecture in sequences.ARCHITECTURES}
hugging_face = pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="needs transformers")


@cache
def network_of(name: str) -> Network:
    """A network of the catalogue, with norms and biases that are neither one nor zero; every width allowed."""
    torch.manual_seed(0)
    model = BY_NAME[name].build().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.1 * torch.randn(len(parameter))
    return Network(model, BY_NAME[name].inputs(), multiple=1)


def layer_of(network: Network, key: str) -> str:
    """The layer that holds a tensor of the ``state_dict``."""
    return next(layer.name for layer in network.layers if key in layer.tensors)


def group_of(network: Network, key: str, side: Side = "out") -> Group:
    """The group whose channels one side of a tensor's layer holds."""
    layer = layer_of(network, key)
    found = [group for group in network.groups if any(m.layer == layer and m.side == side for m in group.members)]
    assert len(found) == 1, f"{key} ({side}) stands in {[group.name for group in found]}; {network.left_whole}"
    return found[0]


def slots(network: Network, group: Group, key: str, side: Side = "out") -> np.ndarray:
    """Where the group's channels stand: ``[repeats, width]``, each column sorted."""
    layer = layer_of(network, key)
    member = next(member for member in group.members if (member.layer, member.side) == (layer, side))
    return np.sort(member.slots.numpy(), axis=0)


def pruned(network: Network, kept: dict[str, int]) -> nn.Module:
    """The network with the first channels of some groups, run once."""
    widths = [kept.get(group.name, group.width) for group in network.groups]
    model = surgery.prune(network, surgery.leading_channels(network, widths)).eval()
    inputs = network.example_inputs
    with torch.no_grad():
        model(**inputs) if isinstance(inputs, dict) else model(*inputs)
    return model


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}


ENCODERS = ["encoder-post-norm", "encoder-pre-norm"]


@pytest.mark.parametrize("name", ENCODERS)
def test_the_hidden_width_of_an_encoder_layer_is_a_group_of_its_own(name: str) -> None:
    network = network_of(name)
    group = group_of(network, "encoder.layers.1.linear1.weight")
    assert group.width == 48
    assert group.producers == ("encoder.layers.1.linear1",)
    assert group.consumers == ("encoder.layers.1.linear2",)


@pytest.mark.parametrize("name", ENCODERS)
def test_heads_go_whole_with_their_queries_keys_values_and_outputs(name: str) -> None:
    network = network_of(name)
    prefix = "encoder.layers.0.self_attn"
    group = group_of(network, f"{prefix}.in_proj_weight")
    assert group.width == 4
    rows = slots(network, group, f"{prefix}.in_proj_weight")
    head = np.arange(8, 16)
    assert rows[:, 1].tolist() == [*head, *(32 + head), *(64 + head)]
    assert slots(network, group, f"{prefix}.out_proj.weight", "in")[:, 1].tolist() == head.tolist()
    model = pruned(network, {group.name: 3})
    attention = model.get_submodule(prefix)
    assert attention.num_heads == 3
    assert attention.in_proj_weight.shape == (72, 32)
    assert attention.in_proj_bias.shape == (72,)
    assert attention.out_proj.weight.shape == (32, 24)


@pytest.mark.parametrize("name", ENCODERS)
def test_the_embedding_width_runs_through_all_shortcuts(name: str) -> None:
    network = network_of(name)
    group = group_of(network, "embedding.weight")
    assert group.width == 32
    outs = {"embedding.weight", "positions"}
    ins = {"head.weight"}
    for layer in ("encoder.layers.0", "encoder.layers.1"):
        outs |= {f"{layer}.{part}.weight" for part in ("self_attn.out_proj", "linear2", "norm1", "norm2")}
        ins |= {f"{layer}.self_attn.in_proj_weight", f"{layer}.linear1.weight"}
    assert {*group.producers, *group.followers} == {layer_of(network, key) for key in outs}
    assert set(group.consumers) == {layer_of(network, key) for key in ins}
    after = shapes(pruned(network, {group.name: 20}))
    assert after["embedding.weight"] == (50, 20)
    assert after["positions"] == (1, 10, 20)
    assert after["encoder.layers.1.norm2.bias"] == (20,)
    assert after["head.weight"] == (5, 20)


def test_encoder_and_decoder_share_no_width_but_that_of_the_model() -> None:
    network = network_of("transformer-complete")
    widths = sorted(group.width for group in network.groups)
    assert widths == [4] * 6 + [32] + [48] * 4
    assert "output" in network.left_whole["generator"]


def test_class_token_and_positions_follow_the_patches() -> None:
    network = network_of("vision-transformer")
    group = group_of(network, "patch_embed.weight")
    assert group is group_of(network, "cls_token") is group_of(network, "pos_embed")
    after = shapes(pruned(network, {group.name: 24}))
    assert after["patch_embed.weight"] == (24, 3, 4, 4)
    assert after["cls_token"] == (1, 1, 24)
    assert after["pos_embed"] == (1, 10, 24)


TABLES = [
    ("attention-relative", "blocks.0.attention.q.weight", "blocks.0.attention.relative_attention_bias.weight"),
    pytest.param(
        "hf-swin",
        "swin.encoder.layers.1.blocks.0.attention.q_proj.weight",
        "swin.encoder.layers.1.blocks.0.attention.relative_position_bias.relative_position_bias_table",
        marks=hugging_face,
    ),
]


@pytest.mark.parametrize(("name", "queries", "table"), TABLES)
def test_heads_take_their_biases_of_distances_along(name: str, queries: str, table: str) -> None:
    network = network_of(name)
    group = group_of(network, queries)
    assert group.width == 4
    assert group is group_of(network, table)
    before = shapes(network.model)
    after = shapes(pruned(network, {group.name: 3}))
    assert after[table] == (before[table][0], 3)
    assert after[queries] == (24, 32)


def test_query_heads_go_with_the_key_head_they_share() -> None:
    network = network_of("llama-block")
    group = group_of(network, "layers.0.mixer.k_proj.weight")
    assert group.width == 2
    assert group is group_of(network, "layers.0.mixer.q_proj.weight")
    assert slots(network, group, "layers.0.mixer.q_proj.weight")[:, 1].tolist() == list(range(16, 32))
    assert slots(network, group, "layers.0.mixer.v_proj.weight")[:, 1].tolist() == list(range(8, 16))
    mixer = pruned(network, {group.name: 1}).get_submodule("layers.0.mixer")
    assert (mixer.num_heads, mixer.num_key_value_heads, mixer.head_dim) == (2, 1, 8)
    assert mixer.o_proj.weight.shape == (32, 16)


def test_both_halves_of_a_gated_mlp_are_one_group() -> None:
    group = group_of(network_of("llama-block"), "layers.1.mlp.gate_proj.weight")
    assert group.producers == ("layers.1.mlp.gate_proj", "layers.1.mlp.up_proj")
    assert group.width == 40


def test_a_tied_output_layer_keeps_its_vocabulary() -> None:
    network = network_of("language-model-tied")
    layer = layer_of(network, "wte.weight")
    group = next(g for g in network.groups if any(m.layer == layer for m in g.members))
    assert group.width == 32
    model = pruned(network, {group.name: 20})
    assert model.wte.weight.shape == (50, 20)
    assert model.lm_head.weight is model.wte.weight


def test_a_block_called_three_times_is_pruned_once() -> None:
    network = network_of("shared-layers")
    widths = {group.name: group.width for group in network.groups}
    assert group_of(network, "block.mlp.0.weight").width == 48
    assert group_of(network, "block.attention.qkv.weight").width == 4
    width = group_of(network, "widen.weight")
    assert {*width.producers} == {"widen", "block.attention.proj", "block.mlp.2"}
    assert sorted(widths.values()) == [4, 16, 32, 32, 48]


@pytest.mark.parametrize(
    "name",
    [
        "attention-input-sized",
        pytest.param("swin", marks=pytest.mark.slow),
        pytest.param("pyramid-transformer", marks=pytest.mark.slow),
    ],
)
def test_each_group_can_be_pruned_alone_where_code_reads_sizes_off_other_tensors(name: str) -> None:
    torch.manual_seed(0)
    network = Network(BY_NAME[name].build(), BY_NAME[name].inputs())
    for group in network.groups:
        for width in group.widths:
            pruned(network, {group.name: width})


def gate_rows(width: int, gates: int) -> np.ndarray:
    return np.arange(width) + width * np.arange(gates)[:, None]


@pytest.mark.parametrize(("name", "gates"), [("lstm", 4), ("gru-two-layers", 3), ("rnn", 1)])
def test_a_hidden_unit_stands_once_in_every_gate(name: str, gates: int) -> None:
    network = network_of(name)
    group = group_of(network, "rnn.weight_hh_l0")
    assert group.width == 20
    assert group is group_of(network, "rnn.weight_ih_l0") is group_of(network, "rnn.weight_hh_l0", "in")
    for key in ("rnn.weight_ih_l0", "rnn.weight_hh_l0"):
        assert slots(network, group, key).tolist() == gate_rows(20, gates).tolist()
    after = shapes(pruned(network, {group.name: 12}))
    assert after["rnn.weight_ih_l0"] == (gates * 12, 24)
    assert after["rnn.weight_hh_l0"] == (gates * 12, 12)
    assert after["rnn.bias_hh_l0"] == (gates * 12,)


def test_what_enters_a_recurrent_layer_is_the_embedding() -> None:
    network = network_of("lstm")
    group = group_of(network, "embedding.weight")
    assert group.width == 24
    assert group.consumers == (layer_of(network, "rnn.weight_ih_l0"),)
    after = shapes(pruned(network, {group.name: 10}))
    assert after["embedding.weight"] == (50, 10)
    assert after["rnn.weight_ih_l0"] == (80, 10)


def test_layers_of_one_recurrent_module_share_its_hidden_size() -> None:
    network = network_of("gru-two-layers")
    group = group_of(network, "rnn.weight_hh_l0")
    assert group is group_of(network, "rnn.weight_hh_l1") is group_of(network, "rnn.weight_ih_l1", "in")
    assert group is group_of(network, "head.weight", "in")
    model = pruned(network, {group.name: 12})
    after = shapes(model)
    assert after["rnn.weight_ih_l1"] == after["rnn.weight_hh_l1"] == (36, 12)
    assert after["head.weight"] == (7, 12)
    assert model.rnn.hidden_size == 12


def test_both_directions_of_a_recurrent_module_share_its_hidden_size() -> None:
    network = network_of("gru-bidirectional")
    group = group_of(network, "rnn.weight_hh_l0")
    assert group is group_of(network, "rnn.weight_hh_l0_reverse")
    assert slots(network, group, "hidden.weight", "in").tolist() == gate_rows(20, 2).tolist()
    after = shapes(pruned(network, {group.name: 8}))
    assert after["rnn.weight_hh_l0_reverse"] == (24, 8)
    assert after["hidden.weight"] == (32, 16)


def test_a_cell_in_a_loop_is_one_group() -> None:
    network = network_of("gru-cell")
    group = group_of(network, "cell.weight_hh")
    assert group is group_of(network, "cell.weight_ih") is group_of(network, "head.weight", "in")
    model = pruned(network, {group.name: 9})
    assert model.cell.hidden_size == 9
    assert model.cell.weight_hh.shape == (27, 9)


def test_tables_whose_vectors_are_multiplied_share_a_width() -> None:
    network = network_of("dlrm")
    group = group_of(network, "bottom.2.weight")
    assert group.producers == ("bottom.2", "tables.0", "tables.1", "tables.2")
    assert group.width == 16
    after = shapes(pruned(network, {group.name: 10}))
    assert [after[f"tables.{number}.weight"] for number in range(3)] == [(30, 10), (20, 10), (12, 10)]
    assert after["top.0.0.weight"] == (32, 10 + 6)


def test_concatenated_tables_have_widths_of_their_own() -> None:
    network = network_of("mixture-of-experts")
    groups = [group_of(network, f"tables.{number}.weight") for number in range(3)]
    assert len({group.name for group in groups}) == 3
    after = shapes(pruned(network, {group.name: width for group, width in zip(groups, (3, 16, 9), strict=True)}))
    assert after["experts.1.0.weight"] == (40, 28)


def test_stacked_experts_share_a_width_and_their_gates_stay() -> None:
    network = network_of("mixture-of-experts")
    assert group_of(network, "experts.0.2.weight").producers == ("experts.0.2", "experts.1.2", "experts.2.2")
    assert "softmax" in network.left_whole["gates.0"]


def test_towers_meet_in_the_width_of_their_product() -> None:
    network = network_of("two-towers")
    group = group_of(network, "user.3.weight")
    assert group.producers == ("user.3", "item.2")
    assert group.width == 16


@pytest.mark.parametrize("name", [architecture.name for architecture in recommenders.ARCHITECTURES])
def test_rows_of_tables_stay(name: str) -> None:
    network = network_of(name)
    model = pruned(network, {group.name: 1 for group in network.groups})
    dense = dict(network.model.named_modules())
    for place, module in model.named_modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            assert module.weight.shape[0] == dense[place].num_embeddings
            assert module.weight.shape[1] == module.embedding_dim


HEADS = {
    "hf-bert-classifier": ("bert.encoder.layer.0.attention.self.query.weight", "num_attention_heads"),
    "hf-distilbert": ("distilbert.transformer.layer.0.attention.q_lin.weight", "n_heads"),
    "hf-gpt2": ("transformer.h.0.attn.c_attn.weight", "num_heads"),
    "hf-vit": ("vit.layers.0.attention.q_proj.weight", "num_heads"),
}


@hugging_face
@pytest.mark.parametrize("name", sorted(HEADS))
def test_head_counts_follow_the_weights(name: str) -> None:
    network = network_of(name)
    key, attribute = HEADS[name]
    group = group_of(network, key)
    assert group.width == 4
    module = pruned(network, {group.name: 3}).get_submodule(key.rpartition(".")[0].rpartition(".")[0])
    for counted in (attribute, "num_heads", "num_attention_heads", "n_heads"):
        assert getattr(module, counted, 3) == 3
    for size in ("all_head_size", "split_size"):
        assert getattr(module, size, 24) == 24


@hugging_face
def test_key_heads_of_a_large_language_model_are_shared() -> None:
    network = network_of("hf-llama")
    group = group_of(network, "model.layers.0.self_attn.k_proj.weight")
    assert group.width == 2
    after = shapes(pruned(network, {group.name: 1}))
    assert after["model.layers.0.self_attn.q_proj.weight"] == (16, 32)
    assert after["model.layers.0.self_attn.k_proj.weight"] == (8, 32)
    assert after["model.layers.0.self_attn.o_proj.weight"] == (32, 16)


@hugging_face
def test_biases_of_distances_are_shared_by_all_layers() -> None:
    network = network_of("hf-t5-encoder")
    first = group_of(network, "encoder.block.0.layer.0.SelfAttention.q.weight")
    assert first is group_of(network, "encoder.block.1.layer.0.SelfAttention.q.weight")
    assert first is group_of(network, "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight")
    assert first.width == 4
