"""What can be given wrongly and what is said then: the table behind the tests and ``bad-input.md``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

FINE = "…"
"""In a command: flags that are as they should be. In a message: what differs from one machine or run to the next."""
NETWORK = ("--network", "tiny_networks:network")
TASK = ("--task", "tiny_networks:task")
SHORT = ("--device", "profile.json", "--episodes", "2", "--samples", "16", "--out", "refused")
FLAGS = {
    "train": (*NETWORK, *TASK, *SHORT),
    "search": (*NETWORK, *TASK, *SHORT),
    "replay": (*NETWORK, *TASK),
    "apply": (*NETWORK, *TASK, "--out", "refused"),
    "profile": (*NETWORK, "--out", "new.json"),
    "inspect": NETWORK,
}
"""What ``…`` stands for, by verb; flags that come later win."""


@dataclass(frozen=True)
class BadInput:
    """One command that is refused.

    Attributes:
        title: what is wrong, in words.
        given: the command, without ``rlprune``.
        says: the whole line on stderr, without ``rlprune: ``.
        code: the exit code.
        without: what must be missing on this machine: a module, or ``cuda``.
        writes: a folder in which something may be written all the same.
    """

    title: str
    given: str
    says: str
    code: int = 2
    without: str = ""
    writes: str = ""

    @property
    def arguments(self) -> list[str]:
        """The command with all its flags."""
        verb, *rest = shlex.split(self.given) or [""]
        return [verb, *(word for given in rest for word in (FLAGS[verb] if given == FINE else (given,)))]

    @property
    def answer(self) -> str:
        """How it ends."""
        return str(self.code)

    @property
    def shown(self) -> str:
        """The command for people."""
        return f"rlprune {self.given}"


@dataclass(frozen=True)
class BadCall:
    """One call from Python that raises.

    Attributes:
        title: what is wrong, in words.
        shown: the call, for people.
        says: the whole message.
        answer: name of the error's class.
        call: makes it; it is given a :class:`rlprune.evaluation.problem.PruningProblem`.
    """

    title: str
    shown: str
    says: str
    answer: str
    call: Callable[[Any], object]


@dataclass(frozen=True)
class Topic:
    """Cases that belong together."""

    title: str
    cases: Sequence[BadInput | BadCall]


def matches(says: str, message: str) -> bool:
    """Whether a message is the one in the table."""
    return re.fullmatch(re.escape(says).replace(FINE, ".+"), message) is not None


INTRODUCTION = """\
# What is said to bad input

Each line is tested: the command prints exactly this one line on stderr, after `rlprune: `, nothing on stdout, writes
nothing, and ends with this exit code. In a command `…` stands for flags that are as they should be, in a message for
what differs from machine to machine or run to run. Errors from Python are subclasses of `rlprune.errors.RlpruneError`.

This page is made from the table of the tests:
`python -m tests.experiments.bad_inputs > tests/experiments/bad_inputs/bad-input.md`
"""


def page(topics: Sequence[Topic]) -> str:
    """The table as Markdown."""
    return "\n".join([INTRODUCTION, *(_section(topic) for topic in topics)])


def _section(topic: Topic) -> str:
    calls = any(isinstance(case, BadCall) for case in topic.cases)
    head = f"| what is wrong | given | said | {'error' if calls else 'exit code'} |"
    rows = [
        f"| {case.title} | {_code(case.shown)} | {_code(case.says)} | {_code(case.answer) if calls else case.answer} |"
        for case in topic.cases
    ]
    return "\n".join([f"## {topic.title}\n", head, "|---|---|---|---|", *rows, ""])


def _code(text: str) -> str:
    """A code span in a cell of a table."""
    fence = "``" if "`" in text else "`"
    space = " " if fence in text or text[:1] == "`" or text[-1:] == "`" else ""
    return f"{fence}{space}{text}{space}{fence}".replace("|", "\\|")
