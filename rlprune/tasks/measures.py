"""What classes are judged by: pure functions of outputs and labels.

The article behind the project measures accuracy as (TP + TN) / (TP + TN + FP + FN), counting true and false positives
and negatives. With two classes that is the share of samples that are classed rightly (top-1); with more, top-1 is it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

Details = dict[str, Any]
"""A measure's name to a number, a list of them, or a matrix; None where a measure is not defined."""

MATRIX_CLASSES = 64
"""With more classes the confusion matrix is left out; :func:`most_confused` stands for it."""
TABLE_CLASSES = 1000
"""With more classes, such as the words of a language, no class is told by itself."""
CONFUSED = 20
PER_CLASS = ("precision", "recall", "f1")
CALIBRATION_BINS = 15
LOWER_IS_BETTER = frozenset({"log_loss", "calibration_error", "perplexity", "mae", "rmse", "fp", "fn"})
"""Of the measures of all ready tasks; of the others, more is better."""


def flat(outputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Every position of every sample as a sample: [N, classes, ...] to [M, classes], and [N, ...] to int64 [M]."""
    classes = outputs.shape[1]
    return outputs.movedim(1, -1).reshape(-1, classes), targets.to(outputs.device, torch.int64).reshape(-1)


def confusion_matrix(predicted: torch.Tensor, labels: torch.Tensor, classes: int) -> torch.Tensor:
    """How often each class was taken for each: ``int64 [classes, classes]``, a row a true class.

    Args:
        predicted, labels: int64 [M] in [0, classes).
    """
    return torch.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def article_accuracy(confusion: torch.Tensor) -> float:
    """(TP + TN) / (TP + TN + FP + FN) of a confusion matrix [2, 2] whose class 1 is the positive one."""
    (tn, fp), (fn, tp) = confusion.tolist()
    return float((tp + tn) / (tp + tn + fp + fn))


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """What precision, recall and F1 are made of; each int64 [classes].

    Attributes:
        right: samples of a class that were taken for it (its true positives).
        support: samples of a class.
        predicted: samples that were taken for it.
    """

    right: torch.Tensor
    support: torch.Tensor
    predicted: torch.Tensor

    @classmethod
    def of(cls, predicted: torch.Tensor, labels: torch.Tensor, classes: int) -> ClassCounts:
        """The counts of labels and answers, both int64 [M] in [0, classes)."""
        counted = (labels[predicted == labels], labels, predicted)
        return cls(*(torch.bincount(chosen, minlength=classes) for chosen in counted))

    @property
    def known(self) -> torch.Tensor:
        """bool [classes]: those that samples have or were taken for. Means are over these, as in scikit-learn."""
        return (self.support + self.predicted) > 0

    @property
    def precision(self) -> torch.Tensor:
        """Of the samples that were taken for a class, the share that is of it: TP / (TP + FP); 0 of none."""
        return _share(self.right, self.predicted)

    @property
    def recall(self) -> torch.Tensor:
        """Of the samples of a class, the share that was taken for it: TP / (TP + FN); 0 of none."""
        return _share(self.right, self.support)

    @property
    def f1(self) -> torch.Tensor:
        """Harmonic mean of both: 2 TP / (2 TP + FP + FN); 0 of none."""
        return _share(2 * self.right, self.support + self.predicted)

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that have samples."""
        return float(self.recall[self.support > 0].mean())

    def macro(self) -> Details:
        """Means over classes, each counting the same."""
        means = {f"macro_{name}": float(getattr(self, name)[self.known].mean()) for name in PER_CLASS}
        return {**means, "balanced_accuracy": self.balanced_accuracy}

    def table(self) -> Details:
        """Lists with one value a class; None for a class that no sample has or was taken for."""
        lists = {f"class_{name}": self._list(getattr(self, name)) for name in PER_CLASS}
        return {**lists, "class_support": self.support.tolist()}

    def of_class(self, label: int) -> Details:
        """The measures of one class by itself: precision, recall and F1."""
        return {name: float(getattr(self, name)[label]) for name in PER_CLASS}

    def _list(self, values: torch.Tensor) -> list[float | None]:
        return [value if known else None for value, known in zip(values.tolist(), self.known.tolist(), strict=True)]


def _share(part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    return part.double() / whole.clamp(min=1)


def top_k(outputs: torch.Tensor, labels: torch.Tensor, k: int) -> float:
    """Share of samples whose class is among the ``k`` that the network holds most likely.

    Args:
        outputs: [M, classes]; classes >= k.
        labels: int64 [M].
    """
    best = outputs.argmax(dim=1, keepdim=True) if k == 1 else outputs.topk(k, dim=1).indices
    return float((best == labels[:, None]).any(dim=1).double().mean())


def most_confused(predicted: torch.Tensor, labels: torch.Tensor, classes: int) -> list[list[int]]:
    """The most frequent mistakes, most frequent first: [true class, taken for, samples]; at most 20."""
    wrong = predicted != labels
    pairs, counts = torch.unique(labels[wrong] * classes + predicted[wrong], return_counts=True)
    order = torch.argsort(counts, descending=True, stable=True)[:CONFUSED]
    found: list[list[int]] = torch.stack([pairs // classes, pairs % classes, counts], dim=1)[order].tolist()
    return found


def log_loss(outputs: torch.Tensor, labels: torch.Tensor) -> float:
    """Mean cross-entropy of the softmax outputs to the labels in nats (float64); its exponential is the perplexity."""
    return float(functional.cross_entropy(outputs.double(), labels))


def calibration_error(outputs: torch.Tensor, labels: torch.Tensor) -> float:
    """Expected calibration error: how far confidence is from accuracy, over 15 equal bins of confidence.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3.
    """
    confidence, predicted = outputs.double().softmax(dim=1).max(dim=1)
    bins = (confidence * CALIBRATION_BINS).ceil().long().clamp(1, CALIBRATION_BINS) - 1
    gap = (predicted == labels).double() - confidence
    sums = torch.zeros(CALIBRATION_BINS, dtype=torch.float64, device=gap.device).index_add_(0, bins, gap)
    return float(sums.abs().sum() / len(labels))


def kl_divergence(outputs: torch.Tensor, dense_outputs: torch.Tensor) -> float:
    """Mean KL(dense || pruned) of softmax outputs [N, classes, ...] in nats; infinite where an output is too large.

    Computed in log space and float64 (Kullback and Leibler 1951).
    """
    log_p = dense_outputs.double().log_softmax(dim=1)
    log_q = outputs.double().to(log_p.device).log_softmax(dim=1)
    # A class that the dense network excludes (log p = -inf) adds nothing, by the limit of p log p.
    terms = torch.where(log_p.isneginf(), torch.zeros_like(log_p), log_p.exp() * (log_p - log_q))
    divergence = float(terms.sum(dim=1).mean())
    return math.inf if math.isnan(divergence) else max(0.0, divergence)


def class_details(outputs: torch.Tensor, targets: torch.Tensor) -> Details:
    """All that is told about classes: shares, means over classes, a table of classes, and who is taken for whom.

    Args:
        outputs: [N, classes, ...] logits; each position counts as a sample.
        targets: [N, ...] integers in [0, classes).

    Returns:
        ``top_1``, ``top_5`` (more than five classes), ``log_loss``, ``calibration_error``; up to 1000 classes
        ``macro_precision``, ``macro_recall``, ``macro_f1`` (means over classes), ``balanced_accuracy`` and the lists
        ``class_precision``, ``class_recall``, ``class_f1``, ``class_support``; ``confusion`` up to 64 classes,
        ``confused`` above. Of two classes, the second being the positive one: ``accuracy`` as the article has it,
        ``tp``, ``tn``, ``fp``, ``fn``, ``precision``, ``recall``, ``f1``.
    """
    logits, labels = flat(outputs, targets)
    classes, predicted = logits.shape[1], logits.argmax(dim=1)
    counts = ClassCounts.of(predicted, labels, classes)
    return {
        "top_1": top_k(logits, labels, 1),
        **({"top_5": top_k(logits, labels, 5)} if classes > 5 else {}),
        **(two_class_details(counts, predicted, labels) if classes == 2 else {}),
        **(counts.macro() if classes <= TABLE_CLASSES else {}),
        "log_loss": log_loss(logits, labels),
        "calibration_error": calibration_error(logits, labels),
        **(counts.table() if classes <= TABLE_CLASSES else {}),
        **_mistakes(predicted, labels, classes),
    }


def two_class_details(counts: ClassCounts, predicted: torch.Tensor, labels: torch.Tensor) -> Details:
    """True and false positives and negatives, the article's accuracy, and precision, recall and F1 of class 1."""
    matrix = confusion_matrix(predicted, labels, 2)
    (tn, fp), (fn, tp) = matrix.tolist()
    return {"accuracy": article_accuracy(matrix), "tp": tp, "tn": tn, "fp": fp, "fn": fn, **counts.of_class(1)}


def _mistakes(predicted: torch.Tensor, labels: torch.Tensor, classes: int) -> Details:
    if classes > MATRIX_CLASSES:
        return {"confused": most_confused(predicted, labels, classes)}
    return {"confusion": confusion_matrix(predicted, labels, classes).tolist()}
