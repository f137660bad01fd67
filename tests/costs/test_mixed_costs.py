"""Costs of plans that mix decisions of all kinds: never fall when a level rises, and equal what is delivered."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.choices.scope import Scope
from rlprune.choices.space import Space
from rlprune.costs import CostModel, EnergyCost, LatencyCost, MacsCost, ParamsCost, SizeCost, TailCost, WeightsCost
from rlprune.delivery.delivered import Delivered
from rlprune.devices.meters import PowerModel
from rlprune.devices.profiles.int8.model import KindInInt8
from rlprune.devices.profiles.mixed import NO_MIXES
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.profiling.measuring import Effort
from rlprune.devices.profiling.profiler import build_profile
from rlprune.networks.network import Network
from rlprune.pruning.quantization import int8_layers
from tests.experiments.conftest import InventedRuntime
from tests.mixed import NETWORKS, RULES, WITH_BLOCKS, Prepared, prepare, random_rows
from tests.models import build, images

PREPARED = functools.cache(prepare)


@pytest.fixture(params=NETWORKS)
def prepared(request: pytest.FixtureRequest) -> Prepared:
    return PREPARED(request.param)


@functools.cache
def invented_profile(name: str) -> DeviceProfile:
    """A profile of an invented device: a block takes part of its time along, and int8 saves more in wide networks."""
    network, blocks = PREPARED(name).network, PREPARED(name).space("depth").blocks.names
    effort = Effort(plans=24, checks=4, samples=10)
    profile = build_profile(network, InventedRuntime(), PowerModel(5.0), effort)
    shares = dict(zip(blocks, np.linspace(0.9, 0.5, len(blocks)), strict=True))
    kinds = {"conv": KindInInt8(0.4, 1e-7, 5e-4), "linear": KindInInt8(0.5, 1e-7, 1e-3)}
    mixed = replace(NO_MIXES, shares=shares, layers=int8_layers(network), kinds=kinds, layer_ms=1e-4)
    return replace(profile, mixed=mixed)


def counts_of(space: Space) -> Iterator[CostModel]:
    for cost in (MacsCost, ParamsCost, WeightsCost, SizeCost):
        yield cost(space)


def rising_pairs(space: Space, count: int) -> tuple[IntArray, IntArray]:
    """Random plans, and each of them with one level higher by one step; ``[N, K]`` both."""
    low, high = [], []
    for row in random_rows(space, count, seed=5):
        for place, choice in enumerate(space.choices):
            step = choice.levels.index(int(row[place])) + 1
            if step < len(choice.levels):
                higher = row.copy()
                higher[place] = choice.levels[step]
                low.append(row)
                high.append(higher)
    return np.stack(low), np.stack(high)


def assert_never_falls(cost: CostModel, space: Space) -> None:
    low, high = rising_pairs(space, 60)
    before, after = cost(low), cost(high)
    worst = int(np.argmax(before - after))
    changed = int(np.flatnonzero(low[worst] != high[worst])[0])
    told = f"{cost.metric} {before[worst]} -> {after[worst]}: {space.choices[changed]} to {high[worst][changed]}"
    assert (after >= before * (1 - 1e-12)).all(), told


@pytest.mark.parametrize("rule", RULES)
def test_counts_never_fall_when_a_level_rises(prepared: Prepared, rule: str) -> None:
    space = prepared.space(rule=RULES[rule])
    for cost in counts_of(space):
        assert_never_falls(cost, space)


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_promises_never_fall_when_a_level_rises(name: str) -> None:
    profile = invented_profile(name)
    space = profile.restrict(PREPARED(name).space())
    computed = space.in_int8(random_rows(space, 60)).any(axis=1)
    assert computed.any()
    assert not computed.all()
    for cost in (LatencyCost(space, profile), EnergyCost(space, profile), TailCost(space, profile, "p99")):
        assert_never_falls(cost, space)


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_a_profile_promises_the_same_of_channels_whatever_else_may_be_decided(name: str) -> None:
    profile = invented_profile(name)
    mixed, alone = (profile.restrict(PREPARED(name).space(*kinds)) for kinds in ((), ("channels",)))
    rows = random_rows(mixed, 40)
    others = [place for place, choice in enumerate(mixed.choices) if choice.kind != "channels"]
    rows[:, others] = mixed.full[others]
    np.testing.assert_allclose(LatencyCost(mixed, profile)(rows), LatencyCost(alone, profile)(mixed.widths(rows)))


def test_latency_does_not_fall_at_the_width_from_which_int8_pays() -> None:
    network = Network(build("residual"), images(1), multiple=1)
    measured = build_profile(network, InventedRuntime(), PowerModel(5.0), Effort(plans=24, checks=4, samples=10))
    kinds = {"conv": KindInInt8(0.4, 1e-7, 3e-3)}
    profile = replace(measured, mixed=replace(NO_MIXES, layers=int8_layers(network), kinds=kinds))
    space = profile.restrict(Space(network, Scope(("channels", "bits"), bits=(8, 32))))
    low, high = rising_pairs(space, 90)
    pays = [space.in_int8(rows).any(axis=1) for rows in (low, high)]
    assert (~pays[0] & pays[1]).any()
    assert_never_falls(LatencyCost(space, profile), space)


def counted_macs(module: nn.Module, network: Network) -> int:
    """Multiply-adds of the products that weights take part in, counted while the module runs."""
    total = 0

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        per_output = weight[0].numel() if not isinstance(layer, nn.ConvTranspose2d) else weight[:, 0, 0, 0].numel()
        total += output.numel() * per_output

    kinds = nn.Conv2d | nn.Linear | nn.ConvTranspose2d
    hooks = [each.register_forward_hook(count) for each in module.modules() if isinstance(each, kinds)]
    with torch.no_grad():
        module.eval()(*network.example_inputs)
    for hook in hooks:
        hook.remove()
    return total


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "transformer"])
def test_macs_are_those_of_the_delivered_network(name: str) -> None:
    prepared = PREPARED(name)
    space = prepared.space()
    evaluator, cost = prepared.evaluator(space), MacsCost(space)
    for row in random_rows(space, 6):
        assert cost(row[None])[0] == counted_macs(evaluator.repaired(row), prepared.network)


def test_params_are_those_of_the_delivered_network(prepared: Prepared) -> None:
    space = prepared.space()
    evaluator, cost = prepared.evaluator(space), ParamsCost(space)
    for row in random_rows(space, 6):
        assert cost(row[None])[0] == sum(parameter.numel() for parameter in evaluator.repaired(row).parameters())


def remaining_entries(delivered: Delivered, network: Network) -> int:
    """Entries of the weights of layers that are left and that no mask removed."""
    state, total = delivered.module.state_dict(), 0
    for key in {layer.weight for layer in network.layers} & set(state):
        stored = delivered.stored.get(key)
        total += state[key].numel() if stored is None or stored.mask is None else int(stored.mask.sum())
    return total


@pytest.mark.parametrize("rule", RULES)
def test_weights_are_the_entries_that_remain(prepared: Prepared, rule: str) -> None:
    space = prepared.space(rule=RULES[rule])
    evaluator, cost = prepared.evaluator(space), WeightsCost(space)
    for row in random_rows(space, 6):
        assert cost(row[None])[0] == remaining_entries(evaluator.delivered(row), prepared.network)


def test_what_does_not_remain_is_zero(prepared: Prepared) -> None:
    space = prepared.space("channels", "weights")
    evaluator, cost = prepared.evaluator(space), WeightsCost(space)
    keys = {layer.weight for layer in prepared.network.layers if layer.weight}
    for row in random_rows(space, 4):
        state = evaluator.repaired(row).state_dict()
        assert cost(row[None])[0] == sum(int(state[key].count_nonzero()) for key in keys)


def data_bytes(content: bytes) -> int:
    """Bytes of a safetensors file behind its header."""
    length = int.from_bytes(content[:8], "little")
    assert isinstance(json.loads(content[8 : 8 + length]), dict)
    return len(content) - 8 - length


@pytest.mark.parametrize("rule", RULES)
def test_size_is_that_of_the_compact_file(prepared: Prepared, rule: str) -> None:
    space = prepared.space(rule=RULES[rule])
    evaluator, cost = prepared.evaluator(space), SizeCost(space)
    for row in random_rows(space, 6):
        content = evaluator.delivered(row).compact()
        assert content is not None
        assert cost(row[None])[0] == data_bytes(content)


def test_the_full_row_costs_what_the_dense_network_does(prepared: Prepared) -> None:
    space, network = prepared.space(), prepared.network
    state = network.model.state_dict()
    macs, params, weights, size = (cost(space.full[None])[0] for cost in counts_of(space))
    assert (macs, params) == (network.macs(network.dense_widths)[0], network.params(network.dense_widths)[0])
    assert weights == sum(state[key].numel() for key in {layer.weight for layer in network.layers if layer.weight})
    assert size == sum(tensor.numel() * tensor.element_size() for tensor in state.values())
