"""Pieces of work in processes on this machine."""

from __future__ import annotations

import os
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rlprune.errors import RunError
from rlprune.experiments.sweeping.orders import COMMAND, LOG_TAIL, End, Order, end_of

POLL_S = 0.1
PATIENCE_S = 60.0
Ended = Callable[[Order, End], None]


@dataclass(frozen=True, eq=False)
class Piece:
    """A process that works on an order; all it says goes to the end of its log."""

    order: Order
    log: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, order: Order, log: Path, inherited: Sequence[int] = (), folder: str | None = None) -> Piece:
        """Start it in a session of its own, which Ctrl-C in a terminal does not reach.

        Args:
            inherited: descriptors that stay open while it lives.
            folder: its working folder; ours by default.

        Raises:
            RunError: the log cannot be written, or no process can be started.
        """
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as said:
                said.write(f"--- {order.work} {order.name}\n".encode())
                said.flush()
                process = subprocess.Popen(
                    COMMAND,
                    stdin=subprocess.PIPE,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    env=order.environment(),
                    cwd=folder,
                    pass_fds=inherited,
                    start_new_session=True,
                )
        except OSError as reason:
            raise RunError(f"Cannot start {order.name}: {reason}.") from reason
        piece = cls(order, log, process)
        with suppress(BrokenPipeError):  # it is dead already, which its end tells
            piece._stdin(order.line())
        return piece

    def _stdin(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def end(self) -> End | None:
        """How it ended; None while it works."""
        code = self.process.poll()
        return None if code is None else end_of(code, _tail(self.log))

    def ask_to_stop(self) -> None:
        """Let it end as by Ctrl-C."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()


def _tail(log: Path) -> str:
    """What the last piece of work said at its end."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_TAIL))
            said = file.read().decode(errors="replace")
    except OSError:
        return ""
    return said.rpartition("\n--- ")[2].partition("\n")[2]


class LocalRunner:
    """Works on orders in processes on this machine, ``processes`` at a time.

    Args:
        log_of: the log of an order.
        lock: a descriptor that its processes inherit, so that what it locks stays locked until the last one ended.
    """

    def __init__(self, processes: int, log_of: Callable[[str], Path], lock: int) -> None:
        self._processes, self._log_of, self._lock = processes, log_of, lock

    def run(self, orders: Iterable[Order], ended: Ended) -> None:
        """Work on all orders; ``ended`` is told of each as it ends, and may not take long.

        Raises:
            KeyboardInterrupt: the user wants to stop; all processes have ended.
        """
        waiting, working = deque(orders), list[Piece]()
        try:
            while waiting or working:
                while waiting and len(working) < self._processes:
                    order = waiting.popleft()
                    working.append(Piece.start(order, self._log_of(order.name), [self._lock]))
                for piece in list(working):
                    if (end := piece.end()) is not None:
                        working.remove(piece)
                        piece.ask_to_stop()
                        ended(piece.order, end)
                time.sleep(POLL_S)
        finally:
            stop(working)


def stop(pieces: Sequence[Piece]) -> None:
    """Let all end cleanly; those that take long, or are in the way of a second Ctrl-C, are killed."""
    for piece in pieces:
        piece.ask_to_stop()
    until = time.monotonic() + PATIENCE_S
    try:
        for piece in pieces:
            piece.process.wait(max(0.0, until - time.monotonic()))
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        for piece in pieces:
            piece.process.kill()
            piece.process.wait()
