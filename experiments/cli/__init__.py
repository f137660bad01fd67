"""The command line.

Exit codes: 0 done, 1 a claim of a validated run differs or a member of a study is not complete, 2 a setting or an input
is wrong (one line on stderr), 130 interrupted.
"""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import sys
from collections.abc import Sequence

from rlprune.errors import ConfigError
from rlprune.experiments.cli.parser import parse
from rlprune.experiments.cli.verbs import VERBS
from rlprune.experiments.runs.ending import OK, WRONG, guarded
from rlprune.experiments.settings.options import check_known
from rlprune.support.files import require_text


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
    name, *rest = arguments
    check_known("verb", [name], VERBS)
    verb = VERBS[name]
    config, as_json = parse(verb, rest)
    with contextlib.redirect_stdout(sys.stderr):  # whatever a library prints, stdout is for the answer
        answer = verb.run(config, shlex.join(["rlprune", *arguments]))
    if as_json:
        print(json.dumps(answer.as_dict(), allow_nan=False))
    else:
        answer.show()
    code: int = getattr(answer, "exit_code", OK)
    return code


def _usage() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {name:<{width}}  {verb.summary}" for name, verb in VERBS.items()]
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
