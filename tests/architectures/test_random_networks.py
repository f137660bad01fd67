"""Random compositions of the patterns against the same proofs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings

from rlprune.networks.network import Network
from tests.architectures import checks, expectations, planting
from tests.architectures.examples import normal
from tests.architectures.random_networks import RandomNetwork, Step, random_networks, seeded

HEAD_AS_WIDE_AS_STEM = [Step("attention", 16, "none", False)]
"""Each head has as many features as the layer before has channels; its size stands in an attribute."""

HIDDEN_BY_ZEROS = [Step("conv", 8, "group", True), Step("attention", 16, "none", False)]
HIDDEN_BY_POOLING = [
    Step("attention", 16, "single", True), Step("residual", 8, "none", False), Step("depthwise", 16, "instance", False),
    Step("depthwise", 16, "group", True),
]  # fmt: skip
HIDDEN_BY_DEPTH = [
    Step("residual", 12, "batch", False), Step("attention", 8, "group", False), Step("shuffled", 8, "batch", False),
    Step("resized", 16, "none", True),
]  # fmt: skip
"""Networks whose outputs once told too little about a wrong size of a head."""


def network_of(model: RandomNetwork) -> Network:
    return Network(checks.as_trained(model), normal(2, 2, 8, 8), multiple=1)


@pytest.mark.slow
@given(random_networks())
@example(seeded(HEAD_AS_WIDE_AS_STEM, flatten=True))
@example(seeded(HIDDEN_BY_ZEROS, flatten=True))
@example(seeded(HIDDEN_BY_POOLING, flatten=False))
@example(seeded(HIDDEN_BY_DEPTH, flatten=True))
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_proof_holds_for_random_networks(model: RandomNetwork) -> None:
    network = network_of(model)
    expectations.check_every_layer_is_explained(network)
    expectations.check_groups_are_consistent(network)
    checks.check_running(network)
    checks.check_attributes(network)
    checks.check_training(network)
    checks.check_params(network)
    checks.check_macs(network)
    checks.check_storing(network)
    checks.check_keeping_all(network)
    checks.check_permutation(network)
    planting.check_dead_channels(network)


def test_weights_of_zero_hide_no_mistake() -> None:
    """A branch that starts at zero, as many do, says nothing about how its layers were cut."""
    model = seeded(HEAD_AS_WIDE_AS_STEM, flatten=True)
    with torch.no_grad():
        model.blocks[0].out.weight.zero_()
    network = network_of(model)
    network.model.blocks[0].out.weight.copy_(normal(*model.blocks[0].out.weight.shape))
    checks.check_running(network)
    planting.check_dead_channels(network)
