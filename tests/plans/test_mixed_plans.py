"""Plans of all kinds of decisions: their files, what contradicts itself, and what they do to a network."""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.choices.space import Space
from rlprune.delivery.compact.file import load_compact
from rlprune.errors import PlanError
from rlprune.networks.network import Network
from rlprune.plans.decision import Decision
from rlprune.plans.plan import PruningPlan
from rlprune.pruning.codes import largest_code
from tests.mixed import RULES, WITH_BLOCKS, Prepared, prepare, random_rows, row_of

PREPARED = functools.cache(prepare)


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return PREPARED("residual")


@pytest.fixture
def network(prepared: Prepared) -> Network:
    return prepared.network


def stated_levels(space: Space, row: IntArray) -> dict[tuple[str, str], int]:
    """Levels that are not full, by kind and name."""
    return {(c.kind, c.name): int(level) for c, level in zip(space.choices, row, strict=True) if level != c.full}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_a_row_survives_its_file(name: str, rule: str, tmp_path: Path) -> None:
    space = PREPARED(name).space(rule=RULES[rule])
    for row in random_rows(space, 8):
        plan = PruningPlan.from_levels(space, row, notes={"score": 0.5})
        again = PruningPlan.load(plan.save(tmp_path / "plan.json"))
        assert again == plan
        wanted = space.canonical(row[None])[0]
        np.testing.assert_array_equal(again.levels(space), wanted)
        assert again.exact_levels(space) == wanted.tolist()
        own = again.space(space.network)
        assert stated_levels(own, again.levels(own)) == stated_levels(space, wanted)
        assert own.decisions.rule == space.decisions.rule


def test_layers_in_int8_survive_the_file(prepared: Prepared, network: Network, tmp_path: Path) -> None:
    layers = ("block1.conv1", "block2.conv1")
    space = prepared.space(int8=layers)
    row = row_of(space, {"bits:block1.conv1": 8, "bits:block2.conv1": 4})
    plan = PruningPlan.load(PruningPlan.from_levels(space, row).save(tmp_path / "plan.json"))
    assert [name for name, decision in plan.decisions.items() if decision.activations == 8] == list(layers)
    own = plan.space(network)
    assert own.computed_in_int8(plan.levels(own)) == layers


def test_the_file_says_what_is_decided_in_forward_order(prepared: Prepared, tmp_path: Path) -> None:
    space = prepared.space(rule=RULES["2:4 means"])
    row = row_of(space, {"bits:head": 8, "depth:block1": 0, "channels:stem": 4, "weights:block2.conv1": 50})
    data = json.loads(PruningPlan.from_levels(space, row).save(tmp_path / "plan.json").read_text())
    assert data["schema"] == "rlprune-plan/2"
    assert data["rules"] == {"pattern": "2:4", "replacement": "mean"}
    assert list(data["decisions"].items()) == [
        ("stem", {"keep_ratio": 0.5}),
        ("block1", {"drop": True}),
        ("block1.conv1", {"keep_ratio": 1.0}),
        ("block2.conv1", {"keep_ratio": 1.0, "density": 0.5}),
        ("block2.conv2", {"keep_ratio": 1.0}),
        ("head", {"bits": 8}),
    ]


def test_a_plan_of_channels_in_the_first_schema_is_read(network: Network, tmp_path: Path) -> None:
    plan = PruningPlan.from_widths(network, [4, 8, 8, 16])
    data = json.loads(plan.save(tmp_path / "plan.json").read_text())
    del data["rules"]
    (tmp_path / "plan.json").write_text(json.dumps(data | {"schema": "rlprune-plan/1"}))
    assert PruningPlan.load(tmp_path / "plan.json") == plan
    assert plan.kinds == ("channels",)


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        ({"density": 0}, "to keep nothing, drop the block"),
        ({"density": math.nan}, r"in \(0, 1\]"),
        ({"density": True}, r"in \(0, 1\]"),
        ({"density": 0.333}, "whole percent"),
        ({"bits": 5}, "4, 8, 16 or 32; 5 came"),
        ({"bits": True}, "4, 8, 16 or 32"),
        ({"bits": "8"}, "4, 8, 16 or 32; '8' came"),
        ({"activations": 8}, "activations 8 came with bits None"),
        ({"activations": 8, "bits": 16}, "activations 8 came with bits 16"),
        ({"activations": 4, "bits": 4}, "activations must be 8"),
        ({"drop": 1}, "true or false"),
        ({"drop": True, "density": 0.5}, "dropped cannot be pruned"),
        ({"drop": True, "bits": 8}, "dropped cannot be pruned"),
        ({"drop": True, "keep_ratio": 0.5}, "dropped cannot be pruned"),
    ],
)
def test_decisions_that_make_no_sense_are_refused(decision: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Decision(**decision)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decisions": {"stem": {"keepratio": 0.5}}}, "Did you mean 'keep_ratio'"),
        ({"decisions": {"stem": {"keep_ratio": 0.5, "bits": None}}}, "bits must have a value; null came"),
        ({"decisions": {"stem": []}}, "must be an object"),
        ({"decisions": {"stem": {"drop": False}}}, None),
        ({"rules": {"patern": "2:4"}}, "'rules' may hold 'pattern' and 'replacement'"),
        ({"rules": {"pattern": "2"}}, "must be N:M"),
        ({"rules": {"pattern": 2}}, "must be N:M"),
        ({"rules": {"replacement": "noise"}}, "'zero' or their 'mean'; 'noise' came"),
        ({"rules": []}, "'rules' may hold"),
    ],
)
def test_files_that_make_no_sense_are_refused(changes: dict[str, Any], message: str | None, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"schema": "rlprune-plan/2", "fingerprint": "f", "decisions": {}} | changes))
    if message is None:
        assert PruningPlan.load(path).decisions == {"stem": Decision()}
        return
    with pytest.raises(PlanError, match=message) as found:
        PruningPlan.load(path)
    assert "plan.json" in str(found.value)


def with_decisions(network: Network, rule: str = "zeros", **decisions: Decision) -> PruningPlan:
    """Every group whole, but for what is said; ``__`` stands for a point."""
    said = {name.replace("__", "."): decision for name, decision in decisions.items()}
    groups = {group.name: Decision(1.0) for group in network.groups}
    return PruningPlan(network.fingerprint, groups | said, rule=RULES[rule])


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        ({"block2": Decision(drop=True)}, "Unknown block to drop 'block2'. Did you mean 'block1'|block"),
        ({"block2__conv2": Decision(1.0, drop=True)}, "'block2.conv2' is none: its input and its output are different"),
        ({"heat": Decision(density=0.5)}, "Unknown layer to prune 'heat'. Did you mean 'head'"),
        ({"heat": Decision(bits=8)}, "Unknown layer to quantise 'heat'. Did you mean 'head'"),
        ({"block1__bn1": Decision(bits=8)}, "Unknown layer to quantise 'block1.bn1'"),
        (
            {"block1": Decision(drop=True), "block1__conv2": Decision(density=0.5)},
            "block1 is dropped, so nothing can happen to block1.conv2",
        ),
        (
            {"block1": Decision(drop=True), "block1__conv1": Decision(0.5)},
            "block1 is dropped, so nothing can happen to block1.conv1",
        ),
        (
            {"block1": Decision(drop=True), "block1__conv1": Decision(1.0, bits=8)},
            "block1 is dropped, so nothing can happen to block1.conv1",
        ),
    ],
)
def test_contradictions_are_named(network: Network, decisions: dict[str, Decision], message: str) -> None:
    plan = with_decisions(network, **decisions)
    for use in (plan.space, plan.apply):
        with pytest.raises(PlanError, match=message):
            use(network)


def test_nothing_can_be_dropped_where_there_are_no_blocks() -> None:
    network = PREPARED("concat").network
    with pytest.raises(PlanError, match="nothing of the kind 'depth'"):
        with_decisions(network, left=Decision(1.0), mix2=Decision(drop=True)).space(network)


def test_a_density_must_be_what_the_pattern_leaves(network: Network) -> None:
    plan = with_decisions(network, "2:4", head=Decision(density=0.25))
    for use in (plan.space, plan.apply):
        with pytest.raises(PlanError, match=r"With the pattern 2:4 a density is 0.5 or 1; 0.25 came for head"):
            use(network)


def test_int8_needs_data(network: Network) -> None:
    plan = with_decisions(network, head=Decision(bits=8, activations=8))
    with pytest.raises(PlanError, match=r"calibration data; the plan has 1, such as head.*rlprune apply"):
        plan.apply(network)


@pytest.mark.parametrize("rule", ["zeros", "2:4"])
def test_a_plan_may_say_that_all_remains(network: Network, rule: str) -> None:
    plan = with_decisions(network, rule, **{"block1.conv1": Decision(keep_ratio=1.0, density=1.0, bits=32)})
    space = plan.space(network)
    assert not stated_levels(space, plan.levels(space))
    for key, tensor in plan.apply(network).state_dict().items():
        torch.testing.assert_close(tensor, network.model.state_dict()[key], rtol=0, atol=0)


def test_the_full_row_applies_to_the_network_itself(prepared: Prepared, network: Network) -> None:
    space = prepared.space()
    state = PruningPlan.from_levels(space, space.full).apply(network).state_dict()
    assert state.keys() == network.model.state_dict().keys()
    assert all(tensor.equal(network.model.state_dict()[key]) for key, tensor in state.items())


def values_of_a_channel(weight: torch.Tensor) -> int:
    """Most different values of a channel, signs and zero apart."""
    return max(len(channel.abs().unique()) for channel in weight.flatten(1))


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_an_applied_plan_does_what_it_says(name: str) -> None:
    prepared = PREPARED(name)
    space, network = prepared.space(), prepared.network
    for row in random_rows(space, 6):
        row = space.canonical(row[None])[0]
        module = PruningPlan.from_levels(space, row).apply(network)
        assert sum(parameter.numel() for parameter in module.parameters()) == space.params(row[None])[0]
        with torch.no_grad():
            assert torch.isfinite(module(*network.example_inputs)).all()
        density, bits, present = (found(row[None])[0] for found in (space.density, space.bits, space.present))
        for index, layer in enumerate(network.layers):
            if layer.weight is None or not present[index]:
                continue
            weight = module.state_dict()[layer.weight]
            most = max(round(weight.numel() * density[index]), 1)
            remaining = int(weight.count_nonzero())
            assert remaining == most if bits[index] == 32 else remaining <= most
            if bits[index] == 4:
                assert values_of_a_channel(weight) <= largest_code(4) + 1


@pytest.mark.parametrize("rule", RULES)
def test_a_plan_applied_without_data_has_its_compact_file(rule: str, tmp_path: Path) -> None:
    space = PREPARED("residual").space(rule=RULES[rule])
    for row in random_rows(space, 4):
        delivered = PruningPlan.from_levels(space, row).cut(space.network)
        file, state = tmp_path / "compact.safetensors", delivered.module.state_dict()
        file.write_bytes(delivered.compact() or b"")
        read = load_compact(file)
        assert read.keys() == state.keys()
        for key, tensor in state.items():
            torch.testing.assert_close(read[key], tensor, rtol=0, atol=0)
        bits = space.bits(row[None])[0]
        few = {layer.name for layer, b in zip(space.network.layers, bits, strict=True) if b < 32}
        present = space.present(row[None])[0]
        left = {layer.name for layer, there in zip(space.network.layers, present, strict=True) if there}
        assert delivered.narrow.keys() == few & left


def test_dropped_blocks_are_gone(prepared: Prepared, network: Network) -> None:
    space = prepared.space("depth")
    module = PruningPlan.from_levels(space, [0]).apply(network)
    assert not any(key.startswith("block1.") for key in module.state_dict())

    class Without(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            model: Any = network.model
            out: torch.Tensor = model.head(model.block2(torch.relu(model.stem(x))).mean((2, 3)))
            return out

    with torch.no_grad():
        torch.testing.assert_close(module(*network.example_inputs), Without()(*network.example_inputs))


@pytest.mark.parametrize("rule", ["2:4", "2:4 means", "means"])
def test_rules_are_followed(rule: str, prepared: Prepared, network: Network) -> None:
    space = prepared.space("weights", rule=RULES[rule])
    row = row_of(space, {"weights:block2.conv2": 50})
    dense = network.model.get_parameter("block2.conv2.weight").detach()
    weight = PruningPlan.from_levels(space, row).apply(network).get_parameter("block2.conv2.weight").detach()
    kept = weight == dense
    assert int(kept.sum()) == dense.numel() // 2
    if "2:4" in rule:
        assert (kept.unflatten(1, (4, 4)).sum(2) == 2).all()
    filled = weight[~kept]
    if "mean" in rule:
        torch.testing.assert_close(filled, dense[~kept].mean().expand_as(filled))
    else:
        assert not filled.any()
