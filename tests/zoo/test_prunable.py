"""Every layer of the zoo but the outputs can lose channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlprune.networks.network import Network
from rlprune.networks.surgery import leading_channels, prune
from rlprune.zoo import ZOO
from rlprune.zoo.train import count_macs

GROUPS = {"digits-resnet": 6, "fashion-dense": 1, "fashion-resnet20": 12, "fashion-vgg": 9, "fashion-mobilenet": 12}


@pytest.mark.parametrize("name", sorted(ZOO))
def test_all_but_the_outputs_are_in_groups(name: str) -> None:
    network = Network(ZOO[name].build(), ZOO[name].example_inputs())
    assert len(network.groups) == GROUPS[name]
    assert [layer.split(".")[0] for layer in network.left_whole] == ["3" if name == "fashion-dense" else "classifier"]


@pytest.mark.parametrize("name", sorted(ZOO))
def test_the_narrowest_network_runs_and_counts_as_predicted(name: str) -> None:
    entry = ZOO[name]
    network = Network(entry.build(), entry.example_inputs())
    narrowest = np.array([group.widths[0] for group in network.groups])
    model = prune(network, leading_channels(network, narrowest))
    with torch.inference_mode():
        assert model(torch.zeros(2, *entry.input_shape)).shape == (2, 10)
    assert count_macs(model, entry.example_inputs()[0]) == network.macs(narrowest[None])[0]
    assert sum(parameter.numel() for parameter in model.parameters()) == network.params(narrowest[None])[0]
    assert network.params(narrowest[None])[0] < 0.3 * network.params(network.dense_widths[None])[0]
