"""The short fine-tune of pruned networks."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from rlprune.errors import ConfigError, NetworkError, TaskError
from rlprune.evaluation.evaluator import Evaluator
from rlprune.finetuning.finetune import FineTuning, finetune, freeze
from rlprune.networks.network import Network
from rlprune.pruning.tables import PruningTables
from rlprune.pruning.weights import UNSTRUCTURED, Replacement, mask_of_density
from rlprune.pruning.weights import pruned as without
from rlprune.tasks import Split, Task, load_task
from rlprune.zoo import resolve_network

QUICK = FineTuning(steps=40)
SHORT = FineTuning(steps=3, batch=16)


@pytest.fixture(scope="module")
def digits() -> Task:
    return load_task("digits")


@pytest.fixture(scope="module")
def evaluator(digits: Task) -> Evaluator:
    loaded = resolve_network("digits-resnet")
    network = Network(loaded.model, digits.calibration.take(1).arguments)
    return Evaluator(PruningTables(network, digits.calibration), digits, samples=64)


@pytest.fixture
def pruned(evaluator: Evaluator) -> nn.Module:
    widths = [group.widths[0] for group in evaluator.tables.network.groups]
    return evaluator.repaired(widths)


def vectors(count: int, seed: int) -> Split:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 4, generator=generator)
    return Split(inputs, (inputs.sum(1) > 0).to(torch.int32))


def toy(train: Split | None = None, classes: int | None = 2) -> Task:
    held = vectors(8, 1)
    return Task("toy", calibration=held, validation=held, test=held, train=train, classes=classes)


def mlp() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))


def test_a_pruned_network_gets_better(evaluator: Evaluator, digits: Task, pruned: nn.Module) -> None:
    before = evaluator.score(pruned, digits.validation)
    assert finetune(pruned, digits, QUICK) is pruned
    assert evaluator.score(pruned, digits.validation) > before + 0.05
    assert not any(module.training for module in pruned.modules())
    assert all(parameter.is_contiguous() and parameter.grad is None for parameter in pruned.parameters())


def test_the_same_seed_gives_the_same_weights(digits: Task, pruned: nn.Module) -> None:
    first, second = copy.deepcopy(pruned), copy.deepcopy(pruned)
    torch.manual_seed(1)
    finetune(first, digits, SHORT)
    torch.manual_seed(2)
    finetune(second, digits, SHORT)
    finetune(pruned, digits, FineTuning(steps=3, batch=16, seed=1))
    assert all(torch.equal(first.state_dict()[key], value) for key, value in second.state_dict().items())
    assert any(not torch.equal(first.state_dict()[key], value) for key, value in pruned.state_dict().items())


def test_dropout_draws_from_the_seed_and_leaves_the_global_generator_alone() -> None:
    task = toy(vectors(50, 2))
    weights = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        with torch.no_grad():
            weights.append(finetune(mlp(), task, SHORT).state_dict())
        assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())
    assert any(not torch.equal(value, weights[0][key]) for key, value in mlp().state_dict().items())


def test_frozen_parameters_and_few_samples() -> None:
    model = mlp()
    frozen = model[0].requires_grad_(False).weight.clone()  # type: ignore[index,union-attr]
    finetune(model, toy(vectors(5, 2)), FineTuning(steps=4, momentum=0))
    assert torch.equal(model[0].weight, frozen)  # type: ignore[index]


def test_a_network_that_takes_no_channels_last_is_trained_all_the_same() -> None:
    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.head = nn.Conv2d(2, 4, 3, padding=1), nn.Linear(36, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.convolution(x).view(len(x), -1))  # type: ignore[no-any-return]

    split = Split(torch.randn(20, 2, 3, 3, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 2)
    finetune(Views(), toy(split), SHORT)


def pruned_weights(model: nn.Module, replacement: Replacement, density: float = 0.4) -> dict[str, torch.Tensor]:
    """Prune every weight of two dimensions or more, and say which entries went."""
    removed = {}
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            mask = mask_of_density(parameter, density, UNSTRUCTURED, 1)
            parameter.data = without(parameter.data, mask, replacement)
            removed[name] = ~mask
    return removed


def bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().contiguous().view(torch.int32)


OPTIMISERS = {
    "sgd": lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=0.05, nesterov=True),
    "adam": lambda weights: torch.optim.Adam(weights, lr=0.05, weight_decay=0.05),
    "adamw": lambda weights: torch.optim.AdamW(weights, lr=0.05, weight_decay=0.05),
}


@pytest.mark.parametrize("replacement", ["zero", "mean"])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_frozen_entries_stay_bit_for_bit_under_momentum_and_decay(name: str, replacement: Replacement) -> None:
    model, data = mlp(), vectors(64, 2)
    optimizer = OPTIMISERS[name](model.parameters())
    for _ in range(3):  # momentum of every entry, from before
        nn.functional.cross_entropy(model(data.inputs), data.targets.long()).backward()
        optimizer.step()
    frozen = pruned_weights(model, replacement)
    before = {key: parameter.detach().clone() for key, parameter in model.named_parameters()}
    freeze(optimizer, model, frozen)
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(data.inputs), data.targets.long()).backward()
        optimizer.step()
    for key, mask in frozen.items():
        after = model.get_parameter(key)
        assert torch.equal(bits(after)[mask], bits(before[key])[mask])
        assert (after[~mask] != before[key][~mask]).all()


@pytest.mark.parametrize("replacement", ["zero", "mean"])
def test_a_network_with_pruned_weights_gets_better_and_keeps_them(
    evaluator: Evaluator, digits: Task, pruned: nn.Module, replacement: Replacement
) -> None:
    frozen = pruned_weights(pruned, replacement)
    values = {key: bits(pruned.get_parameter(key))[mask] for key, mask in frozen.items()}
    before = evaluator.score(pruned, digits.validation)
    finetune(pruned, digits, QUICK, frozen)
    assert evaluator.score(pruned, digits.validation) > before + 0.05
    assert all(torch.equal(bits(pruned.get_parameter(key))[frozen[key]], value) for key, value in values.items())


def test_freezing_nothing_changes_nothing(digits: Task, pruned: nn.Module) -> None:
    first, second = copy.deepcopy(pruned), copy.deepcopy(pruned)
    finetune(first, digits, SHORT)
    nothing = {key: torch.zeros_like(value, dtype=torch.bool) for key, value in second.named_parameters()}
    finetune(second, digits, SHORT, nothing)
    assert all(torch.equal(first.state_dict()[key], value) for key, value in second.state_dict().items())


@pytest.mark.parametrize(
    ("frozen", "message"),
    [
        ({"0.weigth": torch.ones(8, 4, dtype=torch.bool)}, "Unknown parameter '0.weigth'. Did you mean '0.weight'"),
        ({"0.weight": torch.ones(4, 8, dtype=torch.bool)}, r"shaped as its weight, \[8, 4\]"),
        ({"0.weight": torch.ones(8, 4)}, "mask must be bool"),
    ],
)
def test_masks_of_what_is_frozen_must_fit(frozen: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        finetune(mlp(), toy(vectors(20, 2)), SHORT, frozen)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be at least 1; 0 came"),
        ({"rate": 0.0}, "rate must be above 0"),
        ({"rate": math.nan}, "rate must be above 0 and finite; nan came. Leave it out for 0.02"),
        ({"batch": 1}, "batch must be at least 2"),
        ({"momentum": 1.0}, "momentum must be at least 0 and below 1"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FineTuning(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (toy(), "'toy' has no train split"),
        (toy(vectors(20, 2), classes=None), "states no number of classes"),
        (toy(vectors(1, 2)), "at least 2 samples"),
        (toy(vectors(20, 2), classes=3), r"outputs \[N, 3, ...\]"),
    ],
)
def test_tasks_that_cannot_be_trained_on_are_refused(task: Task, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        finetune(mlp(), task, SHORT)


def test_networks_that_cannot_be_trained_are_refused() -> None:
    task = toy(vectors(50, 2))
    with pytest.raises(NetworkError, match="asks for a gradient"):
        finetune(mlp().requires_grad_(False), task, SHORT)
    with pytest.raises(NetworkError, match=r"loss finite.*lower rate"):
        finetune(mlp(), task, FineTuning(rate=1e12, batch=16))
