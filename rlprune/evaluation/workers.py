"""Evaluating plans in several processes, each with one torch thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, cast

import torch
import torch.multiprocessing

from rlprune.choices.space import Space
from rlprune.errors import ConfigError, RlpruneError, WorkerError
from rlprune.evaluation.batchnorm_choice import StatisticsChoice
from rlprune.evaluation.evaluator import Evaluator, Measurement, PlanKey
from rlprune.plans.builder import PlanBuilder
from rlprune.pruning.tables import PruningTables
from rlprune.support.main_guard import UNGUARDED, check_guard, unguarded
from rlprune.support.threads import torch_threads
from rlprune.tasks.base import Task

START_SECONDS = 120.0
Handover = tuple[PruningTables, Task, int, StatisticsChoice, Space | None, PlanBuilder | None]
ROUND = 16
"""Plans of each worker that are waited for together, before they are handed out."""


class Workers:
    """Processes that evaluate plans, each with an :class:`Evaluator` of its own. They know nothing of each other.

    Processes are spawned: a forked one hangs where its parent has used torch's threads. The tensors of the tables lie
    in shared memory. Use it as a context, or call :meth:`close`. Their pipes pickle, as ``multiprocessing`` does: both
    ends are ours, and nothing from outside goes through.

    Args:
        count: of processes.
        tables, task, samples, statistics, space, builder: as for :class:`Evaluator`. Without a builder, each process
            gathers for itself what masked weights are refitted by.

    Raises:
        ConfigError: fewer than two workers, a main script without ``if __name__ == "__main__":``, or a network or task
            that cannot be sent to another process.
        WorkerError: a process could not start.
    """

    def __init__(
        self,
        count: int,
        tables: PruningTables,
        task: Task,
        samples: int,
        statistics: StatisticsChoice | None,
        space: Space | None = None,
        builder: PlanBuilder | None = None,
    ) -> None:
        if count < 2:
            raise ConfigError(f"Evaluation in processes needs at least 2 workers; {count} came.")
        check_guard()
        self.statistics = statistics or Evaluator(tables, task, samples=samples, space=space).statistics
        context = torch.multiprocessing.get_context("spawn")
        self._processes: list[Any] = []
        self._pipes: list[Connection] = []
        try:
            for _ in range(count):
                ours, theirs = context.Pipe()
                process = context.Process(target=_work, args=(theirs,), daemon=True)
                process.start()
                theirs.close()
                self._processes.append(process)
                self._pipes.append(ours)
            for pipe in self._pipes:
                self._hand_over(pipe, (tables, task, samples, self.statistics, space, builder))
            for pipe in self._pipes:
                self._started(pipe)
        except BaseException:
            self.close()
            raise

    def _hand_over(self, pipe: Connection, work: Handover) -> None:
        """Send what a process works with, once it listens: one that ends before would never read it."""
        self._started(pipe)
        try:
            pipe.send(work)
        except Exception as reason:
            raise ConfigError(
                f"With several workers, network and task are sent to other processes; these cannot be ({reason}). "
                "Define their classes and functions at the top level of a module, or use --workers 1."
            ) from reason

    def _started(self, pipe: Connection) -> None:
        if not pipe.poll(START_SECONDS):
            raise WorkerError(
                f"A worker process must be ready within {START_SECONDS:.0f} s; it is not. Use --workers 1."
            )
        answer = self._receive(pipe)
        if answer is not None:
            raise WorkerError(f"A worker process could not start: {answer}. Use --workers 1.")

    def __len__(self) -> int:
        return len(self._pipes)

    def measure(self, keys: Sequence[PlanKey]) -> list[Measurement]:
        """Quality of each plan and the seconds of its forward pass, in order; whoever is free takes the next.

        Raises:
            WorkerError: a process ended, or failed.
        """
        found: dict[int, Measurement] = {}
        waiting = iter(enumerate(keys))
        busy: dict[Connection, int] = {}
        for pipe in self._pipes:
            self._give(pipe, waiting, busy)
        while busy:
            for ready in wait(list(busy)):
                pipe = cast(Connection, ready)
                answer = self._receive(pipe)
                if isinstance(answer, str):
                    self.close()
                    raise WorkerError(f"A worker process failed: {answer}")
                found[busy.pop(pipe)] = answer
                self._give(pipe, waiting, busy)
        return [found[place] for place in range(len(keys))]

    def _give(self, pipe: Connection, waiting: Any, busy: dict[Connection, int]) -> None:
        task = next(waiting, None)
        if task is not None:
            busy[pipe] = task[0]
            self._send(pipe, task[1])

    def _send(self, pipe: Connection, key: PlanKey) -> None:
        try:
            pipe.send(key)
        except OSError as reason:
            raise self._ended() from reason

    def _receive(self, pipe: Connection) -> Any:
        try:
            return pipe.recv()
        except (EOFError, OSError) as reason:
            raise self._ended() from reason

    def _ended(self) -> RlpruneError:
        processes = self._processes
        self.close()
        if any(process.exitcode == UNGUARDED for process in processes):
            return unguarded("the main script")
        return WorkerError("A worker process ended by itself; perhaps memory ran out. Try again with --workers 1.")

    def close(self) -> None:
        """End the processes. May be called again."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(1.0)
            if process.is_alive():
                process.kill()
        self._pipes, self._processes = [], []

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _work(pipe: Connection) -> None:
    """What a worker does: evaluate what it is sent, until the other end is closed."""
    with torch_threads(1):
        try:
            pipe.send(None)
            tables, task, samples, statistics, space, builder = pipe.recv()
            evaluator = Evaluator(tables, task, samples=samples, statistics=statistics, space=space, builder=builder)
            pipe.send(None)
            while True:
                pipe.send(evaluator.measure(pipe.recv()))
        except (EOFError, KeyboardInterrupt, BrokenPipeError):
            return
        except Exception as reason:
            pipe.send(f"{type(reason).__name__}: {reason}")


class ParallelEvaluator(Evaluator):
    """An :class:`Evaluator` that has several plans evaluated at once. See there for the arguments and attributes.

    BatchNorms are normalised as the workers do it.
    ``seconds`` adds up the forward passes of all workers.
    """

    def __init__(self, workers: Workers, tables: PruningTables, task: Task, **settings: Any) -> None:
        self.workers = workers
        super().__init__(tables, task, statistics=workers.statistics, **settings)

    def _measure(self, keys: Sequence[PlanKey]) -> Iterator[Measurement]:
        if len(keys) < 2:
            yield from super()._measure(keys)
            return
        step = ROUND * len(self.workers)
        for start in range(0, len(keys), step):
            yield from self.workers.measure(keys[start : start + step])

    def _like(self, space: Space, builder: PlanBuilder | None = None) -> ParallelEvaluator:
        if not self.space.means_the_same(space):
            raise ConfigError("The workers evaluate plans of one space. Start workers for the other one.")
        return ParallelEvaluator(
            self.workers,
            self.tables,
            self.task,
            samples=len(self._split),
            space=space,
            builder=builder,
        )
