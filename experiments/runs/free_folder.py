"""Where something new may be written: a folder that is new or empty, or in the place of a file of the same kind."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlprune.errors import RlpruneError, RunError
from rlprune.experiments.settings.commands import resume
from rlprune.support.files import read_json

STATUS = "status.json"
"""What every run folder has."""


def check_free(path: str | Path) -> None:
    """Refuse a folder that cannot be written or is not empty. Nothing is left behind.

    Raises:
        RunError: it says which.
    """
    path = Path(path)
    try:
        if os.path.lexists(path):
            _check_empty(path)
        nearest = next(folder for folder in (path, *path.absolute().parents) if os.path.lexists(folder))
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as reason:
        why = reason.strerror or reason
        raise RunError(f"Cannot write to {path}: {why}. Choose another folder with --out.") from reason


def check_replaceable(
    path: Path, what: str, is_one: Callable[[dict[str, Any]], bool], error: type[RlpruneError]
) -> None:
    """Refuse a folder, and a file that is something else: an earlier one of the same kind may be replaced.

    Args:
        what: the kind, such as ``device profile``.
        is_one: whether the content of a JSON file is of this kind.

    Raises:
        RlpruneError: of the type that is given; it says which.
    """
    if path.is_dir():
        raise error(f"--out must be a file; {path} is a folder. Choose {path / what.split()[-1]}.json, say.")
    if path.exists() and not is_one(read_json(path, error)):
        raise error(f"{path} exists and is no {what}. Choose another file with --out.")


def _check_empty(path: Path) -> None:
    if not path.is_dir():
        raise RunError(f"The output must be a folder; {path} is a file. Choose another with --out.")
    if any(path.iterdir()):
        held, remedy = _held(path)
        raise RunError(f"The output folder must be new or empty; {path} holds {held}. {remedy}")


def _held(path: Path) -> tuple[str, str]:
    """What a folder holds, and what to do."""
    another = "Choose another with --out."
    if not (path / STATUS).is_file():
        return "other files", another
    try:
        state = str(read_json(path / STATUS, RunError).get("status", "unknown"))[:80]
    except RunError:
        state = "unreadable"
    if state in ("complete", "unreadable", "unknown"):
        return f"another run ({state})", another
    return f"another run ({state})", f"Go on with it ({resume(path)}), or choose another with --out."
