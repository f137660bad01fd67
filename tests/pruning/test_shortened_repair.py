"""Delivered networks without some blocks: layers are repaired for what they read there."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.choices.space import Space
from rlprune.evaluation.evaluator import Evaluator
from rlprune.pruning.blocks.depth import drop_blocks
from rlprune.pruning.tables import PruningTables
from tests.mixed import NETWORKS, WITH_BLOCKS, Prepared, prepare, random_rows

PREPARED = functools.cache(prepare)


def half(prepared: Prepared) -> IntArray:
    groups = prepared.network.groups
    return prepared.network.as_matrix([group.widths[len(group.widths) // 2] for group in groups])[0]


def without_first_block(prepared: Prepared) -> nn.Module:
    blocks = prepared.space().blocks
    return drop_blocks(prepared.tables.permuted, blocks, blocks.names[:1])


def error(prepared: Prepared, tables: PruningTables, model: nn.Module, name: str) -> float:
    """Of a cut convolution's answer to what it reads in ``model``, against that of the dense one."""
    seen: list[torch.Tensor] = []
    module = model.get_submodule(name)
    assert isinstance(module, nn.Conv2d)
    with torch.no_grad():
        handle = module.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        model(*prepared.task.calibration.tensors)
        handle.remove()
        widths = half(prepared)
        inputs = tables.positions(name, "in", widths, module.in_channels)
        outputs = tables.positions(name, "out", widths, module.out_channels)
        cut = tables.pruned(widths).get_submodule(name)
        return float((cut(seen[0][:, inputs]) - module(seen[0])[:, outputs]).square().sum())


def test_layers_answer_better_on_what_they_read_without_the_block() -> None:
    prepared = PREPARED("residual")
    model = without_first_block(prepared)
    short = prepared.tables.reading(model, prepared.task.calibration)
    layers = [layer.name for layer in prepared.network.layers if layer.name in dict(model.named_modules())]
    convolutions = [name for name in layers if isinstance(model.get_submodule(name), nn.Conv2d)]
    ratios = [
        (error(prepared, short, model, name) + 1e-9) / (error(prepared, prepared.tables, model, name) + 1e-9)
        for name in convolutions
    ]
    assert max(ratios) < 1.02
    assert min(ratios) < 0.9


@pytest.mark.parametrize("name", NETWORKS)
def test_reading_in_the_whole_network_gives_the_repair_there_is(name: str) -> None:
    prepared = PREPARED(name)
    again = prepared.tables.reading(prepared.tables.permuted, prepared.task.calibration)
    for key, tensor in prepared.tables.tensors(half(prepared)).items():
        torch.testing.assert_close(again.tensors(half(prepared))[key], tensor, rtol=0.1, atol=0.02)


def test_reading_leaves_the_tables_as_they_were() -> None:
    prepared = PREPARED("residual")
    before = {key: tensor.clone() for key, tensor in prepared.tables.tensors(half(prepared)).items()}
    short = prepared.tables.reading(without_first_block(prepared), prepared.task.calibration)
    assert any(not torch.equal(short.tensors(half(prepared))[key], before[key]) for key in before)
    after = prepared.tables.tensors(half(prepared))
    assert all(torch.equal(after[key], tensor) for key, tensor in before.items())


def evaluator_of(prepared: Prepared) -> Evaluator:
    return prepared.evaluator(prepared.space("depth", "channels", "weights"))


def rows_of(space: Space, count: int) -> IntArray:
    """Random rows; every second lacks one block."""
    rows, choices = random_rows(space, count), space.choices
    drops = [(i, choice.full) for i, choice in enumerate(choices) if choice.kind == "depth"]
    for place, full in drops:
        rows[:, place] = full
    rows[::2, drops[0][0]] = choices[drops[0][0]].levels[0]
    rows = space.canonical(rows)
    assert [len(space.dropped(row)) for row in rows] == [1 - i % 2 for i in range(count)]
    return rows


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_a_plan_is_delivered_alike_whatever_was_delivered_before(name: str) -> None:
    prepared = PREPARED(name)
    one = evaluator_of(prepared)
    rows = rows_of(one.space, 4)
    first = [one.delivered(row).module.state_dict() for row in rows]
    again = [evaluator_of(prepared).delivered(row).module.state_dict() for row in rows[::-1]][::-1]
    for ours, theirs in zip(first, again, strict=True):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_masks_and_weights_of_a_short_network_agree(name: str) -> None:
    evaluator = evaluator_of(PREPARED(name))
    for row in rows_of(evaluator.space, 4):
        delivered = evaluator.delivered(row)
        state = delivered.module.state_dict()
        for key, stored in delivered.stored.items():
            assert stored.mask is None or torch.equal(state[key] != 0, stored.mask)


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_where_no_block_goes_depth_changes_nothing(name: str) -> None:
    prepared = PREPARED(name)
    plain = prepared.evaluator(prepared.space("channels", "weights"))
    deep = evaluator_of(prepared)
    for row in plain.space.canonical(random_rows(plain.space, 3)):
        levels = dict(zip(((c.kind, c.name) for c in plain.space.choices), row, strict=True))
        same = [levels.get((c.kind, c.name), c.full) for c in deep.space.choices]
        ours, theirs = (each.delivered(plan).module.state_dict() for each, plan in ((plain, row), (deep, same)))
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
