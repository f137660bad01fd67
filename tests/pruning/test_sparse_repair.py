"""Least squares for weights that were removed one by one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlprune.pruning import sparse_repair
from rlprune.pruning.sparse_repair import exact, refit, rough, sparse_repaired
from tests.pruning.linear_layers import CASES


def output_change(theta: torch.Tensor, other: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """(theta' - theta) A (theta' - theta)^T of each row, ``[outputs]``: what the refit makes smallest."""
    step = other - theta
    return ((step @ matrix) * step).sum(1)


def problem(outputs: int, columns: int, density: float, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Dense rows, supports of different sizes, and A of correlated inputs."""
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randn(outputs, columns, generator=generator, dtype=torch.float64)
    kept = torch.rand(outputs, columns, generator=generator) < density
    x = torch.randn(3 * columns, columns, generator=generator, dtype=torch.float64)
    x = x + 0.9 * x.roll(1, 1)
    return theta, kept, x.T @ x / len(x) + 1e-4 * torch.eye(columns, dtype=torch.float64)


@pytest.mark.parametrize("density", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("fill", [0.0, 0.1])
def test_it_is_least_squares_on_each_rows_own_support(density: float, fill: float) -> None:
    theta, kept, matrix = problem(7, 12, density, seed=1)
    root = torch.linalg.cholesky(matrix).T  # ||root d||^2 = d A d
    fitted = refit(theta, kept, matrix, fill)
    for row, free, found in zip(theta, kept, fitted, strict=True):
        target = root @ row - root[:, ~free].sum(1) * fill
        wanted = torch.linalg.lstsq(root[:, free], target[:, None], driver="gelsd").solution[:, 0]
        torch.testing.assert_close(found[free], wanted)
        assert torch.equal(found[~free], torch.full_like(found[~free], fill))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.floats(0, 1), st.integers(0, 1000), st.sampled_from([0.0, -0.05]))
def test_its_error_is_never_above_the_unrepaired_one(density: float, seed: int, fill: float) -> None:
    theta, kept, matrix = problem(5, 9, density, seed)
    cut = torch.where(kept, theta, fill)
    before, after = (output_change(theta, other, matrix) for other in (cut, refit(theta, kept, matrix, fill)))
    assert bool((after <= before * (1 + 1e-9) + 1e-12).all())


def roughly(theta: torch.Tensor, kept: torch.Tensor, matrix: torch.Tensor, fill: float = 0.0) -> torch.Tensor:
    return rough(theta[None], kept[None], matrix[None], fill)[0]


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1), st.integers(0, 1000), st.sampled_from([0.0, -0.05]), st.sampled_from([1.0, 1e-25, 1e25]))
def test_a_rough_refit_lies_between_the_cut_and_the_exact_one(
    density: float, seed: int, fill: float, size: float
) -> None:
    theta, kept, matrix = problem(5, 40, density, seed)
    cut = torch.where(kept, theta * size, fill * size)
    ways = cut, roughly(theta * size, kept, matrix, fill * size), refit(theta * size, kept, matrix, fill * size)
    worst, found, best = (output_change(theta, way / size, matrix) for way in ways)
    assert bool((found <= worst * (1 + 1e-5) + 1e-9).all())
    assert bool((found >= best * (1 - 1e-5) - 1e-9).all())
    assert torch.equal(ways[1][~kept], cut[~kept])


@pytest.mark.parametrize("density", [0.2, 0.5, 0.8])
def test_a_rough_refit_wins_most_of_what_an_exact_one_does(density: float) -> None:
    theta, kept, matrix = problem(20, 100, density, seed=4)
    ways = torch.where(kept, theta, 0.0), roughly(theta, kept, matrix), refit(theta, kept, matrix)
    worst, found, best = (float(output_change(theta, way, matrix).sum()) for way in ways)
    assert found - best < 0.1 * (worst - best)


def test_groups_are_refitted_each_by_its_own_moments() -> None:
    problems = [problem(4, 12, 0.5, seed) for seed in (5, 6)]
    theta, kept, matrix = (torch.stack(parts) for parts in zip(*problems, strict=True))
    for refit_groups, alone in ((exact, refit), (rough, roughly)):
        wanted = torch.stack([alone(*each, 0.1) for each in problems])  # type: ignore[operator]
        torch.testing.assert_close(refit_groups(theta, kept, matrix, 0.1), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("way", [refit, roughly])
def test_a_full_mask_changes_nothing(way: Callable[..., torch.Tensor]) -> None:
    theta, _, matrix = problem(5, 9, 0.5, seed=2)
    assert torch.equal(way(theta, torch.ones_like(theta, dtype=torch.bool), matrix), theta)


def test_rows_that_lose_nothing_or_all_among_others() -> None:
    theta, kept, matrix = problem(6, 9, 0.4, seed=3)
    kept[0], kept[1] = True, False
    fitted = refit(theta, kept, matrix)
    torch.testing.assert_close(fitted[0], theta[0])
    assert not fitted[1].any()


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    theta, kept, matrix = problem(20, 15, 0.4, seed=4)
    wanted = refit(theta, kept, matrix)
    monkeypatch.setattr(sparse_repair, "BATCH_ELEMENTS", 100)
    torch.testing.assert_close(refit(theta, kept, matrix), wanted)


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_layer_gets_closer_to_its_dense_outputs(name: str) -> None:
    case = CASES[name]
    rows = case.rows(case.inputs(40))
    statistics = case.statistics(rows, ridge=1e-9)
    coefficients = case.coefficients
    mask = torch.rand(coefficients.weight.shape, generator=torch.Generator().manual_seed(5)) < 0.5
    weight, bias = sparse_repaired(statistics, mask)
    assert weight.shape == coefficients.weight.shape
    assert not weight[~mask].any()
    assert (bias is None) == (coefficients.bias is None)

    def error(matrix: torch.Tensor, bias: torch.Tensor | None) -> float:
        own = (
            type(coefficients)(matrix, bias, coefficients.out_dim, coefficients.in_dim, coefficients.groups).theta()
            - coefficients.theta()
        )
        x = rows.double()
        if bias is not None:
            x = torch.cat([x.new_ones(*x.shape[:2], 1), x], dim=2)
        return float(torch.einsum("ngc,goc->ngo", x, own).square().mean())

    cut = error(torch.where(mask, coefficients.weight, 0.0), coefficients.bias)
    assert error(weight, bias) < 0.95 * cut


def test_a_full_mask_leaves_a_layer_bit_for_bit() -> None:
    case = CASES["strided, biased"]
    weight, bias = sparse_repaired(
        case.statistics(case.rows(case.inputs(10))), torch.ones(5, 6, 3, 3, dtype=torch.bool)
    )
    assert bias is not None
    assert torch.equal(weight, case.coefficients.weight)
    assert torch.equal(bias, case.coefficients.bias)  # type: ignore[arg-type]
