"""What a network is judged on: data splits, a score and a divergence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch

from rlprune.errors import TaskError

Inputs = torch.Tensor | tuple[torch.Tensor, ...]


@dataclass(frozen=True, eq=False)
class Split:
    """Samples that stay together; ``len()`` is their number.

    Attributes:
        inputs: what the network takes, samples first: one tensor, or a tuple of tensors for several arguments.
        targets: what is right, samples first; class labels are integers.

    Raises:
        TaskError: there is no sample, or the first dimensions differ.
    """

    inputs: Inputs
    targets: torch.Tensor

    def __post_init__(self) -> None:
        named = [(f"inputs[{i}]", tensor) for i, tensor in enumerate(self.tensors)] + [("targets", self.targets)]
        for name, tensor in named:
            if not isinstance(tensor, torch.Tensor) or tensor.ndim == 0:
                raise TaskError(f"A split holds tensors with the samples first; {name} is {_kind(tensor)}.")
        counts = {name: len(tensor) for name, tensor in named}
        if len(set(counts.values())) > 1:
            raise TaskError(f"Inputs and targets of a split must have as many samples as each other; got {counts}.")
        if len(self.targets) == 0 or not self.tensors:
            raise TaskError("A split needs at least one sample and one input; it is empty. Check where the data come from.")

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """The inputs as a tuple, also where there is only one."""
        return self.inputs if isinstance(self.inputs, tuple) else (self.inputs,)

    @property
    def sample_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of one sample of each input."""
        return tuple(tuple(tensor.shape[1:]) for tensor in self.tensors)

    def take(self, count: int) -> Split:
        """The first ``count`` samples, or all where there are fewer (``count`` >= 1)."""
        if count < 1:
            raise TaskError(f"At least one sample must be taken; got {count}.")
        first = tuple(tensor[:count] for tensor in self.tensors)
        return Split(first if isinstance(self.inputs, tuple) else first[0], self.targets[:count])


SplitSource = Split | Callable[[], Split]


class Task:
    """Data and metric. Usable as it is for classification; a subclass may score anything.

    Calibration and validation samples are cut from the training data and share no sample; test samples are for one
    measurement at the end. A split given as a function is loaded, and every split is checked, on first use;
    ``loaded`` tells which were.

    For another metric set ``metric`` and override both methods, e.g. for regression::

        class Regression(Task):
            metric = "r2"

            def score(self, outputs, targets):
                return 1 - float((outputs - targets).square().sum() / (targets - targets.mean()).square().sum())

            def divergence(self, outputs, dense_outputs):
                return float((outputs - dense_outputs).square().mean())

    Args:
        name: how the task is called in tables and files.
        calibration: samples that importance, reconstruction and BatchNorm re-estimation may look at.
        validation: samples that the search is scored on; no network of the search may have been trained on them.
        test: samples that are scored once, at the end.
        train: what fine-tuning may use: the training data without the validation samples.
        classes: number of classes; labels are then checked to be integers in [0, classes).
    """

    metric: ClassVar[str] = "accuracy"

    def __init__(
        self,
        name: str,
        *,
        calibration: SplitSource,
        validation: SplitSource,
        test: SplitSource,
        train: SplitSource | None = None,
        classes: int | None = None,
    ) -> None:
        self.name = name
        self.classes = classes
        self._sources = {"calibration": calibration, "validation": validation, "test": test, "train": train}
        self._loaded: dict[str, Split] = {}

    @property
    def calibration(self) -> Split:
        """Samples that importance, reconstruction and BatchNorm re-estimation may look at."""
        return self._split("calibration")

    @property
    def validation(self) -> Split:
        """Samples that the search is scored on."""
        return self._split("validation")

    @property
    def test(self) -> Split:
        """Samples that are scored once, at the end."""
        return self._split("test")

    @property
    def train(self) -> Split:
        """The training data without the validation samples.

        Raises:
            TaskError: the task has no training split.
        """
        return self._split("train")

    @property
    def loaded(self) -> tuple[str, ...]:
        """Names of the splits that were used so far: a search must not leave ``test`` in it."""
        return tuple(self._loaded)

    def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
        """Top-1 accuracy in [0, 1]; higher is better.

        Args:
            outputs: [N, classes, ...] logits.
            targets: [N, ...] integer labels.

        Raises:
            TaskError: the shapes do not fit, the labels are not integers, or an output is NaN.
        """
        _check_logits(self.name, outputs, self.classes)
        if targets.is_floating_point() or targets.shape != outputs.shape[:1] + outputs.shape[2:]:
            raise TaskError(
                f"Accuracy of task {self.name!r} needs integer labels of shape [N, ...] for outputs [N, classes, ...]; got "
                f"{_kind(targets)} for {_kind(outputs)}. For another metric override Task.score and Task.divergence."
            )
        return float((outputs.argmax(dim=1) == targets.to(outputs.device)).double().mean())

    def divergence(self, outputs: torch.Tensor, dense_outputs: torch.Tensor) -> float:
        """Mean Kullback-Leibler divergence KL(dense || pruned) of the softmax outputs in nats; 0 = they agree.

        Computed in log space and float64 (Kullback and Leibler 1951).

        Args:
            outputs: [N, classes, ...] logits of the pruned network.
            dense_outputs: the dense network's logits of the same samples.

        Raises:
            TaskError: the shapes differ or an output is NaN.
        """
        if outputs.shape != dense_outputs.shape:
            raise TaskError(f"Outputs must have the dense network's shape; got {_kind(outputs)} and {_kind(dense_outputs)}.")
        for logits in (outputs, dense_outputs):
            _check_logits(self.name, logits, self.classes)
        log_p = dense_outputs.double().log_softmax(dim=1)
        log_q = outputs.double().to(log_p.device).log_softmax(dim=1)
        # A class that the dense network excludes (log p = -inf) adds nothing, by the limit of p log p.
        terms = torch.where(log_p.isneginf(), torch.zeros_like(log_p), log_p.exp() * (log_p - log_q))
        return max(0.0, float(terms.sum(dim=1).mean()))

    def _split(self, which: str) -> Split:
        if which not in self._loaded:
            split = self._checked(which)
            self._loaded[which] = split
        return self._loaded[which]

    def _checked(self, which: str) -> Split:
        source = self._sources[which]
        if source is None:
            raise TaskError(f"Task {self.name!r} has no {which} split. Give Task(...) one: {which}=Split(inputs, targets).")
        split = source() if callable(source) else source
        where = f"{which} split of task {self.name!r}"
        if not isinstance(split, Split):
            raise TaskError(f"The {where} must be a Split; got {type(split).__name__}.")
        check_finite(split, where)
        if self.classes is not None:
            check_labels(split.targets, self.classes, where)
        for other, known in self._loaded.items():
            if known.sample_shapes != split.sample_shapes:
                shapes = f"{split.sample_shapes} against {known.sample_shapes} in {other}"
                raise TaskError(f"Samples of all splits must have one shape; the {where} has {shapes}.")
        return split


def check_finite(split: Split, where: str) -> None:
    """Refuse inputs and real-valued targets that are NaN or infinite.

    Raises:
        TaskError: it names the first bad sample.
    """
    for tensor in (*split.tensors, split.targets):
        # One reduction finds trouble without a mask as large as the data.
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.sum(dtype=torch.float64))):
            bad = torch.nonzero(~torch.isfinite(tensor.reshape(len(tensor), -1)).all(dim=1))
            raise TaskError(f"Data must be finite; sample {int(bad[0])} of the {where} holds NaN or infinity. Clean the data.")


def check_labels(labels: torch.Tensor, classes: int, where: str) -> None:
    """Refuse labels that are not integers in [0, classes).

    Raises:
        TaskError: it names the first bad label and its sample.
    """
    if labels.is_floating_point() or labels.is_complex() or labels.dtype is torch.bool:
        raise TaskError(f"Labels must be integers in [0, {classes}); the {where} has {labels.dtype}. Convert them with .long().")
    bad = torch.nonzero((labels < 0) | (labels >= classes))
    if len(bad):
        at = tuple(bad[0].tolist())
        raise TaskError(
            f"Labels must be in [0, {classes}); sample {at[0]} of the {where} has label {int(labels[at])}. "
            "Correct the labels or the number of classes."
        )


def _check_logits(name: str, outputs: torch.Tensor, classes: int | None) -> None:
    if outputs.ndim < 2 or (classes is not None and outputs.shape[1] != classes):
        expected = "classes" if classes is None else classes
        raise TaskError(
            f"Task {name!r} needs outputs of shape [N, {expected}, ...]; got {_kind(outputs)}. Is this the network for this task?"
        )
    if bool(outputs.isnan().any()):
        raise TaskError(f"Outputs must be numbers; the network gave NaN on task {name!r}. Check its weights and inputs.")


def _kind(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return type(value).__name__
