"""Processes of one machine take turns: while one measures, the others wait, so that measurements are undisturbed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock

from rlprune.errors import RunError
from rlprune.experiments.pipeline.progress import Progress

MEASURING = ("profile", "measure")
"""Phases of a job that must not be disturbed."""


class Turns:
    """Many compute beside each other, or one measures alone.

    Who computes holds a lock of its own. Who measures holds the gate, through which all come to compute, and has waited
    for the locks of the others: newcomers wait behind it, so it is never starved. The kernel frees the locks of a
    process that dies.

    Args:
        folder: where the locks stand.

    Raises:
        RunError: they cannot be made.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._gate = FileLock(self._folder / "gate.lock")
        self._own = FileLock(self._folder / f"{uuid.uuid4().hex}.busy")
        self._measuring = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Compute beside others while the block runs."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self.give_way()
        except (OSError, NotImplementedError) as reason:
            raise RunError(f"Cannot lock {self._folder}: {reason}.") from reason
        try:
            yield
        finally:
            self._own.release()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Inside :meth:`shared`: wait until all others wait, and go on alone while the block runs."""
        if self._measuring:
            yield
            return
        self._own.release()
        with self._gate:
            for busy in self._folder.glob("*.busy"):
                with FileLock(busy):
                    busy.unlink(missing_ok=True)  # of a process that has ended, or comes back through the gate
            self._measuring = True
            try:
                yield
            finally:
                self._measuring = False
                self._own.acquire()

    def give_way(self) -> None:
        """Inside :meth:`shared`: whoever waits to be alone goes first."""
        if not self._measuring:
            self._own.release()
            with self._gate:
                self._own.acquire()


class PoliteProgress(Progress):
    """Measures alone; all other phases run beside those of other processes, and let these measure first.

    It waits between phases only, so that the times of searches stay those of searches.
    """

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self._turns = turns

    @contextmanager
    def phase(self, name: str, text: str | None = None) -> Iterator[None]:
        """See :class:`Progress`."""
        with ExitStack() as stack:
            if name in MEASURING:
                stack.enter_context(self._turns.alone())
            else:
                self._turns.give_way()
            stack.enter_context(super().phase(name, text))
            yield
