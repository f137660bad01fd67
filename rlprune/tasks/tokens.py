"""Sequences: networks that answer with a class for every position, such as the next word."""

from __future__ import annotations

from typing import Any

import torch

from rlprune.errors import TaskError
from rlprune.tasks.base import Task
from rlprune.tasks.measures import Details, class_details, flat, top_k

IGNORED = -100
"""The label of positions that do not count, as in torch's cross-entropy."""


class TokenTask(Task):
    """A class for every position: networks answer with [N, positions, classes], targets are [N, positions].

    Positions whose target is -100 (padding) count for no measure, divergence included. For a language model the targets
    are the next tokens, already shifted.
    """

    metric = "token accuracy"

    def outputs(self, answer: Any) -> torch.Tensor:
        """[N, classes, positions]: the scored tensor with the classes where they are scored."""
        return super().outputs(answer).movedim(-1, 1)

    def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
        """Share of the positions that count whose class is right.

        Args:
            outputs: [N, classes, positions] logits, as :meth:`outputs` gives them.
            targets: [N, positions] integers in [0, classes), or -100.

        Raises:
            TaskError: the shapes do not fit, a label is another, or no position counts.
        """
        return top_k(*self._flat(outputs, targets), 1)

    def sample_terms(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Positions of each sample that are right, and those that count, float64 [N, 2]."""
        labels = targets.to(outputs.device)
        counted = labels != IGNORED
        right = (outputs.argmax(dim=1) == labels) & counted
        return torch.stack([right.flatten(1).sum(dim=1), counted.flatten(1).sum(dim=1)], dim=1).double()

    def details(self, outputs: torch.Tensor, targets: torch.Tensor) -> Details:
        """All that is told about classes, and the perplexity: the exponential of the log loss."""
        found = class_details(*self._flat(outputs, targets))
        return {"perplexity": torch.tensor(found["log_loss"], dtype=torch.float64).exp(), **found}

    def counted(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The outputs at positions that count, [positions, classes]."""
        return self._flat(outputs, targets)[0]

    def _flat(self, outputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self._check_pair(outputs, targets)
        logits, labels = flat(outputs, targets)
        return logits[labels != IGNORED], labels[labels != IGNORED]

    def _check_targets(self, outputs: torch.Tensor, targets: torch.Tensor, where: str) -> None:
        super()._check_targets(outputs, targets, where)
        if bool((targets == IGNORED).all()):
            raise TaskError(
                f"Some position must count; the {where} of task {self.name!r} are all {IGNORED}. Give other targets."
            )

    def _check_labels(self, labels: torch.Tensor, classes: int, where: str) -> None:
        super()._check_labels(torch.where(labels == IGNORED, 0, labels), classes, where)
