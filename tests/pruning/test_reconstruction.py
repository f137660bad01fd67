from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.networks.network import Network
from rlprune.pruning import statistics as statistics_module
from rlprune.pruning.calibration import gather, linear_consumers
from rlprune.pruning.coefficients import Coefficients
from rlprune.pruning.reconstruction import MeanSolver, PrefixSolver, SubsetSolver
from rlprune.pruning.statistics import ChannelMoments, LayerStatistics
from rlprune.tasks.split import Split
from tests.pruning.linear_layers import CASES

ORDER = torch.tensor([4, 1, 5, 0, 3, 2])


def errors(coefficients: Coefficients, rows: torch.Tensor, theta: torch.Tensor, columns: torch.Tensor) -> float:
    """Mean squared error of what theta makes of these columns."""
    x = rows.double()
    if coefficients.bias is not None:
        x = torch.cat([x.new_ones(*x.shape[:2], 1), x], dim=2)
    wanted = torch.einsum("ngc,goc->ngo", x, coefficients.theta())
    return float((torch.einsum("ngc,goc->ngo", x[:, :, columns], theta.double()) - wanted).square().sum(2).mean())


def columns_kept(coefficients: Coefficients, kept: torch.Tensor) -> torch.Tensor:
    return torch.cat([coefficients.constant, coefficients.columns_of(kept)])


@pytest.mark.parametrize("name", CASES)
def test_it_equals_least_squares_on_the_design_matrix(name: str) -> None:
    """Group by group; the design matrix comes from the module's own answers."""
    case = CASES[name]
    inputs = case.inputs(40)
    coefficients = case.coefficients
    statistics = case.statistics(case.rows(inputs), ridge=1e-13)
    prefix, subset = PrefixSolver(statistics, ORDER), SubsetSolver(statistics)
    design = case.design(inputs).double()
    for kept in (1, 3, 5):
        columns = columns_kept(coefficients, ORDER[:kept])
        fitted = prefix.theta(kept)
        torch.testing.assert_close(subset.theta(ORDER[:kept]), fitted, atol=1e-6, rtol=1e-5)
        for group in range(coefficients.groups):
            x = design[:, group]
            if coefficients.bias is not None:
                x = torch.cat([x.new_ones(len(x), 1), x], dim=1)
            y = x @ coefficients.theta()[group].T
            wanted = torch.linalg.lstsq(x[:, columns], y, driver="gelsd").solution
            torch.testing.assert_close(fitted[group].T, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_it_beats_a_plain_cut_on_its_own_rows(name: str) -> None:
    case = CASES[name]
    rows = case.rows(case.inputs(40), 0.5)
    coefficients = case.coefficients
    solver = PrefixSolver(case.statistics(rows), ORDER)
    for kept in (1, 3, 5):
        columns = columns_kept(coefficients, ORDER[:kept])
        fitted = errors(coefficients, rows, solver.theta(kept), columns)
        assert fitted < 0.98 * errors(coefficients, rows, coefficients.theta(columns), columns)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", CASES)
def test_full_width_is_the_dense_layer(name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    if dtype == torch.float32:
        monkeypatch.setattr(statistics_module, "DOUBLE_COLUMNS", 0)
    case = CASES[name]
    statistics = case.statistics(case.rows(case.inputs(20)))
    assert statistics.matrix.dtype == dtype
    wanted = case.coefficients.theta(columns_kept(case.coefficients, ORDER))
    assert torch.equal(PrefixSolver(statistics, ORDER).theta(6), wanted)
    for solver in (PrefixSolver(statistics, ORDER), SubsetSolver(statistics)):
        weight, bias = solver.solve(torch.arange(6))
        assert weight is not None
        assert torch.equal(weight, case.coefficients.weight)
        if case.coefficients.bias is not None:
            assert bias is not None
            assert torch.equal(bias, case.coefficients.bias)


@pytest.mark.parametrize("name", CASES)
def test_weights_come_back_as_the_layer_stores_them(name: str) -> None:
    """The kept columns of the stored weight, multiplied with the kept inputs, give what theta' gives."""
    case = CASES[name]
    statistics = case.statistics(case.rows(case.inputs(20)))
    kept = torch.tensor([0, 2, 5])
    weight, bias = SubsetSolver(statistics).solve(kept)
    assert weight is not None
    dense = case.coefficients.weight
    shape = list(dense.shape)
    shape[case.coefficients.in_dim] = 3
    assert list(weight.shape) == shape
    assert weight.is_contiguous()
    assert (bias is None) == (case.coefficients.bias is None)
    full = torch.zeros_like(dense).index_copy_(case.coefficients.in_dim, kept, weight)
    fitted = Coefficients(full, bias, case.coefficients.out_dim, case.coefficients.in_dim, case.coefficients.groups)
    columns = columns_kept(case.coefficients, kept)
    torch.testing.assert_close(fitted.theta(columns), SubsetSolver(statistics).theta(kept), atol=1e-5, rtol=1e-5)


def errors_held_out(statistics: LayerStatistics, theta: torch.Tensor, columns: torch.Tensor) -> float:
    rows = statistics.held_out.double()
    change = rows @ statistics.coefficients.theta().mT - rows[:, :, columns] @ theta.double().mT
    return float(change.square().sum())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", CASES)
def test_what_does_harm_on_rows_held_out_is_not_used(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows held out of another kind: each width is judged as by hand, alike by both solvers."""
    if dtype == torch.float32:
        monkeypatch.setattr(statistics_module, "DOUBLE_COLUMNS", 0)
    case = CASES[name]
    coefficients = case.coefficients
    used = []
    for strength in (1.0, 0.3, -1.0):
        statistics = LayerStatistics(coefficients)
        rows = case.rows(case.inputs(20, 1))
        statistics.add(rows)
        statistics.hold_out(strength * rows + (1 - abs(strength)) * torch.randn(rows.shape))
        statistics.finish()
        prefix, subset = PrefixSolver(statistics, ORDER, [1, 3, 5, 6]), SubsetSolver(statistics)
        for count in (1, 3, 5, 6):
            kept = ORDER[:count].sort().values
            columns = columns_kept(coefficients, kept)
            refit = errors_held_out(statistics, subset.theta(kept), columns)
            cut = errors_held_out(statistics, coefficients.theta(columns), columns)
            for solver in (prefix, subset):
                assert solver.helps(kept) == (solver.solve(kept)[0] is not None)
                if abs(refit - cut) > 0.01 * cut:
                    assert solver.helps(kept) == (refit <= cut)
            used.append(prefix.helps(kept))
    assert all(used[:4])


def test_without_rows_held_out_every_refit_is_used() -> None:
    case = CASES["conv3x3"]
    statistics = case.statistics(case.rows(case.inputs(20)))
    assert all(PrefixSolver(statistics, ORDER, [1, 3]).helps(ORDER[:count]) for count in (1, 2, 3))
    assert SubsetSolver(statistics).helps(torch.arange(3))


def test_single_precision_fits_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES["strided, biased"]
    rows = case.rows(case.inputs(40))
    exact = PrefixSolver(case.statistics(rows), ORDER).theta(3)
    monkeypatch.setattr(statistics_module, "DOUBLE_COLUMNS", 0)
    torch.testing.assert_close(PrefixSolver(case.statistics(rows), ORDER).theta(3), exact, atol=1e-3, rtol=1e-3)


def test_the_sum_is_the_gram_matrix_also_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics_module, "BLOCK_COLUMNS", 7)
    case = CASES["strided, biased"]
    rows = case.rows(case.inputs(9))
    statistics = LayerStatistics(case.coefficients, 0.0)
    for part in rows.split(50):
        statistics.add(part)
    x = torch.cat([torch.ones(len(rows), 1), rows[:, 0]], dim=1).double()
    a = x.T @ x
    torch.testing.assert_close(statistics.finish().matrix[0], a / a.diagonal().mean())


@pytest.mark.parametrize("name", ["strided, biased", "conv3x3", "grouped"])
def test_the_energy_is_that_of_the_output(name: str) -> None:
    """Around its mean where there is a bias, which can make that up."""
    case = CASES[name]
    rows = case.rows(case.inputs(30))
    coefficients = case.coefficients
    outputs = torch.einsum("ngc,goc->ngo", rows.double(), coefficients.matrix.double())
    if coefficients.bias is not None:
        outputs -= outputs.mean(0)
    constants = len(rows) * coefficients.groups if coefficients.bias is not None else 0
    scale = (rows.double().square().sum() + constants) / (coefficients.groups * coefficients.columns)
    wanted = float(outputs.square().sum() / scale)
    assert case.statistics(rows, 1e-12).energy == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("size", [1e-20, 1e-170, 0.0])
def test_vanishing_inputs_do_no_harm(size: float) -> None:
    coefficients = Coefficients(torch.randn(3, 6, generator=torch.Generator().manual_seed(0)))
    rows = size * torch.randn(50, 1, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    statistics = LayerStatistics(coefficients)
    statistics.add(rows)
    statistics.finish()
    assert torch.isfinite(statistics.inverse()).all()
    assert torch.isfinite(PrefixSolver(statistics, ORDER).theta(3)).all()
    assert 0 < statistics.energy < 1e3


def test_the_bias_is_counted_once() -> None:
    """A layer whose inputs carry nothing but a constant must keep its mean output, not twice its bias."""
    weight, bias = torch.tensor([[1.0, 2.0]]), torch.tensor([10.0])
    rows = torch.randn(500, 1, 2, generator=torch.Generator().manual_seed(0)) + torch.tensor([0.0, 3.0])
    statistics = LayerStatistics(Coefficients(weight, bias), 1e-12)
    statistics.add(rows)
    theta = PrefixSolver(statistics.finish(), torch.tensor([0, 1])).theta(1)
    assert float(theta[0, 0, 0]) == pytest.approx(16.0, abs=0.2)


def test_where_the_matrix_is_too_large_the_bias_makes_up_for_the_mean() -> None:
    case = CASES["strided, biased"]
    rows = case.rows(case.inputs(30))
    coefficients = case.coefficients
    moments = ChannelMoments(coefficients, {"left": torch.tensor([[0, 1, 2]]), "right": torch.tensor([[5, 4, 3]])})
    for part in rows.split(100):
        moments.add(part)
    moments.finish()
    torch.testing.assert_close(moments.mean, rows.double().mean(0))
    weight, bias = MeanSolver(coefficients, moments.mean).solve(torch.tensor([0, 1, 5]))
    assert weight is None
    assert bias is not None
    outputs = torch.einsum("ngc,goc->no", rows, coefficients.matrix) + coefficients.bias
    kept = coefficients.weight_columns_of(torch.tensor([0, 1, 5]))
    left = torch.einsum("ngc,goc->no", rows[:, :, kept], coefficients.matrix[:, :, kept]) + bias
    torch.testing.assert_close(left.mean(0), outputs.mean(0), atol=1e-5, rtol=1e-5)


def test_contributions_around_the_mean_are_those_of_single_channels() -> None:
    case = CASES["grouped"]
    rows = case.rows(case.inputs(30))
    coefficients = case.coefficients
    moments = ChannelMoments(coefficients, {"all": ORDER[None]})
    moments.add(rows)
    shares = moments.finish().contribution("all")
    wanted = []
    for channel in ORDER:
        columns = coefficients.weight_columns_of(channel[None])
        sent = torch.einsum("ngc,goc->ngo", rows[:, :, columns].double(), coefficients.matrix[:, :, columns].double())
        wanted.append(float((sent - sent.mean(0)).square().sum((1, 2)).mean()))
    np.testing.assert_allclose(shares.numpy(), np.array(wanted) / sum(wanted), rtol=1e-6)


def test_shared_modules_are_summed() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(torch.relu(self.layer(x)))

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), Twice(), nn.Linear(4, 2))
    inputs = torch.randn(50, 3)
    network = Network(model, inputs[:2])
    found, _ = linear_consumers(network)
    statistics = {name: LayerStatistics(item) for name, item in found.items()}
    gather(network, dict(statistics), Split(inputs, torch.zeros(50)), 0, torch.device("cpu"))
    with torch.no_grad():
        first = model[0](inputs)
        second = torch.relu(model[1].layer(first))  # type: ignore[operator]
    fitted = torch.arange(50) % 8 != 7
    held_out, wanted = (statistics["1.layer"].held_out[0, :, 1:], torch.cat([first[~fitted], second[~fitted]]))
    torch.testing.assert_close(held_out.T @ held_out, wanted.T @ wanted)
    first, second = first[fitted], second[fitted]
    x = torch.cat([torch.ones(88, 1), torch.cat([first, second])], dim=1).double()
    assert statistics["1.layer"].rows == 88
    a = x.T @ x
    wanted = a / a.diagonal().mean() + 1e-4 * torch.eye(5)
    torch.testing.assert_close(statistics["1.layer"].matrix[0], wanted, atol=1e-6, rtol=1e-5)
