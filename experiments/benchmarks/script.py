"""What the benchmark scripts share: common flags, one torch thread, JSON out, one-line errors."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rlprune.errors import RlpruneError
from rlprune.support.files import write_json
from rlprune.support.threads import torch_threads


def run_script(
    description: str | None,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    execute: Callable[[argparse.Namespace], dict[str, Any]],
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse flags, run on one thread, write the report that ``execute`` returns.

    Returns:
        The exit code: 2 for anything a user got wrong, with the message on stderr.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", help="folder of the task's files; found by itself where none is given")
    parser.add_argument("--out", help="JSON file to write")
    add_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        with torch_threads(1):
            report = execute(options)
        if options.out:
            write_json(options.out, report)
    except RlpruneError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
