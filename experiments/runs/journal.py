"""The journal of a run: every evaluation, in order, so that a search that was broken off can be repeated from it.

A search is determined by its seed and by what its evaluations answered. To go on with it, it is run again from the
start with the answers of the journal: agent, optimiser, replay, generators, cache and counters then stand where they
stood, whatever the method, and nothing but plans and numbers was ever stored.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rlprune.errors import RunError
from rlprune.evaluation.evaluator import Measurement, PlanKey, Quality
from rlprune.support.files import read_bytes

SCHEMA = "rlprune-journal/1"
FILE = "evaluations.jsonl"
MAX_BYTES = 128 * 2**20
MAX_VALUES = 2**23
MAX_CHOICES = 100_000
SYNC_S = 1.0
"""A journal reaches the disk so often; what is lost with the process alone is never more than one line."""


@dataclass(frozen=True)
class Entry:
    """One evaluation.

    Attributes:
        search: the method that asked.
        plan: level of each choice; 0 is a dropped block.
        measured: quality and the seconds of the forward pass.
        elapsed: seconds since the search began.
        time: when it ended, seconds since 1970.
    """

    search: str
    plan: PlanKey
    measured: Measurement
    elapsed: float
    time: float

    def line(self) -> str:
        """One line of JSON; NaN is null."""
        quality, seconds = self.measured
        values = {
            "search": self.search,
            "plan": self.plan,
            "score": _or_none(quality.score),
            "divergence": _or_none(quality.divergence),
            "samples": quality.samples,
            "seconds": seconds,
            "elapsed": self.elapsed,
            "time": self.time,
        }
        return json.dumps(values, allow_nan=False, separators=(",", ":"))

    @classmethod
    def read(cls, line: str) -> Entry:
        """What :meth:`line` wrote.

        Raises:
            ValueError, TypeError, KeyError: it is something else.
        """
        values = json.loads(line)
        plan = tuple(_whole(level, least=0) for level in values["plan"])
        if len(plan) > MAX_CHOICES:
            raise ValueError(f"{len(plan)} choices")
        quality = Quality(_or_nan(values["score"]), _or_nan(values["divergence"]), _whole(values["samples"]))
        seconds, elapsed, at = (_positive(values[name]) for name in ("seconds", "elapsed", "time"))
        return cls(str(values["search"]), plan, (quality, seconds), elapsed, at)


class Journal:
    """The evaluations of a run on disk. A half line at the end, left by a process that was killed, is dropped.

    Args:
        folder: of the run.

    Raises:
        RunError: the journal cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._known: dict[str, list[Entry]] = {}
        entries, whole = read_journal(folder)
        for entry in entries:
            self._known.setdefault(entry.search, []).append(entry)
        try:
            self._file: BinaryIO = self.path.open("ab")
            self._file.truncate(whole)
        except OSError as reason:
            raise self._unwritable(reason) from reason
        self._synced = time.monotonic()
        if whole == 0:
            self._append(json.dumps({"schema": SCHEMA}))

    def memory_of(self, search: str) -> SearchMemory:
        """What a method evaluated so far, and where it goes on writing."""
        return SearchMemory(self, search, self._known.pop(search, []))

    def add(self, entry: Entry) -> None:
        """Write one evaluation. It survives the process at once, and the machine after a second.

        Raises:
            RunError: the disk is full, or the folder was removed.
        """
        self._append(entry.line())

    def _append(self, line: str) -> None:
        try:
            if not os.path.samestat(os.fstat(self._file.fileno()), os.stat(self.path)):
                raise FileNotFoundError("another file has its name")
            self._file.write(line.encode() + b"\n")
            self._file.flush()
            if time.monotonic() > self._synced + SYNC_S:
                self._sync()
        except OSError as reason:
            raise self._unwritable(reason) from reason

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        """Write what is left. May be called again."""
        if not self._file.closed:
            try:
                self._sync()
                self._file.close()
            except OSError as reason:
                raise self._unwritable(reason) from reason

    def _unwritable(self, reason: OSError) -> RunError:
        return RunError(
            f"Cannot write {self.path}: {reason.strerror or reason}. What stands in it is safe: make room and "
            "continue the run with --resume."
        )


class SearchMemory:
    """What one method evaluated before; see :class:`rlprune.evaluation.evaluator.EvaluationMemory`.

    Args:
        journal: takes in what is new.
        search: the method.
        entries: what it evaluated, in order.
    """

    def __init__(self, journal: Journal, search: str, entries: Iterable[Entry]) -> None:
        self._journal, self._search = journal, search
        self._left = deque(entries)
        self._recalled = 0
        self._elapsed, self._wall, self._since = 0.0, time.time(), time.perf_counter()

    def __len__(self) -> int:
        return len(self._left)

    def recall(self, keys: Sequence[PlanKey]) -> list[Measurement]:
        """What the journal holds of the first of these plans.

        Raises:
            RunError: it holds another plan at this place: the search does not repeat itself.
        """
        found: list[Measurement] = []
        for key in keys[: len(self._left)]:
            entry = self._left.popleft()
            if entry.plan != key:
                raise RunError(
                    f"A run goes on where its search repeats itself, evaluation by evaluation; number "
                    f"{self._recalled + 1} of {self._search} was of {list(entry.plan)} and now is of {list(key)}. "
                    "It was made with other code, libraries or processor (see versions.json): start a new run."
                )
            self._recalled += 1
            self._elapsed, self._wall, self._since = entry.elapsed, entry.time, time.perf_counter()
            found.append(entry.measured)
        return found

    def record(self, key: PlanKey, measured: Measurement) -> None:
        """Write what was measured now."""
        self._journal.add(Entry(self._search, key, measured, self.clock(), time.time()))

    def clock(self) -> float:
        """Seconds since the search began, in whatever process."""
        return self._elapsed if self._left else self._elapsed + time.perf_counter() - self._since

    def wall_time(self) -> float:
        """Seconds since 1970: now, or when the evaluation that was recalled last ended."""
        return self._wall if self._left else time.time()


def read_journal(folder: Path) -> tuple[list[Entry], int]:
    """The evaluations of a run, none where there is no journal yet, and how many bytes of it are whole lines.

    Raises:
        RunError: it is something else.
    """
    path = folder / FILE
    if not path.is_file():
        return [], 0
    text = read_bytes(path, RunError, MAX_BYTES)
    if text.count(b",") + text.count(b"\n") > MAX_VALUES:
        raise RunError(f"{path} has more than {MAX_VALUES} values; so many are not read. Is it the journal of a run?")
    whole = text.rfind(b"\n") + 1
    lines = text[:whole].splitlines()
    try:
        if lines and json.loads(lines[0]) != {"schema": SCHEMA}:
            raise ValueError(f"it does not begin with schema {SCHEMA!r}")
        return [Entry.read(line.decode()) for line in lines[1:]], whole
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as reason:
        raise RunError(f"{path} is not the journal of a run ({reason}). Start a new run.") from reason


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _or_nan(value: Any) -> float:
    return math.nan if value is None else _number(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _positive(value: Any) -> float:
    if _number(value) < 0:
        raise ValueError(f"{value!r} is below 0")
    return float(value)


def _whole(value: Any, least: int = 1) -> int:
    if type(value) is not int or not least <= value < 2**31:
        raise ValueError(f"{value!r} is no whole number of at least {least}")
    return value
