"""Latency of plans that drop blocks: what stands in a dropped block counts for nothing, and nothing falls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rlprune.choices.scope import Scope
from rlprune.choices.space import Space
from rlprune.costs import LatencyCost
from rlprune.devices import DeviceProfile
from rlprune.devices.meters import PowerModel
from rlprune.devices.profiles.int8.model import KindInInt8
from rlprune.devices.profiles.mixed import NO_MIXES
from rlprune.devices.profiling.measuring import Effort
from rlprune.devices.profiling.profiler import build_profile
from rlprune.networks.network import Network
from rlprune.zoo import resolve_network
from tests.experiments.conftest import InventedRuntime


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(resolve_network("digits-resnet").model, torch.zeros(1, 1, 8, 8), multiple=8)


@pytest.fixture(scope="module")
def profile(network: Network) -> DeviceProfile:
    return build_profile(network, InventedRuntime(), PowerModel(5.0), Effort(plans=24, checks=4, samples=10))


def mixed_costs(network: Network, profile: DeviceProfile) -> tuple[Space, LatencyCost]:
    offered = Space(network, Scope(("channels", "depth", "bits")))
    layers = tuple(choice.name for choice in offered.choices if choice.kind == "bits")
    kinds = {layer.kind: KindInInt8(0.4, 0.0, 1e-4) for layer in network.layers if layer.name in layers}
    shares = dict.fromkeys(offered.blocks.names, 0.5)
    profile = replace(profile, mixed=replace(NO_MIXES, shares=shares, layers=layers, kinds=kinds))
    space = profile.restrict(offered)
    return space, LatencyCost(space, profile)


def test_levels_inside_a_dropped_block_change_nothing(network: Network, profile: DeviceProfile) -> None:
    space, cost = mixed_costs(network, profile)
    random = np.random.default_rng(0)
    rows = np.array([[random.choice(choice.levels) for choice in space.choices] for _ in range(200)])
    for place, choice in enumerate(space.choices):
        rows[:100, place] = 8 if choice.kind == "bits" else rows[:100, place]
    assert (space.canonical(rows) != rows).any()
    np.testing.assert_allclose(cost(space.canonical(rows)), cost(rows), rtol=1e-12)


def test_latency_never_falls_when_a_level_rises(network: Network, profile: DeviceProfile) -> None:
    space, cost = mixed_costs(network, profile)
    random = np.random.default_rng(1)
    computed, bits = 0, [place for place, choice in enumerate(space.choices) if choice.kind == "bits"]
    for _ in range(200):
        row = np.array([random.choice(choice.levels) for choice in space.choices])
        row[bits] = np.where(random.random(len(bits)) < 0.95, 8, row[bits])
        place = int(random.integers(len(row)))
        rows = np.tile(row, (len(space.choices[place].levels), 1))
        rows[:, place] = space.choices[place].levels
        computed += space.in_int8(rows).any()
        assert (np.diff(cost(rows)) >= -1e-12).all(), (space.choices[place], cost(rows))
    assert computed
