"""The command line, one file per verb.

Exit codes: 0 done, 1 a claim of a validated run differs or a member of a study is not complete, 2 a setting or an input
is wrong (one line on stderr), 130 interrupted.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from rlprune.errors import ConfigError, RlpruneError, unknown_name
from rlprune.experiments.runs.interruption import stopping_on_sigterm
from rlprune.support.files import require_text

VERBS = {
    "demo": "the whole job on a small network that ships with the project, within three minutes",
    "inspect": "tell what can be pruned in a network, and why the rest cannot",
    "devices": "tell what this machine can run, and what it can measure with",
    "profile": "measure latency and energy of pruned networks on this device",
    "train": "train an agent to prune a network within a budget",
    "search": "search for a plan with any method, learning or not",
    "sweep": "run what is missing of a study; exit code 1 where a member failed or is not complete",
    "compare": "put finished runs side by side",
    "front": "weigh accuracy, latency, energy and more of all plans of finished runs, and choose one",
    "replay": "walk a learned policy over another network",
    "apply": "prune a network as a plan says, and export it",
    "report": "make the report and the pictures of a run again",
    "validate": "measure again what a run claims (exit code 0: all that can be checked holds, 1: a claim differs)",
}
OK, WRONG, INTERRUPTED = 0, 2, 130


class Answer(Protocol):
    """What a verb hands back."""

    def as_dict(self) -> dict[str, object]:
        """One JSON object."""
        ...

    def show(self) -> None:
        """Print it for people, on stdout."""
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``rlprune VERB ...`` and return its exit code.

    Args:
        argv: the arguments after the program's name; those of the process by default.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # whatever a file may be called, its name can be told
            stream.reconfigure(errors="backslashreplace")
    return guarded(lambda: _main(arguments))


def guarded(work: Callable[[], int]) -> int:
    """The exit code of ``work``; what went wrong is told in one line on stderr."""
    try:
        with stopping_on_sigterm():
            return work()
    except RlpruneError as reason:
        print(f"rlprune: {' '.join(str(reason).split())}", file=sys.stderr)
        return WRONG
    except KeyboardInterrupt as reason:
        print(" ".join(["rlprune: interrupted.", *map(str, reason.args)]), file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except SystemExit as reason:  # how the parser ends after --help
        return reason.code if isinstance(reason.code, int) else OK


def _main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return OK if arguments else WRONG
    if arguments[0] == "--version":
        from rlprune import __version__

        print(f"rlprune {__version__}")
        return OK
    for argument in arguments:
        require_text(argument, ConfigError)
    verb, *rest = arguments
    if verb not in VERBS:
        raise ConfigError(unknown_name("verb", verb, VERBS))
    module = importlib.import_module(f"rlprune.experiments.cli.{verb}")
    command = shlex.join(["rlprune", *arguments])
    config, as_json = _settings(verb, module, rest)
    with contextlib.redirect_stdout(sys.stderr):  # whatever a library prints, stdout is for the answer
        answer: Answer = module.run(config, command)
    if as_json:
        print(json.dumps(answer.as_dict(), allow_nan=False))
    else:
        answer.show()
    code: int = getattr(answer, "exit_code", OK)
    return code


def _settings(verb: str, module: object, arguments: Sequence[str]) -> tuple[object, bool]:
    from rlprune.experiments.cli.arguments import parse

    return parse(verb, module.CONFIG, VERBS[verb].capitalize() + ".", module.EXAMPLE, arguments)  # type: ignore[attr-defined]


def _usage() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {summary}" for verb, summary in VERBS.items()]
    return "\n".join(
        [
            "usage: rlprune VERB [flags]",
            "",
            "An agent learns, layer by layer, how much of a neural network to prune for one device.",
            "",
            *lines,
            "",
            "rlprune VERB --help tells the flags of a verb. Example:  rlprune demo",
        ]
    )
