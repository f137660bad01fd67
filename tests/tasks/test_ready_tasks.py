"""Ready tasks: one logit, numbers, rankings, tokens; against scikit-learn, and what each refuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from torch.nn import functional

from rlprune.errors import TaskError
from rlprune.tasks import BinaryTask, RankingTask, RegressionTask, Split, Task, TokenTask
from rlprune.tasks.details import plain_details
from rlprune.tasks.judging import divergence_of
from rlprune.tasks.measures import kl_divergence

SEEDS = st.integers(0, 2**31 - 1)
LABELS = torch.tensor([0, 1, 1, 0])


def made(kind: type[Task], targets: torch.Tensor = LABELS, **settings: Any) -> Any:
    split = Split(torch.zeros(len(targets), 2), targets)
    return kind("mine", calibration=split, validation=split, test=split, **settings)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def whole(seed: int, high: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(seed + 1))


# One logit.


@given(SEEDS)
def test_one_logit_is_scored_as_scikit_learn_does(seed: int) -> None:
    logit, labels = normal(seed, 50), torch.cat([whole(seed, 2, 48), torch.tensor([0, 1])])
    truth, taken = labels.numpy(), (logit > 0).long().numpy()
    expected = {
        "accuracy": metrics.accuracy_score(truth, taken),
        "auc": metrics.roc_auc_score(truth, logit.numpy()),
        "f1": metrics.f1_score(truth, taken, zero_division=0),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, taken),
    }
    for metric, value in expected.items():
        task = made(BinaryTask, metric=metric)
        assert task.metric == metric
        for outputs in (logit, logit[:, None], task.outputs(logit)):
            assert task.score(outputs, labels) == pytest.approx(value)
        assert task.details(logit, labels)[metric] == pytest.approx(value)


@given(SEEDS)
def test_divergence_of_one_logit_is_that_of_both_probabilities(seed: int) -> None:
    pruned, dense = normal(seed, 20), normal(seed + 1, 20)
    p, q = dense.double().sigmoid(), pruned.double().sigmoid()
    expected = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()
    task = made(BinaryTask)
    assert task.divergence(pruned, dense) == pytest.approx(float(expected), rel=1e-6)
    assert task.divergence(dense, dense) == 0


def test_auc_of_logits_that_overflow_is_a_number() -> None:
    outputs = torch.tensor([-math.inf, math.inf, 1.0, 0.0])
    assert made(BinaryTask, metric="auc").score(outputs, LABELS) == 1.0


def test_the_auc_is_told_where_there_are_both_classes() -> None:
    task = made(BinaryTask)
    assert task.details(torch.tensor([1.0, 2.0]), torch.tensor([1, 1]))["auc"] is None


# Numbers.


@given(SEEDS, st.sampled_from([(), (1,), (3,)]))
def test_numbers_are_scored_as_scikit_learn_does(seed: int, sizes: tuple[int, ...]) -> None:
    truth, guess = (5 + normal(number, 30, *sizes).double() for number in (seed, seed + 1))
    task, found = made(RegressionTask), made(RegressionTask).details(guess, truth)
    assert task.score(guess, truth) == found["r2"] == pytest.approx(metrics.r2_score(truth.numpy(), guess.numpy()))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(truth.numpy(), guess.numpy()))
    flat = truth.reshape(-1).numpy(), guess.reshape(-1).numpy()
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(*flat))
    share = ((guess - truth) ** 2).double().mean(0) / truth.double().var(0, correction=0)
    assert task.divergence(guess, truth) == pytest.approx(float(share.mean()))


def test_a_column_of_values_is_the_same_as_the_values() -> None:
    truth, guess = normal(0, 30), normal(1, 30)
    task = made(RegressionTask)
    assert task.score(guess[:, None], truth) == task.score(guess, truth)  # and not the mean over 30 x 30 pairs


def test_values_count_the_same_whatever_their_unit() -> None:
    truth, guess, unit = normal(0, 30, 2), normal(1, 30, 2), torch.tensor([1.0, 1000.0])
    task = made(RegressionTask)
    assert task.score(guess * unit, truth * unit) == pytest.approx(task.score(guess, truth))
    assert task.divergence(guess * unit, truth * unit) == pytest.approx(task.divergence(guess, truth))


def test_values_that_overflow_are_as_bad_as_wrong_networks() -> None:
    task = made(RegressionTask)
    assert task.score(torch.full((4,), math.inf), normal(0, 4)) == task.worst_score


# Rankings.


@given(SEEDS, st.integers(1, 7))
def test_ndcg_is_that_of_scikit_learn(seed: int, k: int) -> None:
    scores, relevance = normal(seed, 12, 8), whole(seed, 4, 12, 8).float()
    relevance[:, 0] += 1
    task = made(RankingTask, k=k)
    assert task.metric == f"ndcg@{k}"
    assert task.score(scores, relevance) == pytest.approx(metrics.ndcg_score(relevance, scores, k=k))


@given(SEEDS, st.integers(1, 7))
def test_the_place_of_the_right_item_decides(seed: int, k: int) -> None:
    scores, right = normal(seed, 12, 8), whole(seed, 8, 12)
    places = 1 + (scores > scores.gather(1, right[:, None])).sum(dim=1).double()
    found = made(RankingTask, k=k).details(scores, right)
    assert found["mrr"] == pytest.approx(float((1 / places).mean()))
    assert found[f"hit_rate@{k}"] == pytest.approx(metrics.top_k_accuracy_score(right, scores, k=k, labels=range(8)))
    assert found[f"ndcg@{k}"] == pytest.approx(float(((places <= k) / (1 + places).log2()).mean()))
    one_hot = functional.one_hot(right, 8)
    assert made(RankingTask, k=k).details(scores, one_hot) == pytest.approx(found)


def test_a_network_that_scores_all_items_alike_earns_nothing() -> None:
    found = made(RankingTask, k=3).details(torch.zeros(5, 10), torch.tensor([0, 2, 4, 6, 9]))
    assert found == {"ndcg@3": 0.0, "hit_rate@3": 0.0, "mrr": pytest.approx(0.1)}


# Tokens.


@given(SEEDS)
def test_tokens_count_where_they_are_not_ignored(seed: int) -> None:
    answer, targets = normal(seed, 3, 5, 7), whole(seed, 7, 3, 5)
    targets[1, 2:] = -100
    task, counted = made(TokenTask), targets != -100
    outputs = task.outputs(answer)
    assert outputs.shape == (3, 7, 5)
    found = task.details(outputs, targets)
    right = (answer.argmax(dim=2) == targets)[counted].double().mean()
    assert task.score(outputs, targets) == found["top_1"] == pytest.approx(float(right))
    loss = functional.cross_entropy(outputs, targets, ignore_index=-100)
    assert float(found["perplexity"]) == pytest.approx(math.exp(loss), rel=1e-5)


@given(SEEDS)
def test_what_padding_answers_changes_no_measure(seed: int) -> None:
    answer, dense, targets = normal(seed, 3, 5, 7), normal(seed + 1, 3, 5, 7), whole(seed, 7, 3, 5)
    targets[1, 2:] = -100
    task, other = made(TokenTask), torch.where((targets == -100)[..., None], 9 * answer.flip(2), answer)
    first, second, wanted = (task.outputs(each) for each in (answer, other, dense))
    assert divergence_of(task, first, wanted, targets) == divergence_of(task, second, wanted, targets)
    kept = kl_divergence(answer[targets != -100], dense[targets != -100])
    assert divergence_of(task, first, wanted, targets) == pytest.approx(kept)
    assert task.details(first, targets) == task.details(second, targets)


# What each refuses.

REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: made(BinaryTask, metric="accurac"), "Unknown metric of a BinaryTask 'accurac'. Did you mean 'accuracy'"),
    (lambda: made(BinaryTask).score(torch.zeros(4, 3), LABELS), r"needs one logit a sample, \[N\] or \[N, 1\]; got"),
    (lambda: made(BinaryTask).score(torch.zeros(4), LABELS.float()), "integer labels"),
    (lambda: made(BinaryTask).score(torch.zeros(4), LABELS + 1), r"Labels must be in \[0, 2\)"),
    (lambda: made(BinaryTask).score(torch.zeros(4), LABELS[:3]), "integer labels"),
    (lambda: made(BinaryTask).score(torch.full((4,), math.nan), LABELS), "gave NaN"),
    (
        lambda: made(BinaryTask, metric="auc").score(torch.zeros(4), torch.ones(4, dtype=torch.long)),
        "The AUC needs samples of both classes; the targets of task 'mine' are all of class 1",
    ),
    (lambda: made(RegressionTask).score(torch.zeros(4, 2), torch.rand(4)), "needs a target for every value"),
    (lambda: made(RegressionTask).score(torch.zeros(4), torch.rand(3)), "needs a target for every value"),
    (lambda: made(RegressionTask).score(torch.zeros(4), torch.full((4,), 0.1)), "R2 is undefined"),
    (lambda: made(RegressionTask).divergence(torch.rand(4), torch.ones(4)), "answers the same to each"),
    (lambda: made(RegressionTask).divergence(torch.rand(4), torch.ones(4, 1)), "dense network's shape"),
    (lambda: made(RegressionTask).score(torch.full((4,), math.nan), torch.rand(4)), "gave NaN"),
    (
        lambda: made(RegressionTask).score(torch.rand(4), torch.tensor([1, 2, math.nan, 4])),
        "must be finite; the targets",
    ),
    (lambda: made(RankingTask, metric="map"), "Unknown metric of a RankingTask 'map'"),
    (lambda: made(RankingTask, k=0), "at least 1; 0 came"),
    (lambda: made(RankingTask).score(torch.zeros(4, 9), LABELS), "at least k = 10 items"),
    (lambda: made(RankingTask).score(torch.zeros(4, 10, 2), LABELS), "needs scores"),
    (lambda: made(RankingTask).score(torch.zeros(4, 10), LABELS + 10), r"Labels must be in \[0, 10\)"),
    (lambda: made(RankingTask).score(torch.zeros(4, 10), torch.zeros(4, 11)), r"relevances \[N, 10\]"),
    (lambda: made(RankingTask).score(torch.zeros(4, 10), -torch.ones(4, 10)), "at least 0; the targets"),
    (lambda: made(RankingTask).score(torch.zeros(4, 10), torch.full((4, 10), math.inf)), "must be finite; the targets"),
    (
        lambda: made(RankingTask).score(torch.zeros(2, 10), torch.tensor([[1.0] * 10, [0.0] * 10])),
        "Every query needs a relevant item; query 1 of the targets of task 'mine' has none",
    ),
    (lambda: made(TokenTask).score(torch.zeros(4, 3, 2), torch.full((4, 2), -100)), "Some position must count"),
    (lambda: made(TokenTask).score(torch.zeros(4, 3, 2), torch.full((4, 2), -1)), r"Labels must be in \[0, 3\)"),
    (lambda: made(TokenTask).score(torch.zeros(4, 3, 2), torch.zeros(4, 3).long()), "integer labels"),
]


@pytest.mark.parametrize(("call", "says"), REFUSED)
def test_what_does_not_fit_is_named(call: Callable[[], object], says: str) -> None:
    with pytest.raises(TaskError, match=says):
        call()


@pytest.mark.parametrize(
    ("task", "outputs"),
    [
        (made(BinaryTask, torch.zeros(4, dtype=torch.long), metric="auc"), torch.rand(3)),
        (made(RegressionTask, torch.ones(4)), torch.rand(3)),
        (made(RankingTask, torch.zeros(4, 10)), torch.rand(3, 10)),
        (made(TokenTask, torch.full((4, 2), -100)), torch.rand(3, 5, 2)),
    ],
)
def test_test_targets_are_refused_before_the_search(task: Task, outputs: torch.Tensor) -> None:
    with pytest.raises(TaskError, match="test split"):
        task.check_test_targets(outputs)
    assert task.loaded == ()


def test_a_task_that_scores_in_its_own_way_tells_no_details_of_classes() -> None:
    class Own(Task):
        def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
            return 0.5

    assert made(Own).details(torch.zeros(4, 2), LABELS) == {}
    made(Own).check_test_targets(torch.zeros(4))


def test_details_become_plain_values() -> None:
    told = {"a": torch.tensor(0.5), "b": math.inf, "c": torch.eye(2), "d": None, "e": (1, 2.0)}
    assert plain_details(told, "mine") == {"a": 0.5, "b": None, "c": [[1, 0], [0, 1]], "d": None, "e": [1, 2]}
    for wrong in ({"a": "text"}, {"a": [[[1]]]}, {"a": True}, {"a": {}}):
        with pytest.raises(TaskError, match="'a' in the details of task 'mine' must be a number"):
            plain_details(wrong, "mine")
    for other in ([1], {1: 2}):
        with pytest.raises(TaskError, match="must be a dict of names to numbers"):
            plain_details(other, "mine")
