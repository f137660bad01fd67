"""Measures of classes against scikit-learn, and the article's formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn import metrics
from torch.nn import functional

from rlprune.tasks import measures
from rlprune.tasks.measures import ClassCounts, article_accuracy, class_details, confusion_matrix, top_k

SEEDS = st.integers(0, 2**31 - 1)


def drawn(seed: int, samples: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that are right about every other time, of classes that are not all there."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (samples,), generator=generator)
    hint = 2 * functional.one_hot(labels, classes)
    return torch.randn(samples, classes, generator=generator) + hint, labels


@given(SEEDS, st.integers(1, 60), st.integers(2, 9))
@example(147843, 1, 2)
def test_everything_about_classes_is_what_scikit_learn_says(seed: int, samples: int, classes: int) -> None:
    logits, labels = drawn(seed, samples, classes)
    predicted, found = logits.argmax(dim=1), class_details(logits, labels)
    truth, taken = labels.numpy(), predicted.numpy()
    assert found["confusion"] == metrics.confusion_matrix(truth, taken, labels=range(classes)).tolist()
    assert found["top_1"] == pytest.approx(metrics.accuracy_score(truth, taken))
    for average, form in (("macro", "macro_{}"), (None, "class_{}")):
        labelled = None if average else list(range(classes))
        precision, recall, f1, support = metrics.precision_recall_fscore_support(
            truth, taken, labels=labelled, average=average, zero_division=0
        )
        for name, expected in (("precision", precision), ("recall", recall), ("f1", f1)):
            assert np.nan_to_num(np.array(found[form.format(name)], dtype=float)) == pytest.approx(expected)
    assert found["class_support"] == support.tolist()
    assert found["balanced_accuracy"] == pytest.approx(np.mean([recall[label] for label in set(truth.tolist())]))
    probabilities = logits.double().softmax(dim=1).numpy()
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, probabilities, labels=range(classes)), rel=1e-9)


@given(SEEDS, st.integers(6, 12), st.integers(1, 5))
def test_top_k_is_what_scikit_learn_says(seed: int, classes: int, k: int) -> None:
    logits, labels = drawn(seed, 40, classes)
    expected = metrics.top_k_accuracy_score(labels.numpy(), logits.numpy(), k=k, labels=range(classes))
    assert top_k(logits, labels, k) == pytest.approx(expected)
    assert ("top_5" in class_details(logits, labels)) is (classes > 5)


@given(SEEDS, st.integers(1, 80))
def test_the_formula_of_the_article_is_the_top_1_accuracy_of_two_classes(seed: int, samples: int) -> None:
    logits, labels = drawn(seed, samples, 2)
    found = class_details(logits, labels)
    tp, tn, fp, fn = (found[name] for name in ("tp", "tn", "fp", "fn"))
    assert (tp + tn) / (tp + tn + fp + fn) == found["accuracy"] == found["top_1"]
    assert (tp, fn) == ((labels & logits.argmax(1)).sum(), (labels & (1 - logits.argmax(1))).sum())
    expected = metrics.precision_recall_fscore_support(
        labels.numpy(), logits.argmax(1).numpy(), average="binary", zero_division=0
    )
    assert [found[name] for name in ("precision", "recall", "f1")] == pytest.approx(expected[:3])


def test_the_formula_by_hand() -> None:
    truth, taken = torch.tensor([1, 1, 1, 0, 0, 0, 0, 0]), torch.tensor([1, 1, 0, 0, 0, 0, 1, 1])
    matrix = confusion_matrix(taken, truth, 2)
    assert matrix.tolist() == [[3, 2], [1, 2]]
    assert article_accuracy(matrix) == 5 / 8


def test_a_class_that_nothing_is_of_and_nothing_was_taken_for_counts_nowhere() -> None:
    counts = ClassCounts.of(torch.tensor([0, 1]), torch.tensor([0, 1]), 3)
    assert counts.macro()["macro_recall"] == 1.0
    assert counts.table()["class_recall"] == [1.0, 1.0, None]


def test_positions_count_as_samples() -> None:
    logits, labels = drawn(0, 30, 4)
    images = logits.reshape(5, 2, 3, 4).permute(0, 3, 1, 2)
    assert class_details(images, labels.reshape(5, 2, 3)) == class_details(logits, labels)


def test_calibration_error_of_a_network_that_is_sure_and_half_right_is_one_half() -> None:
    logits = torch.tensor([[30.0, 0.0], [30.0, 0.0]])
    assert measures.calibration_error(logits, torch.tensor([0, 1])) == pytest.approx(0.5)
    even = torch.zeros(4, 2)
    assert measures.calibration_error(even, torch.tensor([0, 0, 1, 1])) == pytest.approx(0.0)
    assert measures.calibration_error(even, torch.tensor([0, 0, 0, 0])) == pytest.approx(0.5)


def test_many_classes_are_told_by_their_most_frequent_mistakes() -> None:
    labels = torch.tensor([7, 7, 7, 3, 3, 1])
    taken = torch.tensor([9, 9, 7, 5, 3, 0])
    logits = functional.one_hot(taken, 70).float()
    found = class_details(logits, labels)
    assert found["confused"] == [[7, 9, 2], [1, 0, 1], [3, 5, 1]]
    assert "confusion" not in found
    assert "class_recall" not in class_details(functional.one_hot(taken, 1001).float(), labels)
