"""Data and metric of a search: ``load_task`` finds them by name or by ``module:function``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rlprune.errors import TaskError, unknown_name
from rlprune.support.user_code import call_function, is_reference
from rlprune.tasks.base import Task
from rlprune.tasks.binary import BinaryTask
from rlprune.tasks.ranking import RankingTask
from rlprune.tasks.regression import RegressionTask
from rlprune.tasks.split import Split
from rlprune.tasks.tokens import TokenTask

__all__ = ["TASKS", "BinaryTask", "RankingTask", "RegressionTask", "Split", "Task", "TokenTask", "load_task"]


def _digits(data_dir: str | Path | None) -> Task:
    from rlprune.tasks.digits import digits  # scikit-learn takes a second to import

    return digits()


def _fashion_mnist(data_dir: str | Path | None) -> Task:
    from rlprune.tasks.fashion_mnist import fashion_mnist

    return fashion_mnist(data_dir)


def _mnist(data_dir: str | Path | None) -> Task:
    from rlprune.tasks.mnist import mnist

    return mnist(data_dir)


def _cifar10(data_dir: str | Path | None) -> Task:
    from rlprune.tasks.cifar10 import cifar10

    return cifar10(data_dir)


TASKS: dict[str, Callable[[str | Path | None], Task]] = {
    "digits": _digits,
    "fashion-mnist": _fashion_mnist,
    "mnist": _mnist,
    "cifar10": _cifar10,
}


def load_task(name: str, data_dir: str | Path | None = None) -> Task:
    """The task of that name, or what ``module:function`` returns; its data are checked (:meth:`Task.check`).

    Args:
        name: a key of ``TASKS``, or ``module:function``: it is called without arguments and returns a ``Task``.
        data_dir: folder of the data set's files, for the tasks that read files; the others have no use for it.

    Raises:
        TaskError: unknown name, function that fails or returns another thing, or data that are missing or malformed.
    """
    if is_reference(name):
        task = _from_function(name)
    elif name in TASKS:
        task = TASKS[name](data_dir)
    else:
        raise TaskError(unknown_name("task", name, TASKS) + " Or name your own as module:function.")
    task.check()
    return task


def _from_function(reference: str) -> Task:
    task = call_function(reference, TaskError)
    if not isinstance(task, Task):
        raise TaskError(f"{reference}() must return a rlprune.tasks.Task; it returned {type(task).__name__}.")
    return task
