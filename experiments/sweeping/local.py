"""Pieces of work in processes on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from threading import Event

from rlprune.errors import RunError
from rlprune.experiments.sweeping.orders import End, Order, end_of

COMMAND = (sys.executable, "-P", "-m", "rlprune.experiments.sweeping.piece")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
LOG_TAIL = 2**16
POLL_S = 0.1
PATIENCE_S = 60.0
Ended = Callable[[Order, End], None]


class LocalRunner:
    """Works on orders in processes on this machine, ``processes`` at a time.

    Args:
        log_of: the log of an order.
        lock: a descriptor that its processes inherit, so that what it locks stays locked until the last one ended.
    """

    def __init__(self, processes: int, log_of: Callable[[str], Path], lock: int) -> None:
        self._processes, self._log_of, self._lock = processes, log_of, lock

    def run(self, orders: Sequence[Order], ended: Ended) -> None:
        """Work on all orders; ``ended`` is told of each as it ends.

        Raises:
            KeyboardInterrupt: the user wants to stop; all processes have ended. A second one kills them.
        """
        stopping, killing = Event(), Event()
        pool = ThreadPoolExecutor(self._processes)  # of threads that wait for the processes
        try:
            working = {
                pool.submit(work_on, order, self._log_of(order.name), stopping, killing, inherited=[self._lock]): order
                for order in orders
            }
            for done in as_completed(working):
                ended(working[done], done.result())
        finally:
            stopping.set()
            try:
                pool.shutdown(cancel_futures=True)
            finally:
                killing.set()


def work_on(
    order: Order,
    log: Path,
    stopping: Event,
    killing: Event,
    *,
    inherited: Sequence[int] = (),
    folder: str | None = None,
) -> End:
    """Work on an order in a process of its own, all that it says at the end of its log, and wait until it has ended.

    It has a session of its own, which Ctrl-C in a terminal does not reach. It is stopped as by Ctrl-C, and killed where
    that takes long.

    Args:
        stopping, killing: set where it is to stop, and where that may not take any time.
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
                [*COMMAND, json.dumps(asdict(order))],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                env={**os.environ, **dict.fromkeys(THREADS, str(order.settings["threads"]))},
                cwd=folder,
                pass_fds=inherited,
                start_new_session=True,
            )
    except OSError as reason:
        raise RunError(f"Cannot start {order.name}: {reason}.") from reason
    try:
        while process.poll() is None and not stopping.wait(POLL_S):
            pass
    finally:
        _end(process, killing)
    return end_of(process.returncode, _tail(log))


def _end(process: subprocess.Popen[bytes], killing: Event) -> None:
    """Close its stdin, which lets it end, and wait for that."""
    assert process.stdin is not None
    process.stdin.close()
    until = time.monotonic() + PATIENCE_S
    while process.poll() is None:
        if killing.wait(POLL_S) or time.monotonic() > until:
            process.kill()
            process.wait()


def _tail(log: Path) -> str:
    """What the last piece of work said at its end."""
    with log.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_TAIL))
        said = file.read().decode(errors="replace")
    return said.rpartition("\n--- ")[2].partition("\n")[2]
