"""Bars on stderr: with the time left on a terminal, elsewhere a plain line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, Self, TypeVar

from tqdm import tqdm

LINE_EVERY_S = 10.0
"""Seconds between two lines where stderr is no terminal."""
T = TypeVar("T")


class Bar:
    """Counts steps; use it in a ``with`` block, at whose end the true count is told.

    Args:
        text: what is counted, for people.
        total: steps in all; None where nobody knows.
        done: steps that were made before.
        unit: of the steps, where the text does not say it.
        hidden: tell nothing.
        stays: whether the bar stays on a terminal after its end.
    """

    def __init__(
        self,
        text: str,
        total: int | None = None,
        *,
        done: int = 0,
        unit: str = "",
        hidden: bool = False,
        stays: bool = False,
    ) -> None:
        self._text, self._total, self._count, self._unit = text, total, done, f" {unit}" if unit else ""
        self._start = self._told = time.monotonic()
        self._first, self._note, self._hidden = done, "", hidden
        self._bar: tqdm[Any] | None = None
        if not hidden and sys.stderr.isatty():
            self._bar = tqdm(
                desc=text,
                total=total,
                initial=done,
                unit=self._unit or "it",
                file=sys.stderr,
                leave=stays,
                mininterval=0.2,
                dynamic_ncols=True,
            )

    def step(self, note: str = "", steps: int = 1) -> None:
        """Further; ``note`` stands behind the count. Past the total nobody knows how many there will be."""
        self._count, self._note = self._count + steps, note
        if self._total is not None and self._count > self._total:
            self._total = None
        if self._bar is not None:
            self._bar.total = self._total
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(steps)
        elif time.monotonic() >= self._told + LINE_EVERY_S:
            self._tell(self._left())

    def reach(self, share: float) -> None:
        """So much of the total is done, in [0, 1]."""
        self.step(steps=max(round(share * (self._total or 0)) - self._count, 0))

    def _left(self) -> str:
        made = self._count - self._first
        if self._total is None or made <= 0:
            return ""
        return f", {(time.monotonic() - self._start) / made * (self._total - self._count):.0f} s left"

    def _tell(self, left: str = "") -> None:
        self._told = time.monotonic()
        count = f"{self._count}{'' if self._total is None else f' of {self._total}'}{self._unit}"
        note = f"; {self._note}" if self._note else ""
        if not self._hidden:
            print(f"{self._text.strip()}: {count} in {self._told - self._start:.0f} s{left}{note}", file=sys.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, reason: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        else:
            self._tell(", stopped" if kind is not None else "")


def counted(items: Iterable[T], text: str) -> Iterator[T]:
    """Iterate over the items, with a bar while they are worked on."""
    with Bar(text, len(items) if isinstance(items, Sized) else None, stays=True) as bar:
        for item in items:
            yield item
            bar.step()


def tell(text: str) -> None:
    """Print a line on stderr, above whatever bar is shown there."""
    tqdm.write(text, file=sys.stderr)
