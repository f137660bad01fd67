from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.errors import ConfigError, NetworkError
from rlprune.networks import surgery
from rlprune.networks.inputs import call
from rlprune.networks.network import Network
from rlprune.pruning import preparation
from rlprune.pruning.importance import IMPORTANCES
from rlprune.pruning.tables import PruningTables
from rlprune.tasks.split import Split
from tests.models import MODELS, build, images
from tests.pruning.linear_layers import Conv1D


class Tokens(nn.Module):
    """An embedding, a linear layer and an LSTM on integer tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.up = nn.Linear(16, 24)
        self.lstm = nn.LSTM(24, 12, batch_first=True)
        self.head = nn.Linear(12, 5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(torch.relu(self.up(self.embed(tokens))))[0][:, -1])


class Transformer(nn.Module):
    """Torch's own attention, and a hidden layer whose weights are stored ``[in, out]``."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(6, 16)
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.norm = nn.LayerNorm(16)
        self.grow, self.shrink = Conv1D(16, 32), Conv1D(32, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.up(x)
        x = x + self.attention(x, x, x)[0]
        x = x + self.shrink(torch.relu(self.grow(self.norm(x))))
        return self.head(x).mean(1)


class TwoInputs(nn.Module):
    """Images and token ids, by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.mix = nn.Conv2d(8, 16, 3, padding=1)
        self.embed = nn.EmbeddingBag(20, 16)
        self.head = nn.Linear(16, 4)

    def forward(self, image: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.mix(torch.relu(self.conv(image))).mean((2, 3)) + self.embed(tokens)))


def grouped() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 8, 3, stride=2, groups=2), nn.ReLU(),
        nn.Conv2d(8, 4, 1), nn.ReLU(), nn.ConvTranspose2d(4, 6, 3, stride=2), nn.ReLU(), nn.Conv2d(6, 2, 1),
    )  # fmt: skip


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def tokens(*shape: int) -> torch.Tensor:
    return torch.randint(0, 20, shape, generator=torch.Generator().manual_seed(0))


KINDS: dict[str, tuple[Any, Any]] = {
    "grouped and transposed": (grouped, images(300)),
    "recurrent": (Tokens, tokens(300, 7)),
    "transformer": (Transformer, noise(300, 9, 6)),
    "two inputs": (TwoInputs, {"image": images(300), "tokens": tokens(300, 5)}),
}


def made(name: str) -> tuple[Network, Split]:
    make, inputs = KINDS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().eval()
    split = Split(inputs, torch.zeros(300))
    return Network(model, split.batch(0, 2)), split


def plan_at(network: Network, part: float) -> list[int]:
    return [min(group.widths, key=lambda width: abs(width - part * group.width)) for group in network.groups]


def outputs(model: nn.Module, split: Split) -> torch.Tensor:
    with torch.no_grad():
        answer: torch.Tensor = call(model.eval(), split.arguments)
    return answer


def cut(network: Network, order: dict[str, torch.Tensor], widths: list[int]) -> nn.Module:
    """The same channels without least squares."""
    pairs = zip(network.groups, widths, strict=True)
    return surgery.prune(network, {group.name: order[group.name][:width].sort().values for group, width in pairs})


@pytest.mark.parametrize("importance", IMPORTANCES)
@pytest.mark.parametrize("name", sorted(MODELS))
def test_tables_of_whole_networks(name: str, importance: str) -> None:
    network = Network(build(name), images(2))
    prepared = PruningTables(network, Split(images(256), torch.zeros(256)), importance=importance)
    dense = network.model(images(16, seed=7))
    torch.testing.assert_close(
        prepared.pruned(network.dense_widths).eval()(images(16, seed=7)), dense, atol=1e-5, rtol=1e-4
    )
    half = plan_at(network, 0.5)
    pruned = prepared.pruned(half)
    assert sum(p.numel() for p in pruned.parameters()) == network.params(half)[0]
    filled = prepared.shell().fill(prepared.tensors(half), half).eval()
    torch.testing.assert_close(filled(images(16)), pruned.eval()(images(16)))
    assert prepared.unrepaired == {}
    assert prepared.approximate == {}
    for group in network.groups:
        widths, errors = prepared.error_curve(group.name)
        assert list(widths) == list(range(group.width + 1))
        assert (np.diff(errors) <= 1e-12).all()
        assert errors[0] <= 1 + 1e-9
        assert errors[-1] == pytest.approx(0, abs=1e-9)
        assert sorted(prepared.order[group.name].tolist()) == list(range(group.width))


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_consumer_is_repaired(name: str) -> None:
    network, split = made(name)
    prepared = PruningTables(network, split)
    assert prepared.unrepaired == {}
    dense = outputs(network.model, split)
    torch.testing.assert_close(outputs(prepared.pruned(network.dense_widths), split), dense, atol=1e-5, rtol=1e-4)
    widths = plan_at(network, 0.7)
    repaired = (outputs(prepared.pruned(widths), split) - dense).square().mean()
    plain = (outputs(cut(network, prepared.order, widths), split) - dense).square().mean()
    assert repaired < 0.75 * plain


def test_repair_helps_and_elimination_chooses_better_than_l1() -> None:
    network = Network(build("residual"), images(2))
    data = Split(images(512), torch.zeros(512))
    held_out = Split(images(256, seed=9), torch.zeros(256))
    half = plan_at(network, 0.5)
    dense = outputs(network.model, held_out)
    by = {name: PruningTables(network, data, importance=name) for name in ("l1", "elimination")}
    unrepaired = (outputs(cut(network, by["l1"].order, half), held_out) - dense).square().mean()
    assert (outputs(by["l1"].pruned(half), held_out) - dense).square().mean() < unrepaired
    curves = {name: sum(t.error_curve(g.name)[1][g.width // 2] for g in network.groups) for name, t in by.items()}
    assert curves["elimination"] < curves["l1"]


def test_tables_are_the_same_for_the_same_seed() -> None:
    network = Network(build("concat"), images(2))
    data = Split(images(64), torch.zeros(64))
    first, second = (PruningTables(network, data, seed=3) for _ in range(2))
    half = plan_at(network, 0.5)
    for left, right in zip(first.tensors(half).values(), second.tensors(half).values(), strict=True):
        assert torch.equal(left, right)


def test_the_curve_is_what_the_fit_leaves() -> None:
    """Of a consumer with one group: the error of the repaired layer on its own rows, as a share of its output."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 6)).eval()
    inputs = noise(400, 4)
    network = Network(model, inputs[:2])
    prepared = PruningTables(network, Split(inputs, torch.zeros(400)))
    dense = outputs(model, Split(inputs, torch.zeros(400)))
    _, curve = prepared.error_curve("0")
    for width in (3, 6, 9):
        error = (outputs(prepared.pruned([width]), Split(inputs, torch.zeros(400))) - dense).square().sum(1).mean()
        energy = (dense - dense.mean(0)).square().sum(1).mean()
        assert float(error / energy) == pytest.approx(curve[width], rel=0.05, abs=1e-4)


CAP = 2e-4  # GiB: the hidden layer's 128 inputs take 2.5e-4 for themselves


def test_memory_is_capped_and_the_largest_layer_gives_way() -> None:
    network = Network(build("depthwise"), images(2))
    data = Split(images(512), torch.zeros(512))
    prepared = PruningTables(network, data, memory_gib=CAP / 2)
    assert set(prepared.unrepaired) == {"hidden"}
    assert "128 inputs need 0.00025 GiB" in prepared.unrepaired["hidden"]
    assert "memory_gib" in prepared.unrepaired["hidden"]
    assert set(prepared.approximate) == {"project"}
    assert "1 of its 1 consumers" in prepared.approximate["project"]
    for part in (0.9, 0.75, 0.6, 0.5, 0.4, 0.3):
        prepared.tensors(plan_at(network, part))
        assert prepared.bytes <= CAP / 2 * 2**30
    dense = outputs(network.model, data)
    torch.testing.assert_close(outputs(prepared.pruned(network.dense_widths), data), dense, atol=1e-5, rtol=1e-4)
    half = plan_at(network, 0.5)
    plain = (outputs(cut(network, prepared.order, half), data) - dense).square().mean()
    assert (outputs(prepared.pruned(half), data) - dense).square().mean() < plain
    _, curve = prepared.error_curve("project")
    assert curve[0] == pytest.approx(1)
    assert (np.diff(curve) <= 0).all()
    assert PruningTables(network, data, memory_gib=None).unrepaired == {}


def test_the_memory_is_stated() -> None:
    network = Network(build("dense"), images(2))
    prepared = PruningTables(network, Split(images(64), torch.zeros(64)))
    factors = (25**2 + 17**2) * 8
    assert factors <= prepared.bytes <= factors + 1024
    before = prepared.bytes
    prepared.tensors(plan_at(network, 0.5))
    assert prepared.bytes > before


def test_a_consumer_too_large_to_rank_counts_without_compensation(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(build("residual"), images(2))
    monkeypatch.setattr(preparation, "RANKING_SHARE", 1e-7)
    prepared = PruningTables(network, Split(images(256), torch.zeros(256)))
    assert prepared.unrepaired == {}
    assert set(prepared.approximate) == {group.name for group in network.groups}
    for group in network.groups:
        _, curve = prepared.error_curve(group.name)
        assert (np.diff(curve) <= 0).all()
        assert curve[0] == pytest.approx(1)


def test_a_weight_shared_with_a_table_stays_shared() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(20, 16)
            self.body = nn.Linear(16, 16)
            self.head = nn.Linear(16, 20, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.embed(x)
            return self.head(x + torch.relu(self.body(x))).mean(1)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Tied().eval()
    split = Split(tokens(200, 6), torch.zeros(200))
    network = Network(model, split.batch(0, 2))
    prepared = PruningTables(network, split)
    pruned = prepared.pruned(plan_at(network, 0.5))
    assert pruned.head.weight is pruned.embed.weight


def test_layers_of_a_branch_that_is_not_taken_are_told() -> None:
    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 8)
            self.short, self.long = nn.Linear(8, 3), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden = torch.relu(self.first(x))
            if x.shape[1] < 6:
                return self.short(hidden).mean(1)
            return (self.short(hidden) + self.long(hidden)).mean(1)

    network = Network(Branch(), noise(2, 9, 4))
    prepared = PruningTables(network, Split(noise(100, 5, 4), torch.zeros(100)))
    assert set(prepared.unrepaired) == {"long"}
    assert "could not be observed" in prepared.unrepaired["long"]


def test_activations_that_overflow_are_told() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    with torch.no_grad():
        model[0].weight.mul_(1e30)  # type: ignore[operator]
        model[2].weight.mul_(1e-30)  # type: ignore[operator]
    network = Network(model, noise(2, 4))
    prepared = PruningTables(network, Split(noise(100, 4), torch.zeros(100)))
    assert sorted(prepared.order["0"].tolist()) == list(range(8))
    assert torch.isfinite(outputs(prepared.pruned([4, 4]), Split(noise(9, 4), torch.zeros(9)))).all()


def test_a_layer_that_a_refit_would_harm_is_cut_and_named() -> None:
    """Of the samples that are fitted to the second half copies the first; in those held out it is its negative."""
    x = noise(400, 8)
    x = torch.cat([x, torch.where(torch.arange(400)[:, None] % 8 == 7, -x, x)], dim=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(16, 16, bias=False), nn.Linear(16, 4))
    nn.init.eye_(model[0].weight)  # type: ignore[arg-type]
    network = Network(model.eval(), x[:2])
    prepared = PruningTables(network, Split(x, torch.zeros(400)))
    assert set(prepared.unrepaired) == {"1"}
    assert "samples held out" in prepared.unrepaired["1"]
    assert "at 3 of 3 smaller widths (4, 8, 12)" in prepared.unrepaired["1"]
    torch.testing.assert_close(
        outputs(prepared.pruned([8]), Split(x, x)), outputs(cut(network, prepared.order, [8]), Split(x, x))
    )


def test_what_is_asked_wrongly_is_refused() -> None:
    network = Network(build("dense"), images(2))
    split = Split(images(8), torch.zeros(8))
    with pytest.raises(ConfigError, match="Did you mean 'elimination'"):
        PruningTables(network, split, importance="eliminate")
    for memory in (0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match="above 0 GiB"):
            PruningTables(network, split, memory_gib=memory)
    with pytest.raises(NetworkError, match="must accept the task's calibration samples"):
        PruningTables(network, Split(torch.zeros(8, 3), torch.zeros(8)))


def test_the_work_of_a_layer_is_capped_and_told() -> None:
    """One layer with a long kernel; it is cut as one that does not fit."""
    model = nn.Sequential(nn.Conv1d(4, 8, 3), nn.ReLU(), nn.Conv1d(8, 6, 64), nn.ReLU(), nn.Conv1d(6, 2, 1))
    network = Network(model.eval(), noise(2, 4, 90))
    split = Split(noise(64, 4, 90), torch.zeros(64))
    shares: list[float] = []
    prepared = PruningTables(network, split, most_operations=1e8, progress=shares.append)
    assert set(prepared.unrepaired) == {"2"}
    assert (
        "512 inputs need 1.4e+08 operations, and a layer may take 1e+08 (raise most_operations)"
        in (prepared.unrepaired["2"])
    )
    assert "counts without compensation" in prepared.approximate["0"] or "count without" in prepared.approximate["0"]
    assert shares == sorted(shares)
    assert len(shares) > 4
    assert 0 < shares[0] < shares[-1] == 1
    assert PruningTables(network, split, most_operations=None).unrepaired == {}
    with pytest.raises(ConfigError, match="operations of a layer must be above 0"):
        PruningTables(network, split, most_operations=0)
