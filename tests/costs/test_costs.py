"""MACs and parameters equal what the physically pruned network has."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.costs import CostModel, MacsCost, ParamsCost
from rlprune.devices.profiling.plans import choose_plans
from rlprune.networks import surgery
from rlprune.networks.network import Network


@pytest.fixture(scope="module")
def network() -> Network:
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU(),
        nn.Conv2d(8, 12, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 3),
    )  # fmt: skip
    return Network(model, torch.randn(1, 1, 6, 6, generator=torch.Generator().manual_seed(0)), multiple=2)


def counted_macs(module: nn.Module, images: torch.Tensor) -> int:
    """Multiply-adds of one forward pass, counted in hooks on the real module."""
    total = 0

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        total += output.numel() * weight[0].numel()

    hooks = [m.register_forward_hook(count) for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        module.eval()(images)
    for hook in hooks:
        hook.remove()
    return total


def test_macs_and_params_of_pruned_networks(network: Network) -> None:
    plans = choose_plans(network, 8, seed=0)
    macs, params = MacsCost(network)(plans), ParamsCost(network)(plans)
    for index, widths in enumerate(plans):
        pruned = surgery.prune(network, surgery.leading_channels(network, widths))
        assert macs[index] == counted_macs(pruned, *network.example_inputs)
        assert params[index] == sum(parameter.numel() for parameter in pruned.parameters())


@pytest.mark.parametrize(("cost", "unit"), [(MacsCost, "macs"), (ParamsCost, "params")])
def test_never_falls_when_a_width_rises(network: Network, cost: type[MacsCost], unit: str) -> None:
    generator = np.random.default_rng(0)
    low = generator.integers(1, network.dense_widths + 1, size=(200, len(network.groups)))
    high = np.minimum(low + generator.integers(0, 4, size=low.shape), network.dense_widths)
    model = cost(network)
    assert isinstance(model, CostModel)
    assert model.unit == unit == model.metric
    assert (model(high) >= model(low)).all()
