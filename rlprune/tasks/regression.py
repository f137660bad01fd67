"""Numbers: networks that answer with one value a sample, or several."""

from __future__ import annotations

import torch

from rlprune.errors import TaskError
from rlprune.tasks.base import Task, check_no_nan
from rlprune.tasks.loading import SplitSource
from rlprune.tasks.measures import Details
from rlprune.tasks.split import tensor_kind

TINY = 1e-12
"""Variance as a share of the mean square, below which numbers are all the same."""


class RegressionTask(Task):
    """Values [N] or [N, ...], judged by R2: 1 is perfect, 0 is no better than the mean, and it may fall below.

    With several values a sample, R2 and divergence are means over the values, so that each counts the same whatever its
    scale. Outputs [N, 1] go with targets [N].
    """

    metric = "r2"
    worst_score = -1e9

    def __init__(
        self,
        name: str,
        *,
        calibration: SplitSource,
        validation: SplitSource,
        test: SplitSource,
        train: SplitSource | None = None,
    ) -> None:
        super().__init__(name, calibration=calibration, validation=validation, test=test, train=train)

    def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
        """R2 = 1 - sum of squared errors / sum of squared distances of the targets from their mean; at least -1e9.

        Args:
            outputs: [N, ...].
            targets: the same shape.

        Raises:
            TaskError: the shapes differ, an output is NaN, or all targets are the same, of which R2 is undefined.
        """
        self._check_pair(outputs, targets)
        values, truth = _matrix(outputs), _matrix(targets.to(outputs.device))
        unexplained = (values - truth).square().mean(dim=0) / truth.var(dim=0, correction=0)
        return max(self.worst_score, 1 - float(unexplained.mean()))

    def divergence(self, outputs: torch.Tensor, dense_outputs: torch.Tensor) -> float:
        """Mean squared difference to the dense outputs, as a share of their variance; 0 = they agree.

        Raises:
            TaskError: the shapes differ, an output is NaN, or the dense network answers the same to every sample.
        """
        self._check_same(outputs, dense_outputs)
        values, dense = _matrix(outputs).to(dense_outputs.device), _matrix(dense_outputs)
        if _constant(dense):
            raise TaskError(
                f"The dense network must tell samples of task {self.name!r} apart; it answers the same to each. Is it "
                "trained?"
            )
        return float(((values - dense).square().mean(dim=0) / dense.var(dim=0, correction=0)).mean())

    def details(self, outputs: torch.Tensor, targets: torch.Tensor) -> Details:
        """R2, and mean absolute and root mean squared error in the unit of the targets, over all values."""
        error = _matrix(outputs) - _matrix(targets.to(outputs.device))
        mae, rmse = float(error.abs().mean()), float(error.square().mean().sqrt())
        return {"r2": self.score(outputs, targets), "mae": mae, "rmse": rmse}

    def _check_outputs(self, outputs: torch.Tensor) -> None:
        check_no_nan(self.name, outputs)

    def _check_targets(self, outputs: torch.Tensor, targets: torch.Tensor, where: str) -> None:
        self._check_outputs(outputs)
        if _sizes(outputs) != _sizes(targets):
            raise TaskError(self._misfit(outputs, targets, where))
        if not bool(torch.isfinite(targets).all()):
            raise TaskError(
                f"Targets must be finite; the {where} of task {self.name!r} have NaN or infinity. Correct them."
            )
        if _constant(_matrix(targets)):
            raise TaskError(
                f"R2 is undefined where a target is the same for every sample, as in the {where} of task "
                f"{self.name!r}. Leave that target out, or give samples that differ in it."
            )

    def _misfit(self, outputs: torch.Tensor, targets: torch.Tensor, where: str) -> str:
        return (
            f"R2 of task {self.name!r} needs a target for every value of the output; the {where} came as "
            f"{tensor_kind(targets)} for {tensor_kind(outputs)}. Is this the network for this task?"
        )


def _sizes(values: torch.Tensor) -> tuple[int, ...]:
    """The shape of one sample; a single value is one with or without a dimension of its own."""
    sizes = tuple(values.shape[1:])
    return () if sizes == (1,) else sizes


def _matrix(values: torch.Tensor) -> torch.Tensor:
    """Values of any shape [N, ...] as float64 [N, values]."""
    return values.double().reshape(len(values), -1)


def _constant(values: torch.Tensor) -> bool:
    """Whether a column is the same in every row."""
    return bool((values.var(dim=0, correction=0) <= TINY * values.square().mean(dim=0)).any())
