from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.network import Network
from rlprune.pruning import batchnorm
from rlprune.pruning.reconstruction import LayerStatistics, PrefixSolver, sample_rows, solve_subset
from rlprune.pruning.tables import IMPORTANCES, PruningTables
from rlprune.tasks.base import Split
from tests.models import MODELS, build, images

LAYERS = {
    "conv3x3": (nn.Conv2d(6, 5, 3, padding=1, bias=False), (6, 9, 9)),
    "strided, biased": (nn.Conv2d(6, 5, 3, stride=2, padding=1), (6, 9, 9)),
    "dilated, reflected": (nn.Conv2d(6, 5, 3, padding=2, dilation=2, padding_mode="reflect"), (6, 9, 9)),
    "same, 2x4": (nn.Conv2d(6, 5, (2, 4), padding="same"), (6, 9, 9)),
    "1-d": (nn.Conv1d(6, 5, 3, padding=1), (6, 20)),
    "3-d": (nn.Conv3d(6, 5, 2), (6, 4, 4, 4)),
    "linear": (nn.Linear(6, 5), (6,)),
    "linear on sequences": (nn.Linear(6, 5, bias=False), (7, 6)),
}


def statistics_of(name: str, ridge: float) -> tuple[LayerStatistics, torch.Tensor]:
    layer, shape = LAYERS[name]
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, *shape, generator=generator)
    rows = sample_rows(layer, inputs, 8, generator)
    statistics = LayerStatistics(layer, ridge)
    statistics.add(rows)
    return statistics, rows


@pytest.mark.parametrize("name", LAYERS)
def test_sampled_rows_are_what_the_layer_sees(name: str) -> None:
    """Every sampled patch times the weights must be among the layer's outputs."""
    layer, shape = LAYERS[name]
    inputs = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    rows = sample_rows(layer, inputs[:1], 5, torch.Generator().manual_seed(2))
    with torch.no_grad():
        outputs = layer(inputs[:1])
        outputs = outputs.reshape(-1, 5) if isinstance(layer, nn.Linear) else outputs[0].flatten(1).T
        got = nn.functional.linear(rows, layer.weight.flatten(1), layer.bias)
    assert torch.cdist(got, outputs, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1).values.max() < 1e-5


@pytest.mark.parametrize("name", LAYERS)
def test_it_equals_numpy_least_squares(name: str) -> None:
    statistics, rows = statistics_of(name, ridge=1e-13)
    layer = statistics.module
    order = torch.tensor([4, 1, 5, 0, 3, 2])
    solver = PrefixSolver(statistics, order)
    x = rows.double().numpy()
    y = x @ layer.weight.detach().double().flatten(1).numpy().T
    if layer.bias is not None:
        y = y + layer.bias.detach().double().numpy()
        x = np.concatenate([np.ones((len(x), 1)), x], axis=1)
    for kept in (1, 3, 5):
        columns = torch.cat([statistics.constant(), statistics.inputs_of(order[:kept])]).numpy()
        wanted, *_ = np.linalg.lstsq(x[:, columns], y, rcond=None)
        np.testing.assert_allclose(solver.solve(kept).T.numpy(), wanted, atol=1e-6)
        np.testing.assert_allclose(solve_subset(statistics, order[:kept]).T.numpy(), wanted, atol=1e-6)
        residual = np.square(y - x[:, columns] @ wanted).sum(1).mean()
        assert solver.error(kept) == pytest.approx(residual, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("name", LAYERS)
def test_error_never_rises_and_full_width_is_the_dense_layer(name: str) -> None:
    statistics, _ = statistics_of(name, ridge=1e-4)
    solver = PrefixSolver(statistics, torch.randperm(6, generator=torch.Generator().manual_seed(5)))
    errors = [solver.error(kept) for kept in range(7)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0
    torch.testing.assert_close(solver.solve(6), solver.theta, atol=0, rtol=0)


def test_the_bias_is_counted_once() -> None:
    """A layer whose inputs carry nothing but a constant must keep its mean output, not twice its bias."""
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0]]))
        layer.bias.fill_(10.0)
    rows = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) + torch.tensor([0.0, 3.0])
    statistics = LayerStatistics(layer, 1e-12)
    statistics.add(rows)
    theta = PrefixSolver(statistics, torch.tensor([0, 1])).solve(1)
    assert float(theta[0, 0]) == pytest.approx(16.0, abs=0.2)


@pytest.mark.parametrize("importance", IMPORTANCES)
@pytest.mark.parametrize("name", sorted(MODELS))
def test_tables_of_whole_networks(name: str, importance: str) -> None:
    network = Network(build(name), images(2))
    tables = PruningTables(network, Split(images(256), torch.zeros(256)), importance=importance)
    dense = network.model(images(16, seed=7))
    torch.testing.assert_close(
        tables.pruned(network.dense_widths).eval()(images(16, seed=7)), dense, atol=1e-5, rtol=1e-4
    )
    half = [group.widths[len(group.widths) // 2] for group in network.groups]
    pruned = tables.pruned(half)
    assert sum(p.numel() for p in pruned.parameters()) == network.params(half)[0]
    filled = tables.shell().fill(tables.tensors(half)).eval()
    torch.testing.assert_close(filled(images(16)), pruned.eval()(images(16)))
    for group in network.groups:
        widths, errors = tables.error_curve(group.name)
        assert list(widths) == list(range(group.width + 1))
        assert (np.diff(errors) <= 1e-12).all()
        assert errors[0] <= 1 + 1e-9
        assert errors[-1] == pytest.approx(0, abs=1e-9)
        assert sorted(tables.order[group.name].tolist()) == list(range(group.width))


def test_repair_helps_and_elimination_chooses_better_than_l1() -> None:
    network = Network(build("residual"), images(2))
    data = Split(images(512), torch.zeros(512))
    half = [group.width // 2 for group in network.groups]
    held_out = images(256, seed=9)
    dense = network.model(held_out)

    def error(model: nn.Module) -> float:
        with torch.no_grad():
            return float((model.eval()(held_out) - dense).square().mean())

    by = {name: PruningTables(network, data, importance=name) for name in ("l1", "elimination")}
    cut = {group.name: by["l1"].order[group.name][: group.width // 2].sort().values for group in network.groups}
    from rlprune.pruning import surgery

    unrepaired = error(surgery.prune(network, cut))
    assert error(by["l1"].pruned(half)) < unrepaired
    curves = {
        name: sum(tables.error_curve(g.name)[1][g.width // 2] for g in network.groups) for name, tables in by.items()
    }
    assert curves["elimination"] < curves["l1"]


def test_tables_are_the_same_for_the_same_seed() -> None:
    network = Network(build("concat"), images(2))
    data = Split(images(64), torch.zeros(64))
    first, second = (PruningTables(network, data, seed=3) for _ in range(2))
    half = [group.width // 2 for group in network.groups]
    for left, right in zip(first.tensors(half).values(), second.tensors(half).values(), strict=True):
        assert torch.equal(left, right)


def test_transposed_consumers_are_cut_and_told() -> None:
    network = Network(build("concat"), images(2))
    tables = PruningTables(network, Split(images(64), torch.zeros(64)))
    assert set(tables.unrepaired) == {"up"}


def test_batchnorm_is_measured_anew_and_nothing_else_changes() -> None:
    model = build("residual")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batchnorm.reestimate(model, [(images(64, seed=s),) for s in range(3)])
    norm = model.get_submodule("block1.bn1")
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert all("running" in name or "num_batches" in name for name in changed)
    seen: list[torch.Tensor] = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        for seed in range(3):
            model(images(64, seed=seed))
    wanted = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
    torch.testing.assert_close(norm.running_mean, wanted, atol=1e-5, rtol=1e-4)
    assert not model.training
    assert norm.momentum == 0.1
