"""Networks with channels in unusual places go through tables, evaluator, costs, plans and delivery, all kinds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from rlprune.choices.choice import KINDS
from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.costs import MacsCost, ParamsCost, SizeCost
from rlprune.delivery.compact.file import data_bytes, load_compact, save_compact
from rlprune.delivery.delivered import Delivered
from rlprune.devices.profiles.predictor import LayerFeatures
from rlprune.evaluation.evaluator import Evaluator
from rlprune.networks.network import Network
from rlprune.plans.plan import PruningPlan
from rlprune.pruning.tables import PruningTables
from rlprune.tasks.base import Task
from rlprune.tasks.split import Split
from tests.architectures import checks
from tests.architectures.examples import normal


class Added(nn.Module):
    """What its parts answer, added to what they are given: a block that can be dropped."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.Sequential(*parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.parts(x)


class Positions(nn.Module):
    """Adds a table of positions that is a buffer."""

    def __init__(self, persistent: bool) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 32)
        self.register_buffer("table", torch.randn(1, 12, 32), persistent=persistent)
        self.block = Added(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32))
        self.head = nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.block(self.embed(x) + self.table[:, : x.shape[1]]).mean(1))


class Projected(nn.Module):
    """Its first weight is a buffer, and so is what its last hidden layer is multiplied with."""

    def __init__(self, persistent: bool) -> None:
        super().__init__()
        self.register_buffer("projection", torch.randn(32, 8), persistent=persistent)
        self.register_buffer("reading", torch.randn(16, 32) / 6, persistent=persistent)
        self.block = Added(nn.Linear(32, 32))
        self.head = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.block(torch.cos(functional.linear(x, self.projection)))
        return self.head(torch.relu(functional.linear(x, self.reading)))


class Blurred(nn.Module):
    """Blurs with a kernel that is a buffer."""

    def __init__(self, persistent: bool) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 32, 3, padding=1), nn.Linear(32, 4)
        side = torch.tensor([1.0, 2.0, 1.0])
        self.register_buffer("kernel", (side[:, None] * side).repeat(32, 1, 1, 1) / 16, persistent=persistent)
        self.block = Added(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.conv2d(torch.relu(self.first(x)), self.kernel, stride=2, padding=1, groups=len(self.kernel))
        return self.head(self.block(x).mean((2, 3)))


class Mixer(nn.Module):
    """Mixes tokens: a product that is repeated over the channels of the first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 32, 4, 4), nn.LayerNorm(32)
        self.tokens = nn.Sequential(nn.Linear(4, 24), nn.GELU(), nn.Linear(24, 4))
        self.channels = Added(nn.LayerNorm(32), nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))
        self.head = nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(self.norm(x).transpose(1, 2)).transpose(1, 2)
        return self.head(self.channels(x).mean(1))


class Adapted(nn.Module):
    """A linear layer to whose weight a product of two smaller matrices is added, as LoRA does."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / 5)
        self.down, self.up = nn.Parameter(torch.randn(4, inputs) / 5), nn.Parameter(torch.randn(outputs, 4) / 5)
        self.bias = nn.Parameter(torch.randn(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.weight + self.up @ self.down, self.bias)


def adapted() -> nn.Module:
    block = Added(nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, 32))
    return nn.Sequential(Adapted(8, 32), nn.ReLU(), Adapted(32, 32), nn.ReLU(), block, nn.Linear(32, 4))


IMAGE, ROWS, TOKENS = (3, 8, 8), (8,), (12, 8)
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "table of positions, stored": (lambda: Positions(True), TOKENS),
    "table of positions": (lambda: Positions(False), TOKENS),
    "weights in buffers, stored": (lambda: Projected(True), ROWS),
    "weights in buffers": (lambda: Projected(False), ROWS),
    "blur kernel, stored": (lambda: Blurred(True), IMAGE),
    "blur kernel": (lambda: Blurred(False), IMAGE),
    "token mixing": (Mixer, IMAGE),
    "merged adapter": (adapted, ROWS),
}


@pytest.mark.parametrize(("make", "shape"), NETWORKS.values(), ids=NETWORKS)
def test_everything_works(make: Callable[[], nn.Module], shape: tuple[int, ...], tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().eval()
    inputs = normal(64, *shape)
    with torch.no_grad():
        split = Split(inputs, model(inputs).argmax(1))
    task = Task("toy", calibration=split, validation=split, test=split, classes=4)
    network = Network(model, inputs[:1])
    space = Space(network, Decisions(KINDS))
    evaluator = Evaluator(PruningTables(network, split), task, space=space)
    assert evaluator(space.full).score == 1
    fewest = np.array([choice.levels[0] for choice in space.choices], dtype=np.int64)
    kept = np.where([choice.kind == "depth" for choice in space.choices], 1, fewest)
    for row in space.canonical(np.stack([space.full, fewest, kept])):
        assert np.isfinite(evaluator(row).divergence)
        plan = PruningPlan.from_levels(space, row)
        for delivered in (evaluator.delivered(row), plan.cut(network)):
            check_delivered(delivered, plan, space, tmp_path / "network.safetensors", inputs[:8])
    assert evaluator.delivered(kept).onnx(inputs[:1], split)


def check_delivered(delivered: Delivered, plan: PruningPlan, space: Space, path: Path, inputs: torch.Tensor) -> None:
    """It costs what was predicted, and the file tells all of its tensors."""
    row = plan.levels(space)
    module, state = delivered.module.eval(), delivered.module.state_dict()
    assert ParamsCost(space)(row[None])[0] == sum(parameter.numel() for parameter in module.parameters())
    save_compact(path, state, delivered.stored)
    assert SizeCost(space)(row[None])[0] == data_bytes(path.read_bytes())
    assert MacsCost(space)(row[None])[0] > 0
    other = plan.apply(space.network).eval()
    other.load_state_dict(load_compact(path))
    with torch.no_grad():
        assert torch.equal(other(inputs), module(inputs))


def test_a_vector_is_no_bias_because_of_its_length() -> None:
    """What ``down`` of the second layer answers is as long as the bias, and consists of the layer's inputs."""
    network = Network(nn.Sequential(nn.Linear(8, 32), nn.ReLU(), Adapted(32, 32), nn.Linear(32, 4)), normal(1, *ROWS))
    (group,) = network.groups
    assert {member.layer for member in group.members} == {"0", "2", "2.weight", "2:product"}


def test_channels_in_buffers_are_stored() -> None:
    """What a plan leaves of them stands nowhere else; the model that was given stays as it was."""
    model = Positions(persistent=False)
    network = Network(model, normal(1, *TOKENS))
    assert "table" in network.model.state_dict()
    assert "table" not in model.state_dict()
    assert "table" not in Network(model, normal(1, *TOKENS), ignore=["embed"]).model.state_dict()


def test_latency_features_of_mixed_tokens_follow_the_channels_they_are_repeated_over() -> None:
    network = Network(Mixer(), normal(1, *IMAGE))
    features = LayerFeatures(network, 1)
    layer = [layer.name for layer in features.layers].index("tokens.0")
    widths = np.stack([network.dense_widths, network.dense_widths])
    widths[1, network.group_index("first")] = 8
    macs = network.layer_macs(widths)[:, [layer.name for layer in network.layers].index("tokens.0")]
    assert macs.tolist() == [32 * 4 * 24, 8 * 4 * 24]
    assert features(widths)[:, layer, :3].tolist() == [[32 * 4 * 24, 32 * 24, 32 * 4], [8 * 4 * 24, 8 * 24, 8 * 4]]
    checks.check_macs(network)
