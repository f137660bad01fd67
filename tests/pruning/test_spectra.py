"""Whatever layers read: rank one, constant, huge, nearly alike, or nothing at all."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rlprune.networks.network import Network
from rlprune.pruning import statistics as statistics_module
from rlprune.pruning.coefficients import Coefficients
from rlprune.pruning.elimination import Consumers, eliminate
from rlprune.pruning.reconstruction import PrefixSolver, SubsetSolver
from rlprune.pruning.sparse_repair import sparse_repaired
from rlprune.pruning.statistics import LayerStatistics
from rlprune.pruning.tables import PruningTables
from rlprune.tasks.split import Split

KINDS = ("rank one", "constant", "nearly alike", "huge mean", "zero", "of all sizes", "one huge", "duplicates")


def features(kind: str, rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x, one = torch.randn(rows, columns, generator=generator), torch.randn(rows, 1, generator=generator)
    made = {
        "rank one": lambda: one @ x[:1],
        "constant": lambda: torch.full_like(x, 3.0),
        "nearly alike": lambda: one + 1e-5 * x,
        "huge mean": lambda: 1e6 + x,
        "zero": lambda: 0 * x,
        "of all sizes": lambda: x * torch.logspace(-15, 15, columns),
        "one huge": lambda: torch.cat([1e15 * one, x[:, 1:]], dim=1),
        "duplicates": lambda: x[:, :1].expand(rows, columns).contiguous(),
    }
    return made[kind]()


def gathered(coefficients: Coefficients, rows: torch.Tensor, single: bool, ridge: float = 1e-4) -> LayerStatistics:
    statistics = LayerStatistics(coefficients, ridge)
    statistics.matrix = statistics.matrix.to(torch.float32 if single else torch.float64)
    for part in rows[:, None].split(100):
        statistics.add(part)
    return statistics.finish()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from(KINDS), st.integers(2, 60), st.integers(1, 300), st.booleans(), st.booleans(),
    st.sampled_from([1e-4, 1e-12]), st.integers(0, 99),
)  # fmt: skip
def test_every_spectrum_is_factored(
    kind: str, columns: int, rows: int, biased: bool, single: bool, ridge: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    bias = torch.randn(3, generator=generator) if biased else None
    coefficients = Coefficients(torch.randn(3, columns, generator=generator), bias)
    statistics = gathered(coefficients, features(kind, rows, columns, seed), single, ridge)
    order = torch.randperm(columns, generator=generator)
    kept = order[: columns // 2].sort().values
    fits = [PrefixSolver(statistics, order).theta(columns // 2), SubsetSolver(statistics).theta(kept)]
    fits += list(sparse_repaired(statistics, torch.rand(3, columns, generator=generator) < 0.5)[:1])
    assert all(bool(torch.isfinite(each).all()) for each in fits)
    theta = coefficients.theta(coefficients.columns_of(torch.arange(columns)), statistics.matrix.dtype)
    inverse = statistics.inverse()[:, int(biased) :, int(biased) :]
    found = eliminate([Consumers(inverse, theta.mT @ theta / statistics.energy, 1, [0])])
    assert sorted(found.order.tolist()) == list(range(columns))
    assert bool(torch.isfinite(found.errors).all())


@pytest.mark.parametrize("kind", KINDS)
def test_tables_of_every_spectrum(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics_module, "DOUBLE_COLUMNS", 0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(48, 48, bias=False), nn.Linear(48, 6))
    nn.init.eye_(model[0].weight)  # type: ignore[arg-type]
    x = features(kind, 400, 48)
    tables = PruningTables(Network(model, x[:2]), Split(x, torch.zeros(400)))
    with torch.no_grad():
        answer, dense = tables.pruned([24])(x), model(x)
    assert bool(torch.isfinite(answer).all())
    assert (answer - dense).square().mean() <= 1e-3 * dense.square().mean()
