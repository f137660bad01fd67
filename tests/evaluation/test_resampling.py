"""The noise of scores: a paired bootstrap over samples, for any metric."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rlprune.evaluation import resampling
from rlprune.evaluation.resampling import draws_of, paired_interval, resampled_scores
from rlprune.tasks import BinaryTask, RankingTask, RegressionTask, Split, Task, TokenTask

SAMPLES = 200


def inputs(count: int = SAMPLES) -> torch.Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(1))


def task_of(kind: type[Task], targets: torch.Tensor, **more: Any) -> Task:
    split = Split(inputs(len(targets)), targets)
    return kind("toy", calibration=split, validation=split, test=split, **more)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def labels(*shape: int, classes: int) -> torch.Tensor:
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(3))


class OwnScore(Task):
    metric = "share of large margins"

    def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
        top = outputs.topk(2, dim=1).values
        return float((top[:, 0] - top[:, 1] > 0.5).double().mean())


padded = labels(SAMPLES, 6, classes=5)
padded[:, 4:] = -100
CASES: dict[str, tuple[type[Task], dict[str, Any], torch.Tensor, torch.Tensor]] = {
    "accuracy": (Task, {}, draw(SAMPLES, 4), labels(SAMPLES, classes=4)),
    "accuracy of pixels": (Task, {}, draw(SAMPLES, 4, 3, 3), labels(SAMPLES, 3, 3, classes=4)),
    "own score": (OwnScore, {}, draw(SAMPLES, 4), labels(SAMPLES, classes=4)),
    "auc": (BinaryTask, {"metric": "auc"}, draw(SAMPLES), labels(SAMPLES, classes=2)),
    "f1": (BinaryTask, {"metric": "f1"}, draw(SAMPLES), labels(SAMPLES, classes=2)),
    "binary accuracy": (BinaryTask, {}, draw(SAMPLES), labels(SAMPLES, classes=2)),
    "balanced accuracy": (BinaryTask, {"metric": "balanced_accuracy"}, draw(SAMPLES), labels(SAMPLES, classes=2)),
    "r2": (RegressionTask, {}, draw(SAMPLES, 2), draw(SAMPLES, 2, seed=4)),
    "ndcg": (RankingTask, {"metric": "ndcg", "k": 3}, draw(SAMPLES, 8), labels(SAMPLES, classes=8)),
    "hit rate": (RankingTask, {"metric": "hit_rate", "k": 3}, draw(SAMPLES, 8), labels(SAMPLES, classes=8)),
    "mrr": (RankingTask, {"metric": "mrr"}, draw(SAMPLES, 12), labels(SAMPLES, classes=12)),
    "token accuracy": (TokenTask, {}, draw(SAMPLES, 5, 6), padded),
}


@pytest.mark.parametrize("name", CASES)
def test_every_metric_is_computed_on_the_samples_that_were_drawn(name: str) -> None:
    kind, more, outputs, targets = CASES[name]
    task = task_of(kind, targets, **more)
    scores = resampled_scores(task, outputs, targets)
    assert scores.shape == (draws_of(task, SAMPLES),)
    random = np.random.default_rng(0)
    for found in scores[:5]:
        row = torch.from_numpy(random.integers(0, SAMPLES, SAMPLES))
        assert found == pytest.approx(task.score(outputs[row], targets[row]), abs=1e-12)
    np.testing.assert_array_equal(resampled_scores(task, outputs, targets), scores)


def test_the_interval_is_that_of_the_difference_not_of_each() -> None:
    targets = labels(SAMPLES, classes=4)
    task = task_of(Task, targets)
    right = torch.nn.functional.one_hot(targets, 4).float()
    first, second = right.clone(), right.clone()
    first[:100], second[:104] = -first[:100], -second[:104]  # wrong on the same samples, and on four more
    drawn = [resampled_scores(task, outputs, targets) for outputs in (first, second)]
    low, high = paired_interval(*drawn) or (9, 9)
    assert 0 <= low <= 0.02 <= high < 0.05
    assert float(np.quantile(drawn[0], 0.975) - np.quantile(drawn[1], 0.025)) > 0.1  # alone each is far less certain
    assert paired_interval(drawn[0], drawn[0]) == (0.0, 0.0)


@pytest.mark.parametrize("seed", range(3))
def test_networks_that_differ_by_chance_are_within_it(seed: int) -> None:
    targets = labels(SAMPLES, classes=2)
    task = task_of(BinaryTask, targets, metric="auc")
    signal = targets + 1.5 * draw(SAMPLES)
    first, second = (signal + 0.3 * draw(SAMPLES, seed=10 * seed + place) for place in (1, 2))
    low, high = paired_interval(*(resampled_scores(task, one, targets) for one in (first, second))) or (9, 9)
    assert low < 0 < high
    low, high = paired_interval(
        resampled_scores(task, signal, targets), resampled_scores(task, draw(SAMPLES, seed=9), targets)
    ) or (9, 9)
    assert low > 0.1


def test_draws_on_which_a_score_is_not_defined_are_left_out() -> None:
    targets = torch.zeros(SAMPLES, dtype=torch.int64)
    targets[:3] = 1
    task = task_of(BinaryTask, targets, metric="auc")
    drawn = resampled_scores(task, draw(SAMPLES), targets)  # 5% of the draws hold no sample of class 1
    assert 0 < np.isnan(drawn).sum() < len(drawn) / 4
    assert paired_interval(drawn, drawn) == (0.0, 0.0)
    assert paired_interval(np.full(len(drawn), np.nan), drawn) is None
    assert paired_interval(None, drawn) is None


@pytest.mark.parametrize(
    ("kind", "samples", "draws"),
    [
        (OwnScore, 1, 1000),
        (OwnScore, 360, 1000),
        (OwnScore, 4000, 250),
        (OwnScore, 50_000, 200),
        (Task, 1, 10_000),
        (Task, 50_000, 10_000),
        (TokenTask, 4000, 10_000),
        (RankingTask, 4000, 10_000),
        (BinaryTask, 4000, 250),
    ],
)
def test_of_many_samples_there_are_fewer_draws_but_of_sums(kind: type[Task], samples: int, draws: int) -> None:
    assert draws_of(task_of(kind, labels(SAMPLES, classes=2)), samples) == draws


def test_another_seed_moves_the_ends_of_an_interval_little(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = labels(2000, classes=4)
    task, right = task_of(Task, targets), torch.nn.functional.one_hot(targets, 4).float()
    first, second = right.clone(), right.clone()
    first[:100], second[80:200] = -first[:100], -second[80:200]
    ends = []
    for seed in range(4):
        monkeypatch.setattr(resampling, "SEED", seed)
        drawn = [resampled_scores(task, outputs, targets) for outputs in (first, second)]
        ends.append(paired_interval(*drawn))
    low, high = np.array(ends).T
    assert max(np.ptp(low), np.ptp(high)) < 0.05 * (high - low).mean()  # with 500 draws it is 0.1


@pytest.mark.parametrize("kind", [OwnScore, Task])
def test_a_slow_score_may_do_without(kind: type[Task]) -> None:
    outputs, targets = draw(SAMPLES, 4), labels(SAMPLES, classes=4)
    task = task_of(kind, targets)
    task.resamples = 0
    drawn = resampled_scores(task, outputs, targets)
    assert len(drawn) == 0
    assert paired_interval(drawn, drawn) is None
