"""Size and remaining weights of any plan equal what the compact file of the delivered network holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load
from torch import nn

from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.costs import SizeCost, WeightsCost
from rlprune.evaluation.evaluator import Evaluator
from rlprune.networks.network import Network
from rlprune.pruning.tables import PruningTables
from rlprune.pruning.weights import WeightRule
from rlprune.tasks import Split, Task


class Tied(nn.Module):
    """A weight of two names, a buffer of float64 that follows a group, and a block."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.up, self.down = nn.Linear(16, 32), nn.Linear(32, 16)
        self.register_buffer("scale", torch.full((32,), 2.0, dtype=torch.float64))
        self.block = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 16))
        self.head = nn.Linear(16, 20, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens)
        x = x + self.down(torch.relu(self.up(x)) * self.scale.float())
        return self.head((x + self.block(x)).mean(1))


def tokens(count: int, seed: int) -> torch.Tensor:
    return torch.randint(0, 20, (count, 5), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def prepared() -> tuple[Network, PruningTables, Task]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Tied().eval()
    with torch.no_grad():
        parts = [Split(x, model(x).argmax(1)) for x in (tokens(64, 1), tokens(32, 2), tokens(32, 3))]
    task = Task("tied", calibration=parts[0], validation=parts[1], test=parts[2], classes=20)
    network = Network(model, tokens(1, 0), multiple=4)
    return network, PruningTables(network, task.calibration), task


@pytest.mark.parametrize("rule", [WeightRule(), WeightRule(replacement="mean"), WeightRule(pattern="2:4")])
def test_costs_are_what_the_file_holds(prepared: tuple[Network, PruningTables, Task], rule: WeightRule) -> None:
    network, tables, task = prepared
    space = Space(network, Decisions(("channels", "weights", "depth", "bits"), bits=(4, 8, 16, 32), rule=rule))
    evaluator, random = Evaluator(tables, task, samples=16, space=space), np.random.default_rng(0)
    rows = np.array([[random.choice(choice.levels) for choice in space.choices] for _ in range(8)])
    sizes, weights = SizeCost(space)(rows), WeightsCost(space)(rows)
    for row, size, count in zip(rows, sizes, weights, strict=True):
        delivered = evaluator.delivered(row)
        content, state = delivered.compact(), delivered.module.state_dict()
        assert content is not None
        assert size == sum(tensor.numel() * tensor.element_size() for tensor in load(content).values())
        keys = [layer.weight for layer in network.layers if layer.weight in state]
        masks = {key: delivered.stored[key].mask if key in delivered.stored else None for key in keys}
        assert count == sum(state[key].numel() if mask is None else int(mask.sum()) for key, mask in masks.items())
