"""How a program of this project ends: its exit code, and one line on stderr where something went wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from rlprune.errors import RlpruneError
from rlprune.experiments.runs.interruption import stopping_on_sigterm

OK, WRONG, INTERRUPTED = 0, 2, 130


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
