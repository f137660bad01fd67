"""Ready tasks and targets that do not fit them. Imports stand in the calls, so that the page needs no torch."""

from __future__ import annotations

from typing import Any

from tests.experiments.bad_inputs.table import BadCall, Topic


def _task(kind: str, **settings: Any) -> Any:
    import torch

    from rlprune import tasks

    split = tasks.Split(torch.zeros(4, 2), torch.tensor([0, 1, 1, 0]))
    return getattr(tasks, kind)("mine", calibration=split, validation=split, test=split, **settings)


def _made(kind: str, **settings: Any) -> Any:
    return lambda problem: _task(kind, **settings)


def _scored(kind: str, shape: tuple[int, ...], targets: Any, **settings: Any) -> Any:
    def call(problem: Any) -> object:
        import torch

        return _task(kind, **settings).score(torch.zeros(shape), torch.tensor(targets))

    return call


SCORED = Topic(
    "Ready tasks",
    [
        BadCall(
            "unknown metric",
            'BinaryTask(..., metric="ruc")',
            "Unknown metric of a BinaryTask 'ruc'. Did you mean 'auc'? Known: accuracy, auc, balanced_accuracy, f1.",
            "TaskError",
            _made("BinaryTask", metric="ruc"),
        ),
        BadCall(
            "two answers where one logit is needed",
            "BinaryTask(...).score(outputs [4, 3], targets)",
            "Binary task 'mine' needs one logit a sample, [N] or [N, 1]; got float32 [4, 3]. Is this the network for "
            "this task?",
            "TaskError",
            _scored("BinaryTask", (4, 3), [0, 1, 1, 0]),
        ),
        BadCall(
            "AUC of one class",
            'BinaryTask(..., metric="auc").score(outputs, [1, 1, 1, 1])',
            "The AUC needs samples of both classes; the targets of task 'mine' are all of class 1. Choose another "
            "metric, or cut the data so that each part has both.",
            "TaskError",
            _scored("BinaryTask", (4,), [1, 1, 1, 1], metric="auc"),
        ),
        BadCall(
            "targets of another shape",
            "RegressionTask(...).score(outputs [4, 2], targets [4])",
            "R2 of task 'mine' needs a target for every value of the output; the targets came as float32 [4] for "
            "float32 [4, 2]. Is this the network for this task?",
            "TaskError",
            _scored("RegressionTask", (4, 2), [0.5, 1.0, 0.0, 1.0]),
        ),
        BadCall(
            "targets that are all the same",
            "RegressionTask(...).score(outputs, [0.1, 0.1, 0.1, 0.1])",
            "R2 is undefined where a target is the same for every sample, as in the targets of task 'mine'. Leave that "
            "target out, or give samples that differ in it.",
            "TaskError",
            _scored("RegressionTask", (4,), [0.1, 0.1, 0.1, 0.1]),
        ),
        BadCall(
            "fewer items than places that count",
            "RankingTask(...).score(outputs [4, 9], targets)",
            "Ranking task 'mine' needs scores [N, items] of at least k = 10 items; got float32 [4, 9]. Set k, or is "
            "this the network for this task?",
            "TaskError",
            _scored("RankingTask", (4, 9), [0, 1, 2, 3]),
        ),
        BadCall(
            "no place that counts",
            "RankingTask(..., k=0)",
            "A RankingTask looks at k places, at least 1; 0 came. Leave it out for 10.",
            "TaskError",
            _made("RankingTask", k=0),
        ),
        BadCall(
            "a query without a relevant item",
            "RankingTask(..., k=2).score(outputs, [[1, 0, 0], [0, 0, 0]])",
            "Every query needs a relevant item; query 1 of the targets of task 'mine' has none. Leave such "
            "queries out.",
            "TaskError",
            _scored("RankingTask", (2, 3), [[1, 0, 0], [0, 0, 0]], k=2),
        ),
        BadCall(
            "relevance below 0",
            "RankingTask(..., k=2).score(outputs, [[1, 0, -2]])",
            "Relevance must be at least 0; the targets of task 'mine' have -2. Shift them.",
            "TaskError",
            _scored("RankingTask", (1, 3), [[1, 0, -2]], k=2),
        ),
        BadCall(
            "no position that counts",
            "TokenTask(...).score(outputs, [[-100, -100]])",
            "Some position must count; the targets of task 'mine' are all -100. Give other targets.",
            "TaskError",
            _scored("TokenTask", (1, 3, 2), [[-100, -100]]),
        ),
    ],
)
