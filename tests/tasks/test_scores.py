"""Accuracy and KL divergence."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from rlprune.errors import TaskError
from rlprune.tasks import Split, Task

SPLIT = Split(torch.zeros(2, 4), torch.tensor([0, 1]))
TASK = Task("mine", calibration=SPLIT, validation=SPLIT, test=SPLIT, classes=5)


def logits(seed: int, *shape: int, scale: float = 3.0) -> torch.Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_accuracy_counts_the_right_ones() -> None:
    outputs = torch.eye(5)[[0, 1, 2, 3]]
    assert TASK.score(outputs, torch.tensor([0, 1, 2, 4])) == 0.75
    assert TASK.score(outputs, torch.tensor([0, 1, 2, 3])) == 1.0
    assert TASK.metric == "accuracy"


def test_accuracy_per_pixel() -> None:
    targets = torch.randint(0, 5, (2, 3, 3), generator=torch.Generator().manual_seed(0))
    outputs = functional.one_hot(targets, 5).permute(0, 3, 1, 2).float()
    assert TASK.score(outputs, targets) == 1.0


def test_divergence_is_zero_for_equal_outputs_and_for_outputs_that_differ_by_a_constant() -> None:
    dense = logits(0, 64, 5)
    assert TASK.divergence(dense, dense.clone()) == 0.0
    assert TASK.divergence(dense + 7, dense) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_divergence_is_positive_and_equals_torch(seed: int) -> None:
    dense, pruned = logits(seed, 64, 5), logits(seed + 100, 64, 5)
    expected = functional.kl_div(
        pruned.double().log_softmax(1), dense.double().log_softmax(1), reduction="batchmean", log_target=True
    )
    assert TASK.divergence(pruned, dense) == pytest.approx(float(expected), rel=1e-12)
    assert TASK.divergence(pruned, dense) > 0


def test_divergence_is_of_the_dense_network_from_the_pruned_one() -> None:
    task = Task("two", calibration=SPLIT, validation=SPLIT, test=SPLIT, classes=2)
    dense, pruned = torch.tensor([[0.9, 0.1]]).log(), torch.tensor([[0.5, 0.5]]).log()
    assert task.divergence(pruned, dense) == pytest.approx(0.9 * math.log(1.8) + 0.1 * math.log(0.2), rel=1e-6)
    assert task.divergence(dense, pruned) == pytest.approx(0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(5), rel=1e-6)


def test_tiny_divergences_keep_their_digits() -> None:
    dense = logits(1, 32, 5)
    small = TASK.divergence(dense + 1e-4 * logits(2, 32, 5), dense)
    smaller = TASK.divergence(dense.double() + 5e-5 * logits(2, 32, 5).double(), dense.double())
    assert small / smaller == pytest.approx(4.0, rel=0.02)  # quadratic near zero


def test_divergence_of_large_logits_is_finite() -> None:
    dense, pruned = logits(3, 16, 5, scale=1e4), logits(4, 16, 5, scale=1e4)
    assert math.isfinite(TASK.divergence(pruned, dense))


def test_a_class_that_the_dense_network_excludes_adds_nothing() -> None:
    dense, pruned = logits(5, 4, 5), logits(6, 4, 5)
    dense[:, 2] = -float("inf")
    keep = [0, 1, 3, 4]
    log_p = dense[:, keep].double().log_softmax(1)
    expected = (log_p.exp() * (log_p - pruned.double().log_softmax(1)[:, keep])).sum(1).mean()
    assert TASK.divergence(pruned, dense) == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("outputs", [torch.zeros(2), torch.zeros(2, 4), torch.zeros(2, 6)])
def test_outputs_of_another_task_are_refused(outputs: torch.Tensor) -> None:
    with pytest.raises(TaskError, match=r"needs outputs of shape \[N, 5"):
        TASK.score(outputs, torch.tensor([0, 1]))


def test_outputs_that_are_not_numbers_are_refused() -> None:
    bad = torch.zeros(2, 5)
    bad[1, 1] = float("nan")
    with pytest.raises(TaskError, match="gave NaN on task 'mine'"):
        TASK.score(bad, torch.tensor([0, 1]))
    with pytest.raises(TaskError, match="gave NaN"):
        TASK.divergence(bad, torch.zeros(2, 5))
    with pytest.raises(TaskError, match="gave NaN"):
        TASK.divergence(torch.zeros(2, 5), bad)


def test_outputs_and_targets_must_fit_each_other() -> None:
    with pytest.raises(TaskError, match="dense network's shape"):
        TASK.divergence(torch.zeros(2, 5), torch.zeros(3, 5))
    with pytest.raises(TaskError, match="integer labels"):
        TASK.score(torch.zeros(2, 5), torch.tensor([0, 1, 2]))
    with pytest.raises(TaskError, match=r"override Task\.score"):
        TASK.score(torch.zeros(2, 5), torch.tensor([0.5, 1.5]))


def test_labels_beyond_the_outputs_are_refused_where_the_classes_are_not_stated() -> None:
    task = Task("open", calibration=SPLIT, validation=SPLIT, test=SPLIT)
    with pytest.raises(TaskError, match=r"Labels must be in \[0, 5\)"):
        task.score(torch.zeros(2, 5), torch.tensor([0, 5]))


def test_divergence_of_infinite_outputs_is_infinite() -> None:
    assert TASK.divergence(torch.full((2, 5), math.inf), torch.zeros(2, 5)) == math.inf


class Regression(Task):
    """Scores what is no class."""

    metric = "r2"

    def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
        return 1 - float((outputs - targets).square().sum() / (targets - targets.mean()).square().sum())

    def divergence(self, outputs: torch.Tensor, dense_outputs: torch.Tensor) -> float:
        return float((outputs - dense_outputs).square().mean())


def test_a_subclass_scores_anything() -> None:
    split = Split(torch.zeros(3, 2), torch.tensor([0.5, 1.0, -2.0]))
    task = Regression("curve", calibration=split, validation=split, test=split)
    assert task.classes is None
    assert task.score(split.targets, task.validation.targets) == 1.0
    assert task.divergence(split.targets + 2, split.targets) == pytest.approx(4.0)
