"""Ranking: networks that score many items for each query or user, such as recommenders."""

from __future__ import annotations

import torch

from rlprune.errors import TaskError, unknown_name
from rlprune.tasks.base import Task
from rlprune.tasks.loading import SplitSource
from rlprune.tasks.measures import Details
from rlprune.tasks.split import check_labels, tensor_kind

METRICS = ("ndcg", "hit_rate", "mrr")


class RankingTask(Task):
    """Scores of items [N, items], a row a query; the better item should have the higher score.

    Among items of the same score those of less relevance come first: a network that scores all alike earns nothing by
    chance. Divergence is that of the softmax over the items. Targets are the index of the right item, or the relevance
    of every item.

    Args:
        metric: what is searched for: ``ndcg``, ``hit_rate`` (whether one of the first ``k`` is relevant), or ``mrr``
            (one over the place of the first relevant one).
        k: how many of the first places count for NDCG and hit rate.
        classes: number of items, where targets are indices and it is known; needed for fine-tuning only.

    Raises:
        TaskError: an unknown metric, or ``k`` below 1.
    """

    def __init__(
        self,
        name: str,
        *,
        calibration: SplitSource,
        validation: SplitSource,
        test: SplitSource,
        train: SplitSource | None = None,
        classes: int | None = None,
        metric: str = "ndcg",
        k: int = 10,
    ) -> None:
        super().__init__(name, calibration=calibration, validation=validation, test=test, train=train, classes=classes)
        if metric not in METRICS:
            raise TaskError(unknown_name("metric of a RankingTask", metric, METRICS))
        if k < 1:
            raise TaskError(f"A RankingTask looks at k places, at least 1; {k} came. Leave it out for 10.")
        self.k = k
        self._measure = metric
        self.metric = metric if metric == "mrr" else f"{metric}@{k}"

    def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
        """The metric, in [0, 1]; higher is better.

        Args:
            outputs: [N, items].
            targets: int [N], the right item of each query; or [N, items], relevance of at least 0.

        Raises:
            TaskError: the shapes do not fit, there are fewer than ``k`` items, an index or relevance is out of range,
                or a query has no relevant item.
        """
        return float(self.details(outputs, targets)[self.metric])

    def details(self, outputs: torch.Tensor, targets: torch.Tensor) -> Details:
        """NDCG and hit rate of the first ``k`` places, and the mean reciprocal rank."""
        self._check_pair(outputs, targets)
        return {name: float(values.mean()) for name, values in self._measures(outputs, targets).items()}

    def sample_terms(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The metric of each query, and one, float64 [N, 2]."""
        values = self._measures(outputs, targets)[self.metric]
        return torch.stack([values, torch.ones_like(values)], dim=1)

    def _measures(self, outputs: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
        """Every metric of each query, float64 [N]."""
        ranked, k = ranked_relevance(outputs, _relevance(outputs, targets)), self.k
        return {f"ndcg@{k}": ndcg(ranked, k), f"hit_rate@{k}": hit_rate(ranked, k), "mrr": reciprocal_rank(ranked)}

    def _check_outputs(self, outputs: torch.Tensor) -> None:
        super()._check_outputs(outputs)
        if outputs.ndim != 2 or outputs.shape[1] < self.k:
            raise TaskError(
                f"Ranking task {self.name!r} needs scores [N, items] of at least k = {self.k} items; got "
                f"{tensor_kind(outputs)}. Set k, or is this the network for this task?"
            )

    def _check_targets(self, outputs: torch.Tensor, targets: torch.Tensor, where: str) -> None:
        self._check_outputs(outputs)
        where = f"{where} of task {self.name!r}"
        if targets.ndim == 1:
            check_labels(targets, outputs.shape[1], where)
        elif targets.shape[1:] != outputs.shape[1:]:
            raise TaskError(
                f"Targets of a ranking are indices [N] or relevances [N, {outputs.shape[1]}]; the {where} came as "
                f"{tensor_kind(targets)}. Is this the network for this task?"
            )
        else:
            _check_relevance(targets, where)

    def _check_labels(self, labels: torch.Tensor, classes: int, where: str) -> None:
        if labels.ndim == 1:
            super()._check_labels(labels, classes, where)


def _check_relevance(relevance: torch.Tensor, where: str) -> None:
    if not bool(torch.isfinite(relevance).all()):
        raise TaskError(f"Relevance must be finite; the {where} have NaN or infinity. Correct them.")
    if bool((relevance < 0).any()):
        raise TaskError(f"Relevance must be at least 0; the {where} have {float(relevance.min()):g}. Shift them.")
    empty = torch.nonzero(~(relevance > 0).any(dim=1))
    if len(empty):
        raise TaskError(
            f"Every query needs a relevant item; query {int(empty[0])} of the {where} has none. Leave such queries out."
        )


def _relevance(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Whether each item is relevant, float64 [N, items]."""
    if targets.ndim == 2:
        return targets.to(outputs.device, torch.float64)
    single = torch.zeros(outputs.shape, dtype=torch.float64, device=outputs.device)
    return single.scatter_(1, targets.to(outputs.device, torch.int64)[:, None], 1.0)


def ranked_relevance(scores: torch.Tensor, relevance: torch.Tensor) -> torch.Tensor:
    """Relevance [N, items] in the order of the scores, highest first; among equals the least relevant first."""
    worst_first = relevance.argsort(dim=1)
    order = scores.gather(1, worst_first).argsort(dim=1, descending=True, stable=True)
    return relevance.gather(1, worst_first.gather(1, order))


def ndcg(ranked: torch.Tensor, k: int) -> torch.Tensor:
    """Of each query, float64 [N], the gain of the first ``k`` places, as a share of the best there could be.

    Relevance counts as gain as it is, discounted by log2(1 + place); Jarvelin and Kekalainen, "Cumulated Gain-Based
    Evaluation of IR Techniques", TOIS 2002.

    Args:
        ranked: relevance [N, items] in the order of the network; each row has some.
    """
    discount = 1 / torch.arange(2, k + 2, dtype=torch.float64, device=ranked.device).log2()
    best = ranked.sort(dim=1, descending=True).values[:, :k] @ discount
    return ranked[:, :k] @ discount / best


def hit_rate(ranked: torch.Tensor, k: int) -> torch.Tensor:
    """Of each query whether a relevant item is in the first ``k`` places, float64 [N]."""
    return (ranked[:, :k] > 0).any(dim=1).double()


def reciprocal_rank(ranked: torch.Tensor) -> torch.Tensor:
    """Of each query one over the place of the first relevant item, float64 [N]."""
    place = (ranked > 0).to(torch.uint8).argmax(dim=1) + 1
    return 1 / place.double()
