"""Atomic writes and checked JSON reads."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from rlprune.errors import RlpruneError

MAX_JSON_BYTES = 64 * 2**20
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UMASK = os.umask(0)
os.umask(UMASK)


def write_atomic(path: str | Path, content: bytes | str, error: type[RlpruneError] = RlpruneError) -> Path:
    """Write ``content`` to ``path`` so that a reader sees the old file or the new one, never a half.

    Raises:
        error: the folder is missing, not writable, or the disk is full.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~UMASK)
        os.replace(temporary, path)
    except OSError as reason:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        remedy = "Make room" if reason.errno in FULL else "Choose a folder that can be written"
        raise error(f"Cannot write {path}: {reason.strerror or reason}. {remedy}.") from reason
    return path


def write_json(path: str | Path, value: Any, error: type[RlpruneError] = RlpruneError) -> Path:
    """Write ``value`` as indented JSON, atomically. NaN and infinities are refused."""
    return write_atomic(path, json.dumps(value, indent=2, allow_nan=False) + "\n", error)


def read_json(path: str | Path, error: type[RlpruneError], max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        error: the file is missing, too large, not JSON, or not an object.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise error(f"{path} has {size} bytes; at most {max_bytes} are read. Is this the right file?")
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as reason:
        raise error(f"Cannot read {path}: {reason.strerror or reason}.") from reason
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as reason:
        raise error(f"{path} is not valid JSON ({reason}). It may be truncated: write it again.") from reason
    if not isinstance(value, dict):
        raise error(f"{path} must hold a JSON object, not {type(value).__name__}.")
    return value
