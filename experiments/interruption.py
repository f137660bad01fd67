"""How a run stops when it is asked to."""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """A run that stopped cleanly, with what is to be said about it."""


def how_to_continue(path: Path) -> str:
    """The command that goes on with a run."""
    return f"Continue with: rlprune train --resume {shlex.quote(str(path))}"


@contextmanager
def stopping_on_sigterm() -> Iterator[None]:
    """Let SIGTERM, which schedulers send, stop a run as Ctrl-C does; only in a main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
