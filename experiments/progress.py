"""What a person sees while a job runs: one line a phase and a bar with the time left, all on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm


class Progress:
    """Phases, bars and the time each phase took.

    Attributes:
        seconds: phase to wall time in seconds.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def note(self, text: str) -> None:
        """One line for people."""
        tqdm.write(text, file=sys.stderr)

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

    @contextmanager
    def bar(self, text: str, total: int | None = None) -> Iterator[Bar]:
        """A bar with the time left."""
        interval = 0.2 if sys.stderr.isatty() else 5.0
        bar: tqdm[Any]
        with tqdm(total=total, desc=text, file=sys.stderr, mininterval=interval, dynamic_ncols=True, leave=True) as bar:
            yield Bar(bar)


class Bar:
    """A running bar."""

    def reach(self, share: float) -> None:
        """So much of it is done, in [0, 1]; of a bar with a total."""
        self._bar.update(max(round(share * (self._bar.total or 0)) - self._bar.n, 0))

    def __init__(self, bar: tqdm[Any]) -> None:
        self._bar = bar

    def step(self, best: str, steps: int = 1) -> None:
        """``steps`` further; ``best`` tells the best so far and what it costs."""
        self._bar.set_postfix_str(best, refresh=False)
        self._bar.update(steps)
