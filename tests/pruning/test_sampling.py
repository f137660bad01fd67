from __future__ import annotations

import pytest
import torch
from torch import nn

from rlprune.networks.listening import Reading
from rlprune.pruning.sampling import sample_rows
from tests.pruning.linear_layers import CASES


def distances(rows: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    return torch.cdist(rows, others, compute_mode="donot_use_mm_for_euclid_dist")


@pytest.mark.parametrize("name", CASES)
def test_all_rows_are_those_of_the_design_matrix(name: str) -> None:
    case = CASES[name]
    inputs = case.inputs(3)
    got, wanted = case.rows(inputs).double(), case.design(inputs).double()
    assert got.shape == wanted.shape
    for group in range(got.shape[1]):
        mine, theirs = got[:, group], wanted[:, group]
        torch.testing.assert_close(mine.T @ mine, theirs.T @ theirs, rtol=1e-5, atol=1e-5)
        apart = distances(mine, theirs)
        assert apart.min(0).values.max() < 1e-5
        assert apart.min(1).values.max() < 1e-5


@pytest.mark.parametrize("name", CASES)
def test_a_share_is_a_selection_without_repetition(name: str) -> None:
    case = CASES[name]
    inputs = case.inputs(4)
    some, every = case.rows(inputs, 0.5), case.rows(inputs)
    assert 0.5 <= len(some) / len(every) < 0.5 + 4 / len(every) + 1e-6
    apart = distances(some.flatten(1), every.flatten(1))
    assert apart.min(1).values.max() < 1e-5
    counts = (distances(every.flatten(1), some.flatten(1)) < 1e-5).sum()
    alike = (distances(some.flatten(1), some.flatten(1)) < 1e-5).sum()
    if name in ("linear", "linear on sequences"):  # rows of convolutions may be equal: all zeros at the border
        assert counts == alike == len(some)


def test_blocks_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlprune.pruning.sampling.BLOCK_ELEMENTS", 1000)
    conv = nn.Conv2d(4, 2, 3, padding=1)
    reading = Reading("x", torch.randn(2, 4, 8, 8), (1, 1), (1, 1), (1, 1), (0, 0))
    blocks = list(sample_rows(reading, conv.kernel_size, 1.0, torch.Generator()))
    assert len(blocks) > 1
    assert all(block.numel() <= 1000 for block in blocks)
    assert sum(len(block) for block in blocks) == 2 * 8 * 8


def test_the_inputs_are_left_alone() -> None:
    case = CASES["conv3x3"]
    inputs = case.inputs(2)
    before = inputs.clone()
    case.rows(inputs)
    assert torch.equal(inputs, before)
