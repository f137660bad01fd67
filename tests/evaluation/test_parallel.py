"""Evaluation in processes: the same answers, and clear words when a process fails."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.errors import ConfigError, WorkerError
from rlprune.evaluation.batchnorm_choice import StatisticsChoice
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.workers import ParallelEvaluator, Workers
from rlprune.pruning.tables import PruningTables
from rlprune.tasks.base import Task
from tests.agents.conftest import make_tables

PLANS = [[4, 4, 8, 8], [8, 2, 16, 4], [2, 8, 4, 16], [4, 4, 8, 8], [6, 4, 8, 12]]


@pytest.fixture(scope="module")
def workers() -> Iterator[tuple[Workers, PruningTables, Task]]:
    tables, task = make_tables("residual")
    with Workers(2, tables, task, 64, StatisticsChoice(1.0)) as pool:
        yield pool, tables, task


def test_processes_say_what_one_process_says(workers: tuple[Workers, PruningTables, Task]) -> None:
    pool, tables, task = workers
    alone = Evaluator(tables, task, samples=64, statistics=StatisticsChoice(1.0))
    together = ParallelEvaluator(pool, tables, task, samples=64)
    for one, many in zip(alone.many(PLANS), together.many(PLANS), strict=True):
        assert (one.score, one.samples) == (many.score, many.samples)
        assert one.divergence == pytest.approx(many.divergence, rel=1e-6)
    assert (together.evaluations, together.cache_hits) == (alone.evaluations, alone.cache_hits) == (4, 1)
    assert together.seconds > 0


def test_one_plan_is_evaluated_here_and_a_fresh_one_knows_nothing(
    workers: tuple[Workers, PruningTables, Task],
) -> None:
    pool, tables, task = workers
    first = ParallelEvaluator(pool, tables, task, samples=64)
    quality = first([4, 4, 8, 8])
    other = first.fresh()
    assert not other.known([4, 4, 8, 8])
    assert other([4, 4, 8, 8]) == quality


def test_fewer_than_two_workers_are_refused() -> None:
    tables, task = make_tables("residual")
    with pytest.raises(ConfigError, match="at least 2 workers; 1 came"):
        Workers(1, tables, task, 64, None)


def test_what_cannot_be_sent_is_refused() -> None:
    tables, task = make_tables("residual")

    class Local(nn.Module):
        """Defined inside a function: no other process can import it."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    tables._permuted.add_module("local", Local())
    with pytest.raises(ConfigError, match="--workers 1"):
        Workers(2, tables, task, 64, None)


def test_a_process_that_ended_is_told() -> None:
    tables, task = make_tables("residual")
    pool = Workers(2, tables, task, 64, None)
    for process in pool._processes:
        process.kill()
        process.join()
    with pytest.raises(WorkerError, match="ended by itself"):
        pool.measure([(4, 4, 8, 8), (8, 2, 16, 4)])
    assert len(pool) == 0


class Unlucky(Task):
    """Works where it is made, fails when it is asked for a score in another process."""

    def score(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
        import multiprocessing

        if multiprocessing.parent_process() is not None and len(self.seen) > 1:
            raise OSError("the disk is on fire")
        self.seen.append(1)
        return super().score(outputs, targets)

    seen: list[int] = []  # noqa: RUF012


def test_a_failure_in_a_process_is_told() -> None:
    tables, task = make_tables("residual")
    unlucky = Unlucky("unlucky", calibration=task.calibration, validation=task.validation, test=task.test, classes=10)
    plans = [(4, 4, 8, 8), (8, 2, 16, 4)] * 4
    with Workers(2, tables, unlucky, 64, None) as pool, pytest.raises(WorkerError, match="the disk is on fire"):
        pool.measure(plans)


class Counting(PruningTables):
    """Tables that cannot be looked into again for moments."""

    @property
    def moments_limit(self) -> float:
        raise AssertionError("the moments were gathered anew")


def test_workers_take_over_the_moments_of_masked_weights(workers: tuple[Workers, PruningTables, Task]) -> None:
    _, tables, task = workers
    space = Space(tables.network, Decisions(("channels", "weights")))
    known = Evaluator(tables, task, samples=32, space=space)
    rows = np.stack([space.full, [choice.levels[0] for choice in space.choices]])
    wanted = [known(row) for row in rows]
    tables = copy.copy(tables)
    tables.__class__ = Counting
    with Workers(2, tables, task, 32, known.statistics, space, known.builder) as pool:
        found = [quality for quality, _ in pool.measure([tuple(map(int, row)) for row in rows])]
    assert found == wanted
