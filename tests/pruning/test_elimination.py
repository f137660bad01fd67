from __future__ import annotations

import pytest
import torch

from rlprune.pruning import elimination
from rlprune.pruning.elimination import Consumers, eliminate

Problem = tuple[torch.Tensor, torch.Tensor, int]


def problem(channels: int, size: int, outputs: int, seed: int) -> Problem:
    """A, W and the inputs of one channel."""
    generator = torch.Generator().manual_seed(seed)
    columns = channels * size
    mixing = torch.eye(columns, dtype=torch.float64) + 0.5 * torch.randn(
        columns, columns, dtype=torch.float64, generator=generator
    )
    x = torch.randn(3 * columns, columns, dtype=torch.float64, generator=generator) @ mixing
    a = x.T @ x / len(x) + 1e-3 * torch.eye(columns, dtype=torch.float64)
    return a, torch.randn(outputs, columns, dtype=torch.float64, generator=generator), size


def remaining_error(a: torch.Tensor, w: torch.Tensor, kept: torch.Tensor) -> float:
    """tr(W_R S W_R^T) with the Schur complement S of the kept inputs: the least squares error, directly."""
    gone = torch.ones(len(a), dtype=torch.bool).index_fill_(0, kept, False)
    schur = a[gone][:, gone] - a[gone][:, kept] @ torch.linalg.solve(a[kept][:, kept], a[kept][:, gone])
    return float(((w[:, gone] @ schur) * w[:, gone]).sum())


def columns_of(channels: torch.Tensor, size: int) -> torch.Tensor:
    return (channels[:, None] * size + torch.arange(size)).flatten()


def brute_force(problems: list[Problem], channels: int) -> list[int]:
    """Backward elimination by solving every candidate anew, most important first."""
    left, removed = list(range(channels)), []
    while left:
        costs = []
        for candidate in left:
            rest = torch.tensor([channel for channel in left if channel != candidate], dtype=torch.int64)
            costs.append(sum(remaining_error(a, w, columns_of(rest, size)) for a, w, size in problems))
        removed.append(left.pop(min(range(len(left)), key=costs.__getitem__)))
    return removed[::-1]


def consumers(problems: list[Problem], dtype: torch.dtype = torch.float64) -> list[Consumers]:
    """Those with channels of one size together."""
    found = []
    for wanted in sorted({size for _, _, size in problems}):
        alike = [(index, a, w) for index, (a, w, size) in enumerate(problems) if size == wanted]
        inverse = torch.stack([torch.linalg.inv(a) for _, a, _ in alike]).to(dtype)
        gram = torch.stack([w.T @ w for _, _, w in alike]).to(dtype)
        found.append(Consumers(inverse, gram, wanted, [index for index, _, _ in alike]))
    return found


@pytest.mark.parametrize("panel", [1, 4, 128])
def test_order_and_errors_are_those_of_brute_force(panel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elimination, "PANEL_COLUMNS", panel)
    problems = [problem(9, 1, 4, 0), problem(9, 3, 5, 1), problem(9, 1, 12, 2)]
    found = eliminate(consumers(problems))
    assert found.order.tolist() == brute_force(problems, 9)
    for row, (a, w, size) in zip(found.errors, problems, strict=True):
        wanted = [remaining_error(a, w, columns_of(found.order[:k], size)) for k in range(10)]
        torch.testing.assert_close(row, torch.tensor(wanted, dtype=torch.float64))
        assert (row.diff() <= 0).all()


def test_a_given_order_is_kept_and_costed() -> None:
    a, w, size = problem(8, 2, 3, 3)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    found = eliminate(consumers([(a, w, size)]), order=order)
    assert torch.equal(found.order, order)
    wanted = [remaining_error(a, w, columns_of(order[:k], size)) for k in range(9)]
    torch.testing.assert_close(found.errors[0], torch.tensor(wanted, dtype=torch.float64))


def test_groups_of_a_convolution_count_together() -> None:
    (a, w, _), (b, v, _) = problem(7, 1, 3, 4), problem(7, 1, 3, 5)
    apart = eliminate(consumers([(a, w, 1), (b, v, 1)]))
    [one] = consumers([(a, w, 1), (b, v, 1)])
    found = eliminate([Consumers(one.inverse, one.gram, 1, [0, 0])])
    assert torch.equal(found.order, apart.order)
    torch.testing.assert_close(found.errors[0], apart.errors.sum(0))


def test_fixed_costs_alone_are_a_sort() -> None:
    costs = torch.tensor([[3.0, 1.0, 2.0], [0.5, 0.0, 4.0]], dtype=torch.float64)
    found = eliminate([], costs)
    assert found.order.tolist() == [2, 0, 1]
    torch.testing.assert_close(found.errors, torch.tensor([[6.0, 4, 1, 0], [4.5, 0.5, 0, 0]], dtype=torch.float64))


def test_single_precision_finds_the_same_order() -> None:
    problems = [problem(60, 1, 20, 6), problem(60, 3, 30, 7)]
    exact, rounded = eliminate(consumers(problems)), eliminate(consumers(problems, torch.float32))
    same = set(exact.order[:30].tolist()) & set(rounded.order[:30].tolist())
    assert len(same) >= 29
    torch.testing.assert_close(rounded.errors, exact.errors, rtol=1e-2, atol=1e-3 * float(exact.errors.max()))
