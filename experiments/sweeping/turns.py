"""Processes of one machine take turns: while one measures, the others wait, so that measurements are undisturbed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rlprune.errors import RunError
from rlprune.experiments.pipeline.progress import Progress

MEASURING = ("profile", "measure")
"""Phases of a job that must not be disturbed."""


class Turns:
    """A lock that many share while they compute, and one has alone while it measures.

    Whoever wants it alone keeps the gate, so that newcomers wait behind it and it is never starved. The kernel frees
    the locks of a process that dies.

    Args:
        folder: where the two lock files stand; they stay there.

    Raises:
        RunError: they cannot be made.
    """

    def __init__(self, folder: str | Path) -> None:
        self._gate, self._room = Path(folder) / "gate.lock", Path(folder) / "room.lock"
        self._held = -1
        self._measuring = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Compute beside others while the block runs."""
        with ExitStack() as stack:
            gate, self._held = (stack.enter_context(_opened(path)) for path in (self._gate, self._room))
            with _locked(gate):
                fcntl.flock(self._held, fcntl.LOCK_SH)
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Inside :meth:`shared`: wait until all others wait, and go on alone while the block runs."""
        if self._measuring:
            yield
            return
        fcntl.flock(self._held, fcntl.LOCK_UN)
        with _opened(self._gate) as gate, _locked(gate):
            fcntl.flock(self._held, fcntl.LOCK_EX)
            self._measuring = True
            try:
                yield
            finally:
                self._measuring = False
                fcntl.flock(self._held, fcntl.LOCK_SH)

    def give_way(self) -> None:
        """Inside :meth:`shared`: whoever waits to be alone goes first."""
        if not self._measuring:
            fcntl.flock(self._held, fcntl.LOCK_UN)
            with _opened(self._gate) as gate, _locked(gate):
                fcntl.flock(self._held, fcntl.LOCK_SH)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as reason:
        raise RunError(f"Cannot lock {path}: {reason.strerror or reason}.") from reason
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _locked(handle: int) -> Iterator[None]:
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)


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
