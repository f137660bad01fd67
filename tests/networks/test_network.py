from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch.utils.flop_counter import FlopCounterMode

from rlprune.errors import NetworkError
from rlprune.networks import surgery
from rlprune.networks.checking import verification
from rlprune.networks.groups import allowed_widths
from rlprune.networks.network import Network
from rlprune.zoo import ZOO, load_zoo
from tests.models import MODELS, build, images

NAMES = sorted(MODELS)


@pytest.fixture(params=NAMES)
def network(request: pytest.FixtureRequest) -> Network:
    return Network(build(request.param), images(2))


def random_widths(network: Network, count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.array([[random.choice(group.widths) for group in network.groups] for _ in range(count)])


def measured_macs(model: nn.Module, inputs: torch.Tensor) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(inputs)
    return counter.get_total_flops() / 2


def test_costs_equal_counting_on_the_pruned_module(network: Network) -> None:
    widths = random_widths(network, 6)
    macs, params = network.macs(widths), network.params(widths)
    for row, mac, param in zip(widths, macs, params, strict=True):
        pruned = surgery.prune(network, surgery.leading_channels(network, row)).eval()
        assert mac == measured_macs(pruned, images(1))
        assert param == sum(parameter.numel() for parameter in pruned.parameters())


@pytest.mark.parametrize("name", sorted(ZOO))
def test_costs_of_the_zoo_equal_counting(name: str) -> None:
    entry = ZOO[name]
    inputs = torch.zeros(1, *entry.input_shape)
    network = Network(load_zoo(name), inputs)
    for row in random_widths(network, 3):
        pruned = surgery.prune(network, surgery.leading_channels(network, row)).eval()
        assert network.macs(row)[0] == measured_macs(pruned, inputs)
        assert network.params(row)[0] == sum(parameter.numel() for parameter in pruned.parameters())


def test_costs_never_fall_when_a_width_rises(network: Network) -> None:
    widths = random_widths(network, 20)
    for group in range(len(network.groups)):
        wider = widths.copy()
        wider[:, group] = np.minimum(wider[:, group] + 1, network.dense_widths[group])
        assert (network.macs(wider) >= network.macs(widths)).all()
        assert (network.params(wider) >= network.params(widths)).all()


def test_macs_are_of_one_sample_whatever_the_batch() -> None:
    one, four = Network(build("residual"), images(1)), Network(build("residual"), images(4))
    assert one.macs(one.dense_widths) == four.macs(four.dense_widths)
    assert one.fingerprint == four.fingerprint


def test_groups_of_a_residual_network() -> None:
    network = Network(build("residual"), images(1))
    groups = {group.name: group for group in network.groups}
    assert list(groups) == ["stem", "block1.conv1", "block2.conv1", "block2.conv2"]
    assert groups["stem"].producers == ("stem", "block1.conv2")
    assert set(groups["stem"].consumers) == {"block1.conv1", "block2.conv1", "block2.shortcut"}
    assert groups["block2.conv2"].producers == ("block2.conv2", "block2.shortcut")
    assert "output" in network.left_whole["head"]


def test_depthwise_layers_follow_their_group() -> None:
    network = Network(build("depthwise"), images(1))
    assert network.groups[0].followers == ("depthwise", "norm")
    flattened = next(member for member in network.groups[1].members if member.layer == "hidden")
    assert flattened.slots.shape == (16, 8)


def test_pruning_a_dead_channel_changes_nothing(network: Network) -> None:
    """Plant dead channels, prune exactly them: the outputs must stay. Shapes alone would not show a wrong index."""
    model = copy.deepcopy(network.model)
    modules = dict(model.named_modules())
    generator = torch.Generator().manual_seed(3)
    kept = {}
    for group in network.groups:
        alive = torch.randperm(group.width, generator=generator)[: group.width // 2].sort().values
        kept[group.name] = alive
        dead = torch.ones(group.width, dtype=torch.bool).index_fill_(0, alive, False)
        for member in group.members:
            if member.side == "in":
                weight = modules[member.layer].get_parameter("weight")
                dim = 0 if isinstance(modules[member.layer], nn.ConvTranspose2d) else 1
                with torch.no_grad():
                    weight.index_fill_(dim, member.slots[:, dead].flatten(), 0.0)
    planted = Network(model, images(2))
    pruned = surgery.prune(planted, kept).eval()
    torch.testing.assert_close(pruned(images(8)), model(images(8)), atol=1e-5, rtol=1e-5)


def test_permuting_all_channels_changes_nothing(network: Network) -> None:
    generator = torch.Generator().manual_seed(1)
    order = {group.name: torch.randperm(group.width, generator=generator) for group in network.groups}
    permuted = surgery.prune(network, order).eval()
    torch.testing.assert_close(permuted(images(8)), network.model(images(8)), atol=1e-5, rtol=1e-4)


def test_pruned_networks_train_and_copy(network: Network) -> None:
    pruned = surgery.prune(network, surgery.leading_channels(network, random_widths(network, 1)[0])).train()
    pruned(images(4)).sum().backward()
    assert all(parameter.grad is not None for parameter in pruned.parameters())
    twin = surgery.prune(network, surgery.leading_channels(network, random_widths(network, 1)[0]))
    twin.load_state_dict(pruned.state_dict())
    torch.testing.assert_close(twin.eval()(images(4)), copy.deepcopy(pruned).eval()(images(4)))


def test_the_model_given_is_not_touched() -> None:
    model = build("residual").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    network = Network(model, images(2))
    surgery.prune(network, surgery.leading_channels(network, [2, 2, 4, 4]))
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("width", "multiple", "wanted"),
    [
        (32, 8, (8, 16, 24, 32)),
        (16, 8, (4, 8, 12, 16)),
        (3, 8, (1, 2, 3)),
        (2, 8, (1, 2)),
        (36, 8, (8, 16, 24, 32, 36)),
    ],
)
def test_allowed_widths(width: int, multiple: int, wanted: tuple[int, ...]) -> None:
    assert allowed_widths(width, multiple) == wanted


def test_ignored_layers_stay_whole() -> None:
    network = Network(build("residual"), images(1), ignore=["block2"])
    assert [group.name for group in network.groups] == ["stem", "block1.conv1"]
    assert "ignored" in network.left_whole["block2.conv1"]


def test_restricted_widths_keep_the_identity() -> None:
    network = Network(build("residual"), images(1))
    fewer = network.restricted({"stem": [4]})
    assert fewer.groups[0].widths == (4, 8)
    assert fewer.fingerprint == network.fingerprint
    with pytest.raises(NetworkError, match="between 1 and 8"):
        network.restricted({"stem": [0]})


class Attention(nn.Module):
    """Has a layer of no known kind in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 16)
        self.attend = nn.MultiheadAttention(16, 4, batch_first=True)
        self.hidden = nn.Linear(16, 32)
        self.head = nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x.flatten(1, 2))
        x = self.attend(x, x, x)[0]
        return self.head(torch.relu(self.hidden(x)).mean(1))


def test_heads_are_channels_and_torch_s_own_attention_can_lose_them() -> None:
    network = Network(Attention(), images(2))
    assert {group.name: group.width for group in network.groups} == {
        "embed": 16, "attend": 4, "attend.out_proj": 16, "hidden": 32,
    }  # fmt: skip
    pruned = surgery.prune(network, {"attend": torch.tensor([1])})
    assert pruned.attend.num_heads == 1
    assert pruned.attend.in_proj_weight.shape == (3 * 4, 16)


class Mixing(nn.Module):
    """Mixes channels without parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.softmax(self.first(x), dim=1)
        return self.head(torch.relu(self.second(x)).mean((2, 3)))


def test_a_group_that_an_operation_mixes_is_left_whole() -> None:
    network = Network(Mixing(), images(2))
    assert [group.name for group in network.groups] == ["second"]
    assert "mixes" in network.left_whole["first"]


class FixedShape(nn.Module):
    """A number of channels stands in its code."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.second = nn.Conv2d(16, 8, 1, bias=False)
        self.head = nn.Linear(8, 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x)).reshape(-1, 16, 64).view(-1, 16, 8, 8)
        return self.head(torch.relu(self.second(x)).mean((2, 3)))


def test_a_number_in_the_code_is_found_by_running_the_pruned_network() -> None:
    network = Network(FixedShape(), images(2))
    assert [group.name for group in network.groups] == ["second"]
    assert "fails" in network.left_whole["first"]


@pytest.mark.parametrize("inputs", [images(2), torch.zeros(1, 1, 8, 8)])
def test_wrong_slots_are_found_even_where_zeros_in_give_zeros_everywhere(inputs: torch.Tensor) -> None:
    layers = (nn.Conv2d(1, 8, 3, bias=False), nn.ReLU(), nn.Conv2d(8, 4, 3, bias=False))
    network = Network(nn.Sequential(*layers), inputs)
    (group,) = network.groups
    assert verification.disagreement(network, (group,)) is None
    producer, consumer = group.members
    wrong = replace(group, members=(producer, replace(consumer, slots=consumer.slots.roll(1, 1))))
    network.groups = (wrong,)
    assert verification.disagreement(network, (wrong,)) is not None


def test_macs_of_grouped_convolutions_count() -> None:
    layers = (nn.Conv2d(1, 16, 3), nn.Conv2d(16, 16, 3, groups=4), nn.Conv2d(16, 16, 1), nn.Conv2d(16, 2, 1))
    network = Network(nn.Sequential(*layers), images(2), multiple=1)
    assert [(group.name, group.width, group.unit) for group in network.groups] == [("0", 4, 4), ("2", 16, 1)]
    for row in random_widths(network, 3):
        pruned = surgery.prune(network, surgery.leading_channels(network, row)).eval()
        assert network.macs(row)[0] == measured_macs(pruned, images(1))


class TwoInputs(nn.Module):
    """Joins flattened images and features: each channel of the image takes four places in the join."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Conv2d(1, 16, 3)
        self.features = nn.Linear(4, 24)
        self.join = nn.Linear(16 * 4 + 24, 32)
        self.head = nn.Linear(32, 2)

    def forward(self, image: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        seen = nn.functional.adaptive_avg_pool2d(self.image(image), 2).flatten(1)
        return self.head(torch.relu(self.join(torch.cat([seen, torch.relu(self.features(features))], dim=1))))


def test_every_producer_stands_in_a_group_or_has_a_reason() -> None:
    network = Network(TwoInputs(), (images(2), torch.randn(2, 4)))
    grouped = {name for group in network.groups for name in group.producers}
    assert grouped == {"image", "features", "join"}
    assert set(network.left_whole) == {"head"}


def poisoned() -> nn.Module:
    model = build("residual")
    with torch.no_grad():
        model.get_parameter("block1.conv2.weight")[0, 0, 0, 0] = float("nan")
    return model


class Overflowing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x) / 0


def test_masked_weights_become_plain_ones() -> None:
    model = build("residual")
    prune.l1_unstructured(model.get_submodule("stem"), "weight", 0.5)
    network = Network(model, images(1))
    assert int((network.model.get_parameter("stem.weight") == 0).sum()) == model.stem.weight_orig.numel() // 2
    assert hasattr(model.stem, "weight_mask")


@pytest.mark.parametrize(
    ("make", "inputs", "message"),
    [
        (poisoned, images(1), r"block1\.conv2\.weight holds NaN"),
        (Overflowing, images(1), "outputs must be finite"),
        (lambda: build("residual"), torch.zeros(1, 3, 8, 8), r"\(1, 3, 8, 8\)"),
        (lambda: build("residual"), torch.zeros(0, 1, 8, 8), "non-empty batch"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), images(1), "at least one group"),
        (lambda: nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(36, 2)), images(1), "one channel only"),
        (lambda: torch.jit.trace(build("residual"), images(1)), images(1), "before torch.jit"),
        (lambda: "resnet", images(1), "torch.nn.Module; str came"),
    ],
)
def test_bad_networks_are_named(make: object, inputs: torch.Tensor, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        Network(make(), inputs)  # type: ignore[operator]


def test_an_unknown_layer_to_ignore_is_named() -> None:
    with pytest.raises(NetworkError, match="nothing matches 'heads'"):
        Network(build("residual"), images(1), ignore=["heads"])


class TiedHead(nn.Module):
    """Classes, and scores of words by the table that the words are looked up in."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.hidden = nn.Embedding(20, 16), nn.Linear(16, 16)
        self.classes, self.words = nn.Linear(16, 4), nn.Linear(16, 20, bias=False)
        self.words.weight = self.table.weight

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.hidden(self.table(ids)).relu()
        return self.classes(x.mean(1)), self.words(x)


@pytest.mark.parametrize("outputs", [None, ["0"]])
def test_a_head_tied_to_an_embedding_says_why_it_is_left_whole(
    outputs: list[str] | None,
) -> None:
    network = Network(TiedHead().eval(), torch.zeros(1, 6, dtype=torch.long), outputs=outputs)
    assert network.left_whole["words"] == "its weight is that of table, and its channels are the rows of a table"
