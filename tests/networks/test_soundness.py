"""Mistakes that hide: each network here looks as if its groups could be cut, at some widths or for some inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.errors import PlanError
from rlprune.networks import surgery
from rlprune.networks.checking.verification import plan_is_wrong
from rlprune.networks.network import Network
from rlprune.plans.plan import PruningPlan


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


class ShortcutWhereWidthsAgree(nn.Module):
    """Adds the input of a block where shapes agree, which they do not in the dense network."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 64, 3, padding=1)
        self.head = nn.Linear(64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in (self.first, self.second):
            y = torch.relu(layer(x))
            x = y + x if y.shape == x.shape else y
        return self.head(x.mean((2, 3)))


def test_code_that_compares_widths_is_never_delivered_wrong() -> None:
    network = Network(ShortcutWhereWidthsAgree(), noise(2, 3, 8, 8))
    if len(network.groups) == 2:
        equal = np.array([8, 8])
        assert plan_is_wrong(network, equal) is not None
        with pytest.raises(PlanError, match="what is left of the dense one"):
            PruningPlan.from_widths(network, equal).apply(network)
        PruningPlan.from_widths(network, [8, 16]).apply(network)
    assert network.groups


class Blocked(nn.Module):
    """Pads to whole blocks; the block is as long as there are heads."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.block = 4, 4
        self.embed, self.qkv, self.out = nn.Linear(8, 32), nn.Linear(32, 96), nn.Linear(32, 32)
        self.head = nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(nn.functional.pad(x, (0, 0, 0, -x.shape[1] % self.block)))
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.head(self.out(mixed).mean(1))


def test_attributes_that_only_happen_to_have_the_value_stay() -> None:
    network = Network(Blocked(), noise(2, 8, 8), multiple=1)
    heads = next(group for group in network.groups if group.width == 4)
    pruned = surgery.prune(network, {heads.name: torch.tensor([0, 2, 3])})
    assert (pruned.heads, pruned.block) == (3, 4)


class Logarithm(nn.Module):
    """Answers NaN for negative inputs; the number of channels stands in what it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.first(x.log().mean(-1, keepdim=True) + x))
        return self.second(hidden * hidden.shape[1])


def test_nan_is_no_agreement() -> None:
    with pytest.raises(Exception, match="at least one group"):
        Network(Logarithm(), torch.ones(4, 8))


class Gathered(nn.Module):
    """Reads the channels that an input names."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(8, 16), nn.Linear(2, 12), nn.Linear(12, 3)

    def forward(self, x: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.second(torch.relu(self.first(x)).index_select(1, which))))


def test_channels_that_inputs_choose_stay() -> None:
    network = Network(Gathered(), (noise(4, 8), torch.tensor([0, 1])))
    assert [group.name for group in network.groups] == ["second"]
    assert "looks channels up" in network.left_whole["first"]


class Deciding(nn.Module):
    """Takes another way for other values; all of its layers are used both times."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.first(x))
        return self.second(hidden * 2 if x.mean() > 0 else hidden)


def test_networks_that_decide_on_values_say_so() -> None:
    assert Network(Deciding(), noise(4, 8)).decides == ("the network",)
    assert Network(nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 3)), noise(4, 8)).decides == ()


def test_one_module_under_two_names_is_cut_once() -> None:
    shared = nn.Linear(16, 16)
    model = nn.Sequential(nn.Linear(8, 16), shared, nn.ReLU(), shared, nn.Linear(16, 3))
    network = Network(model, noise(4, 8))
    assert [group.name for group in network.groups] == ["0"]
    pruned = surgery.prune(network, {"0": torch.arange(8)})
    assert pruned[1] is pruned[3]
    assert pruned(noise(2, 8)).shape == (2, 3)


def test_the_random_state_of_the_user_stays() -> None:
    class Drawing(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.rand(1)
            return super().forward(x)

    model = nn.Sequential(Drawing(8, 16), nn.Linear(16, 3))
    before = torch.random.get_rng_state()
    Network(model, noise(4, 8))
    assert torch.equal(torch.random.get_rng_state(), before)
