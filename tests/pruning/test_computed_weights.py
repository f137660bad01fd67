"""Weights that forward computes from the stored ones: scaled, copied, standardised, normalised, merged."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rlprune.networks import surgery
from rlprune.networks.network import Network
from rlprune.pruning.tables import PruningTables
from rlprune.pruning.weight_repair import WeightRepair
from rlprune.tasks.split import Split

Forward = Callable[[Tensor, Tensor, Tensor], Tensor]


class Computed(nn.Module):
    """A linear layer that uses its weight and bias in a way of its own; both are stored at another scale."""

    def __init__(self, inputs: int, outputs: int, forward: Forward, size: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / inputs**0.5 / size)
        self.bias = nn.Parameter(0.1 * torch.randn(outputs))
        self.way = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.way(x, self.weight, self.bias)


def standardised(weight: Tensor) -> Tensor:
    centred = weight - weight.mean(1, keepdim=True)
    return 0.1 * centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()


WAYS: dict[str, tuple[Forward, float]] = {
    "itself": (F.linear, 1.0),
    "copied": (lambda x, w, b: F.linear(x, w.clone().contiguous(), b), 1.0),
    "transposed copy": (lambda x, w, b: torch.addmm(b, x, w.t().contiguous()), 1.0),
    "constant gain": (lambda x, w, b: F.linear(x, w * 0.1, b), 0.1),
    "gain behind a copy": (lambda x, w, b: F.linear(x, (w.clone() / 20.0).t().t(), b), 0.05),
    "own gain of the bias": (lambda x, w, b: F.linear(x, w * 0.1, b * 0.01), 0.1),
    "gains of addmm": (lambda x, w, b: torch.addmm(b, x, w.t(), alpha=0.1, beta=0.5), 0.1),
    "standardised": (lambda x, w, b: F.linear(x, standardised(w), b), 1.0),
    "gain in place": (lambda x, w, b: F.linear(x, w.clone().mul_(0.1), b), 0.1),
    "two gains by turns": (lambda x, w, b: F.linear(x, w, b) + F.linear(x, w * 0.5), 1.0),
}
FOLLOWED = ("itself", "copied", "transposed copy", "constant gain", "gain behind a copy", "own gain of the bias",
            "gains of addmm")  # fmt: skip


def made(way: str) -> tuple[Network, Split, Split]:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layers = [Computed(*sizes, *WAYS[way]) for sizes in ((16, 64), (64, 64), (64, 8))]
        model = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
        x = torch.randn(1280, 16)
    splits = Split(x[:1024], torch.zeros(1024)), Split(x[1024:], torch.zeros(256))
    return Network(model, x[:2]), *splits


def error(model: nn.Module, network: Network, split: Split) -> float:
    with torch.no_grad():
        dense, answer = (each.eval()(*split.tensors) for each in (network.model, model))
    return float((answer - dense).square().sum() / (dense - dense.mean(0)).square().sum())


@pytest.mark.parametrize("way", WAYS)
def test_a_refit_never_does_more_harm_than_the_plain_cut(way: str) -> None:
    network, calibration, unseen = made(way)
    tables = PruningTables(network, calibration)
    assert bool(tables.unrepaired) == (way not in FOLLOWED)
    assert all("forward computes" in reason for reason in tables.unrepaired.values())
    cut = {group.name: tables.order[group.name][: group.width // 2] for group in network.groups}
    plain = error(surgery.prune(network, cut), network, unseen)
    repaired = error(tables.pruned([group.width // 2 for group in network.groups]), network, unseen)
    assert repaired < 0.4 * plain if way in FOLLOWED else repaired == pytest.approx(plain, rel=1e-3)


@pytest.mark.parametrize("way", WAYS)
def test_nor_does_one_of_masked_weights(way: str) -> None:
    network, calibration, _ = made(way)
    tables = PruningTables(network, calibration)
    layer = network.layers[1]
    module = tables.permuted.get_submodule(layer.name)
    weight, bias = (p.detach().clone() for p in module.parameters())
    mask = torch.rand(weight.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    repair = WeightRepair(tables, [layer], calibration)
    x = torch.relu(tables.permuted[0](*calibration.tensors)).detach()  # type: ignore[index]
    wanted = WAYS[way][0](x, weight, bias)
    errors = []
    for each in (repair, repair.roughly()):
        for fill in (0.0, 0.3 * float(weight.std())):
            fitted = each.repaired(layer, weight, bias, mask, fill, network.dense_widths)
            assert torch.equal(fitted[0][~mask], torch.full_like(fitted[0][~mask], fill))
            cut = torch.where(mask, weight, fill), bias
            errors += [[float((WAYS[way][0](x, *pair) - wanted).square().sum()) for pair in (cut, fitted)]]  # type: ignore[arg-type]
    assert all(after < 0.8 * before if way in FOLLOWED else after == before for before, after in errors)


class Convolved(nn.Module):
    def __init__(self, wrap: Callable[[nn.Module], nn.Module]) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 32, 3, padding=1)
        self.second = wrap(nn.Conv2d(32, 32, 3, padding=1))
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.second(torch.relu(self.first(x)))).mean((2, 3)))


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "spectral norm": nn.utils.parametrizations.spectral_norm,
    "weight norm": nn.utils.parametrizations.weight_norm,
    "spectral norm by a hook": nn.utils.spectral_norm,
    "weight norm by a hook": nn.utils.weight_norm,
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated")
@pytest.mark.parametrize("name", WRAPPERS)
def test_norms_of_weights_are_left_alone(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Convolved(WRAPPERS[name])
        x = torch.randn(160, 3, 8, 8)
        model(x)
    network = Network(model.eval(), x[:2])
    tables = PruningTables(network, Split(x[:128], torch.zeros(128)))
    widths = [group.width // 2 for group in network.groups]
    cut = {group.name: tables.order[group.name][: group.width // 2] for group in network.groups}
    unseen = Split(x[128:], torch.zeros(32))
    assert error(tables.pruned(widths), network, unseen) < 1.05 * error(surgery.prune(network, cut), network, unseen)
