"""What a person sees while a job runs: one line a phase and a bar with the time left, all on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rlprune.support.progress import Bar, tell


class Progress:
    """Phases, bars and the time each phase took.

    Attributes:
        seconds: phase to wall time in seconds.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def note(self, text: str) -> None:
        """One line for people."""
        tell(text)

    def notes(self, lines: Iterable[str]) -> None:
        """A line each."""
        for line in lines:
            self.note(line)

    @contextmanager
    def phase(self, name: str, text: str | None = None) -> Iterator[None]:
        """Time a phase, and announce it where there is a text."""
        if text is not None:
            self.note(text)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def bar(self, text: str, total: int | None = None, unit: str = "") -> Bar:
        """A bar with the time left."""
        return Bar(text, total, unit=unit, stays=True)
