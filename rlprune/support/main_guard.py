"""Spawned processes run the main script again, so what starts processes in it must stand behind a guard."""

from __future__ import annotations

import ast
import inspect
import multiprocessing
import sys
from pathlib import Path

from rlprune.errors import ConfigError

UNGUARDED = 77
"""Exit status of a process that would start workers while it still imports the main script."""


def unguarded(script: str) -> ConfigError:
    """The sentence of a main script that every worker would run again."""
    return ConfigError(
        f"With several workers each process runs {script} again, so the code that starts them must stand under "
        '`if __name__ == "__main__":`; it does not. Put it there, or use one worker.'
    )


def check_guard() -> None:
    """Refuse to start processes from a line of the main script that they would run again.

    Raises:
        ConfigError: the line stands behind no ``if`` at all.
        SystemExit: this is a process that was started from such a line; whoever started it tells.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(UNGUARDED)
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    if path is None or (main.__spec__ is not None and main.__spec__.name.endswith("__main__")):
        return  # an interactive session, or a package: these are not run again
    frame = inspect.currentframe()
    while frame is not None and not (frame.f_globals is vars(main) and frame.f_code.co_name == "<module>"):
        frame = frame.f_back
    if frame is not None and not _conditional(Path(path), frame.f_lineno):
        raise unguarded(Path(path).name)


def _conditional(path: Path, line: int) -> bool:
    """Whether a line of a script stands behind an ``if``, or that cannot be known."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (OSError, SyntaxError, ValueError):
        return True
    return any(isinstance(node, ast.If) and node.lineno <= line <= (node.end_lineno or line) for node in nodes)
