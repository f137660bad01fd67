"""Pieces of work of a study: what a process is told to do, and how it ended."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any, Literal

INTERRUPTED = 130

Work = Literal["profile", "train", "resume"]


@dataclass(frozen=True)
class Order:
    """A piece of work of a study, for a process of its own.

    Attributes:
        name: of the member or the profile.
        work: measure a profile, begin a run, or go on with one.
        device: as the study calls it.
        settings: of ``rlprune profile`` or ``rlprune train``; its ``out`` is where the result goes.
        command: the command line that a run notes.
        turns: folder of the locks with which measuring processes keep others quiet.
    """

    name: str
    work: Work
    device: str
    settings: dict[str, Any]
    command: str
    turns: str


@dataclass(frozen=True)
class End:
    """How a piece of work ended.

    Attributes:
        state: ``done``, ``failed`` or ``interrupted``.
        error: why it failed, in one line.
    """

    state: Literal["done", "failed", "interrupted"]
    error: str = ""


def end_of(code: int, said: str) -> End:
    """How a process ended, from its exit code and what it said at the end."""
    if code == 0:
        return End("done")
    if code == INTERRUPTED:
        return End("interrupted")
    if code < 0:
        cause = " (out of memory?)" if -code == signal.SIGKILL else ""
        named = {number.value: number.name for number in signal.Signals}
        return End("failed", f"ended by {named.get(-code, f'signal {-code}')}{cause}")
    lines = [line.strip() for line in said.replace("\r", "\n").splitlines() if line.strip()]
    own = [line.removeprefix("rlprune: ") for line in lines if line.startswith("rlprune: ")]
    return End("failed", (own or lines or [f"exit code {code}, without a word"])[-1])
