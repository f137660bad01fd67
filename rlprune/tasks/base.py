"""What a network is judged on: data splits, a score and a divergence."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from rlprune.arrays import FloatArray
from rlprune.errors import TaskError
from rlprune.tasks.answers import scored_tensor
from rlprune.tasks.measures import LOWER_IS_BETTER, Details, class_details, kl_divergence
from rlprune.tasks.overlap import check_apart, sample_digests
from rlprune.tasks.split import Split, check_finite, check_labels, tensor_kind

SplitSource = Split | Callable[[], Split]
APART = ("calibration", "validation", "test")


class Task:
    """Data and metric. Usable as it is for classification; a subclass may score anything.

    Ready for other things: :class:`~rlprune.tasks.BinaryTask` (one logit), :class:`~rlprune.tasks.RegressionTask`,
    :class:`~rlprune.tasks.RankingTask` and :class:`~rlprune.tasks.TokenTask`.

    Calibration and validation samples are cut from the training data and share no sample; test samples are for one
    measurement at the end. A split given as a function is loaded, and every split is checked, on first use or by
    :meth:`check`; ``loaded`` tells which were used.

    A network may answer with more than one tensor; :meth:`outputs` says which is scored. For another metric set
    ``metric`` and override :meth:`score` and :meth:`divergence`, and :meth:`details` for what reports show beside::

        class Poses(Task):
            metric = "share of joints within 5 px"

            def score(self, outputs, targets):
                return float(((outputs - targets).norm(dim=-1) < 5).double().mean())

            def divergence(self, outputs, dense_outputs):
                return float((outputs - dense_outputs).square().mean())

            def details(self, outputs, targets):
                return {"mean_distance": (outputs - targets).norm(dim=-1).mean()}

    Args:
        name: how the task is called in tables and files.
        calibration: samples that importance, reconstruction and BatchNorm re-estimation may look at.
        validation: samples that the search is scored on; no network of the search may have been trained on them.
        test: samples that are scored once, at the end.
        train: what fine-tuning may use: the training data without the validation samples.
        classes: number of classes; labels are then checked to be integers in [0, classes).
    """

    metric: str = "accuracy"
    lower_is_better: frozenset[str] = LOWER_IS_BETTER
    """Names in :meth:`details` of which less is better."""
    worst_score: float = 0.0
    """What a network counts as that computes something wrong: no more than any that works."""
    resamples: int = 1000
    """How often :meth:`score` is computed on resampled samples at most, to know its noise; 0 where it is too slow."""

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
        self._splits: dict[str, Split] = {}
        self._used: list[str] = []

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
        return tuple(self._used)

    def check(self) -> None:
        """Load calibration, validation and test samples and check them, before hours are spent on them.

        No network sees the test samples by this, and ``loaded`` does not count them as used.

        Raises:
            TaskError: a split cannot be loaded or holds bad values or labels, or two share more than 1% of the samples
                (see :func:`rlprune.tasks.overlap.check_apart`).
        """
        digests = {which: sample_digests(self._known(which)) for which in APART}
        for first, second in itertools.combinations(APART, 2):
            check_apart((first, second), digests[first], digests[second])

    def check_test_targets(self, outputs: torch.Tensor) -> None:
        """Refuse test targets that :meth:`score` would refuse at the end, where it is the one of a ready task.

        Args:
            outputs: [N, classes, ...] of validation samples; nothing is run on test samples.

        Raises:
            TaskError: see :meth:`score`.
        """
        if _owner(self, "score") is _owner(self, "_check_targets"):
            self._check_targets(outputs, self._known("test").targets.to(outputs.device), "test split")

    def outputs(self, answer: Any) -> torch.Tensor:
        """The tensor of a network's answer that :meth:`score` and :meth:`divergence` take, samples first.

        By default the answer itself, its ``logits``, its only floating-point tensor, or the first of a tuple. Override
        it to take another, or to move the classes of a sequence to where they are scored::

            def outputs(self, answer):
                return answer.logits.transpose(1, 2)  # [N, positions, classes] -> [N, classes, positions]

        Raises:
            NetworkError: none of these is there.
        """
        return scored_tensor(answer)

    def counted(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """What of the outputs :meth:`divergence` compares: all, unless targets say that a part does not count."""
        return outputs

    def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
        """Top-1 accuracy in [0, 1]; higher is better.

        Args:
            outputs: [N, classes, ...] logits.
            targets: [N, ...] integer labels.

        Raises:
            TaskError: the shapes do not fit, the labels are not integers in [0, classes), or an output is NaN.
        """
        self._check_pair(outputs, targets)
        return float((outputs.argmax(dim=1) == targets.to(outputs.device)).double().mean())

    def divergence(self, outputs: torch.Tensor, dense_outputs: torch.Tensor) -> float:
        """Mean Kullback-Leibler divergence KL(dense || pruned) of the softmax outputs in nats; 0 = they agree.

        Computed in log space and float64 (Kullback and Leibler 1951). Infinite where an output is too large for that.

        Args:
            outputs: [N, classes, ...] logits of the pruned network.
            dense_outputs: the dense network's logits of the same samples.

        Raises:
            TaskError: the shapes differ or an output is NaN.
        """
        self._check_same(outputs, dense_outputs)
        return kl_divergence(outputs, dense_outputs)

    def sample_terms(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """What each sample adds to the two sums whose ratio is :meth:`score`, float64 [N, 2]: right answers, and all.

        It makes the uncertainty of a score quick to compute. Whoever overrides :meth:`score` may override this too;
        else the score itself is computed on every resampled set of samples.
        """
        right = (outputs.argmax(dim=1) == targets.to(outputs.device)).double().reshape(len(outputs), -1)
        return torch.stack([right.sum(dim=1), torch.full_like(right[:, 0], right.shape[1])], dim=1)

    @property
    def is_ratio(self) -> bool:
        """Whether the score is the ratio of two sums over samples: :meth:`sample_terms` is of the same class as it."""
        return _owner(self, "score") is _owner(self, "sample_terms")

    def terms_of(self, outputs: torch.Tensor, targets: torch.Tensor) -> FloatArray | None:
        """:meth:`sample_terms` where the score is their ratio; else None."""
        if not self.is_ratio:
            return None
        return np.asarray(self.sample_terms(outputs, targets).cpu().numpy(), dtype=np.float64)

    def details(self, outputs: torch.Tensor, targets: torch.Tensor) -> Details:
        """What reports show beside the score: for classes all of :func:`rlprune.tasks.measures.class_details`.

        Where a subclass scores in another way this is empty, until it says what to show.

        Returns:
            Names to numbers, lists of numbers, or matrices; None where a measure is not defined. Numbers stand in the
            report's table; ``confusion``, ``class_recall`` and ``class_support`` have a picture and tables.
        """
        if type(self).score is not Task.score:
            return {}
        self._check_pair(outputs, targets)
        return class_details(outputs, targets)

    def _check_pair(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        """Refuse outputs and targets that :meth:`score` cannot take."""
        if len(targets) != len(outputs):
            raise TaskError(self._misfit(outputs, targets, "targets"))
        self._check_targets(outputs, targets, "targets")

    def _check_same(self, outputs: torch.Tensor, dense_outputs: torch.Tensor) -> None:
        """Refuse outputs that :meth:`divergence` cannot compare."""
        if outputs.shape != dense_outputs.shape:
            came = f"{tensor_kind(outputs)} and {tensor_kind(dense_outputs)}"
            raise TaskError(f"Outputs must have the dense network's shape; got {came}. Is it the same network?")
        for one in (outputs, dense_outputs):
            self._check_outputs(one)

    def _check_outputs(self, outputs: torch.Tensor) -> None:
        """Refuse outputs that are not [N, classes, ...], and NaN."""
        if outputs.ndim < 2 or (self.classes is not None and outputs.shape[1] != self.classes):
            expected = "classes" if self.classes is None else self.classes
            raise TaskError(
                f"Task {self.name!r} needs outputs of shape [N, {expected}, ...]; got {tensor_kind(outputs)}. "
                "Is this the network for this task?"
            )
        check_no_nan(self.name, outputs)

    def _check_targets(self, outputs: torch.Tensor, targets: torch.Tensor, where: str) -> None:
        """Refuse targets that do not fit the outputs; there may be more or fewer of them."""
        self._check_outputs(outputs)
        if targets.is_floating_point() or targets.shape[1:] != outputs.shape[2:]:
            raise TaskError(self._misfit(outputs, targets, where))
        self._check_labels(targets, outputs.shape[1], f"{where} of task {self.name!r}")

    def _check_labels(self, labels: torch.Tensor, classes: int, where: str) -> None:
        check_labels(labels, classes, where)

    def _misfit(self, outputs: torch.Tensor, targets: torch.Tensor, where: str) -> str:
        return (
            f"Accuracy of task {self.name!r} needs integer labels [N, ...] for outputs [N, classes, ...]; the {where} "
            f"came as {tensor_kind(targets)} for {tensor_kind(outputs)}. "
            "For another metric take BinaryTask, RegressionTask, RankingTask or TokenTask, or override Task.score and "
            "Task.divergence."
        )

    def _split(self, which: str) -> Split:
        split = self._known(which)
        if which not in self._used:
            self._used.append(which)
        return split

    def _known(self, which: str) -> Split:
        if which not in self._splits:
            self._splits[which] = self._checked(which)
        return self._splits[which]

    def _checked(self, which: str) -> Split:
        source = self._sources[which]
        if source is None:
            raise TaskError(
                f"Task {self.name!r} has no {which} split. Give Task(...) one: {which}=Split(inputs, targets)."
            )
        where = f"{which} split of task {self.name!r}"
        split = _loaded(source, where)
        if not isinstance(split, Split):
            raise TaskError(f"The {where} must be a Split; got {type(split).__name__}.")
        check_finite(split, where)
        if self.classes is not None:
            self._check_labels(split.targets, self.classes, where)
        for other, known in self._splits.items():
            if known.sample_shapes != split.sample_shapes:
                shapes = f"{split.sample_shapes} against {known.sample_shapes} in {other}"
                raise TaskError(f"Samples of all splits must have one shape; the {where} has {shapes}.")
        return split


def _loaded(source: SplitSource, where: str) -> object:
    if not callable(source):
        return source
    try:
        return source()
    except TaskError:
        raise
    except Exception as reason:
        raise TaskError(f"Loading the {where} failed: {type(reason).__name__}: {reason}.") from reason


def check_no_nan(name: str, outputs: torch.Tensor) -> None:
    """Refuse outputs of which one is NaN; ``name`` is the task's."""
    if bool(outputs.isnan().any()):
        raise TaskError(
            f"Outputs must be numbers; the network gave NaN on task {name!r}. Check its weights and inputs."
        )


def _owner(task: Task, method: str) -> type:
    """The class that a method of a task is of."""
    return next(owner for owner in type(task).__mro__ if method in vars(owner))
