"""Yes or no: networks that answer with one logit a sample, such as those that predict clicks."""

from __future__ import annotations

from typing import Any

import torch
from scipy.stats import rankdata

from rlprune.errors import TaskError, unknown_name
from rlprune.tasks.base import Task
from rlprune.tasks.loading import SplitSource
from rlprune.tasks.measures import ClassCounts, Details, class_details, top_k
from rlprune.tasks.split import tensor_kind

METRICS = ("accuracy", "auc", "f1", "balanced_accuracy")


class BinaryTask(Task):
    """Two classes told by one logit, [N] or [N, 1]: class 1 where its sigmoid is over one half.

    A logit z is scored as the two logits (0, z), whose softmax is (1 - sigmoid(z), sigmoid(z)); so divergence and
    fine-tuning are those of two classes. A network that ends with the sigmoid needs its inverse::

        class Clicks(BinaryTask):
            def outputs(self, answer):
                return torch.logit(answer, eps=1e-6)

    Args:
        metric: what is searched for: ``accuracy``; ``auc``, the area under the ROC curve, which no threshold enters;
            ``f1`` of class 1; or ``balanced_accuracy``, the mean recall of both classes.

    Raises:
        TaskError: an unknown metric.
    """

    def __init__(
        self,
        name: str,
        *,
        calibration: SplitSource,
        validation: SplitSource,
        test: SplitSource,
        train: SplitSource | None = None,
        metric: str = "accuracy",
    ) -> None:
        super().__init__(name, calibration=calibration, validation=validation, test=test, train=train, classes=2)
        if metric not in METRICS:
            raise TaskError(unknown_name("metric of a BinaryTask", metric, METRICS))
        self.metric = metric

    def outputs(self, answer: Any) -> torch.Tensor:
        """The two logits [N, 2] that stand for a network's one."""
        return self._two(super().outputs(answer))

    def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
        """The metric, in [0, 1]; higher is better.

        Args:
            outputs: logits [N], [N, 1], or [N, 2] as :meth:`outputs` gives them.
            targets: [N] integers, 0 or 1.

        Raises:
            TaskError: the shapes do not fit, a label is another, or the AUC is asked of one class alone.
        """
        two = self._two(outputs)
        self._check_pair(two, targets)
        if self.metric == "auc":
            return area_under_roc(two, targets)
        if self.metric == "accuracy":
            return top_k(two, targets, 1)
        counts = ClassCounts.of(two.argmax(dim=1), targets.to(two.device), 2)
        return float(counts.f1[1]) if self.metric == "f1" else counts.balanced_accuracy

    def divergence(self, outputs: torch.Tensor, dense_outputs: torch.Tensor) -> float:
        """Mean KL(dense || pruned) of the two probabilities in nats."""
        return super().divergence(self._two(outputs), self._two(dense_outputs))

    def details(self, outputs: torch.Tensor, targets: torch.Tensor) -> Details:
        """Everything about two classes, and the AUC; None where all targets are of one class."""
        two = self._two(outputs)
        self._check_pair(two, targets)
        return {"auc": area_under_roc(two, targets) if _both(targets) else None, **class_details(two, targets)}

    def _two(self, outputs: torch.Tensor) -> torch.Tensor:
        if outputs.ndim == 2 and outputs.shape[1] == 2:
            return outputs
        if outputs.ndim > 2 or (outputs.ndim == 2 and outputs.shape[1] != 1):
            raise TaskError(
                f"Binary task {self.name!r} needs one logit a sample, [N] or [N, 1]; got {tensor_kind(outputs)}. Is "
                "this the network for this task?"
            )
        logit = outputs.reshape(-1)
        return torch.stack([torch.zeros_like(logit), logit], dim=1)

    def _check_targets(self, outputs: torch.Tensor, targets: torch.Tensor, where: str) -> None:
        two = self._two(outputs)
        super()._check_targets(two, targets, where)
        if self.metric == "auc" and not _both(targets):
            raise TaskError(
                f"The AUC needs samples of both classes; the {where} of task {self.name!r} are all of class "
                f"{int(targets[0])}. Choose another metric, or cut the data so that each part has both."
            )


def _both(targets: torch.Tensor) -> bool:
    return bool((targets != targets[0]).any())


def area_under_roc(outputs: torch.Tensor, targets: torch.Tensor) -> float:
    """How often a sample of class 1 gets the higher logit than one of class 0; a tie counts one half.

    Args:
        outputs: [N, 2] logits.
        targets: [N], both classes among them.
    """
    logit = torch.nan_to_num((outputs[:, 1] - outputs[:, 0]).double()).cpu().numpy()
    positive = targets.cpu().numpy() == 1
    ones, zeros = positive.sum(), (~positive).sum()
    # Mann and Whitney, 1947: a tie takes the mean of its ranks.
    return float((rankdata(logit)[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))
