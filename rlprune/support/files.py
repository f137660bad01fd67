"""Atomic writes and bounded, checked reads."""

from __future__ import annotations

import errno
import itertools
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rlprune.errors import RlpruneError

MAX_JSON_BYTES = 24 * 2**20
MAX_JSON_VALUES = 2**20
"""A value takes far more memory than its text: so many take about 150 MB."""
MAX_DEPTH = 32
LARGEST = 2**63 - 1
"""Of whole numbers: what NumPy and torch can hold."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9_.=+ -]{0,99}")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UMASK = os.umask(0)
os.umask(_UMASK)


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
        os.chmod(temporary, 0o666 & ~_UMASK)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException as reason:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if not isinstance(reason, OSError):
            raise
        remedy = "Make room" if reason.errno in FULL else "Choose a folder that can be written"
        raise error(f"Cannot write {path}: {reason.strerror or reason}. {remedy}.") from reason
    return path


def _sync_folder(folder: Path) -> None:
    """Let the new name reach the disk, where the system can be asked for that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_json(path: str | Path, value: Any, error: type[RlpruneError] = RlpruneError) -> Path:
    """Write ``value`` as indented JSON, atomically. NaN and infinities are refused."""
    return write_atomic(path, json.dumps(value, indent=2, allow_nan=False) + "\n", error)


def write_folder(path: Path, files: Mapping[str, str], error: type[RlpruneError]) -> None:
    """Make a folder with its first files at once: whoever is killed meanwhile leaves all of it, or none.

    Raises:
        error: it cannot be written.
    """
    staged: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        for name, text in files.items():
            write_atomic(staged / name, text, error)
        staged.chmod(0o777 & ~_UMASK)
        try:
            staged.rename(path)
        except OSError:
            if not path.is_dir() or any(path.iterdir()):
                raise
            for name in files:  # an empty folder that cannot be replaced: a mounted one, say
                (staged / name).replace(path / name)
            staged.rmdir()
    except BaseException as reason:
        if staged is not None:
            shutil.rmtree(staged, ignore_errors=True)
        if not isinstance(reason, OSError):
            raise
        raise error(
            f"Cannot write to {path}: {reason.strerror or reason}. Choose another folder with --out."
        ) from reason


def refuse_links(folder: Path, error: type[RlpruneError]) -> None:
    """Refuse a folder with links in it: what is read and written there must not lie elsewhere.

    Raises:
        error: it names the first link.
    """
    for inside, folders, files in os.walk(folder):
        for path in (Path(inside) / name for name in (*folders, *files)):
            if path.is_symlink():
                raise error(f"A run folder must hold no links; {path} is one. Put the file itself there.")


def read_bytes(path: str | Path, error: type[RlpruneError], max_bytes: int) -> bytes:
    """The content of a regular file; of a larger one, a pipe or a device nothing is kept.

    Raises:
        error: the file is missing, no file, or has more than ``max_bytes``.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise error(f"Cannot read {path}: it must be a file, not a folder or a device. Is this the right path?")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size  # so much memory is taken, before anything is read
            content = file.read(min(size, max_bytes) + 1)
    except OSError as reason:
        raise error(f"Cannot read {path}: {reason.strerror or reason}. Is this the right path?") from reason
    if len(content) > max_bytes:
        size = path.stat().st_size
        raise error(f"{path} has {size} bytes; at most {max_bytes} are read. Is this the right file?")
    return content


def read_text(path: str | Path, error: type[RlpruneError], max_bytes: int) -> str:
    """The content of a UTF-8 file. Raises as :func:`read_bytes`, and where it is not UTF-8."""
    try:
        return read_bytes(path, error, max_bytes).decode("utf-8")
    except UnicodeDecodeError as reason:
        raise error(f"{path} must be UTF-8 text ({reason.reason} at byte {reason.start}).") from reason


def read_json(path: str | Path, error: type[RlpruneError], max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """Read a JSON object: every key once, numbers finite and whole ones of 64 bits, nothing deep.

    Raises:
        error: the file is missing, too large, not such JSON, or not an object.
    """
    return parse_json(read_text(path, error, max_bytes), str(path), error)


def parse_json(text: str, origin: str, error: type[RlpruneError]) -> dict[str, Any]:
    """A JSON object from text, checked as :func:`read_json` does; messages name the ``origin``."""
    if sum(map(text.count, ",[{")) > MAX_JSON_VALUES:
        raise error(f"{origin} has more than {MAX_JSON_VALUES} values; so many are not read. Is this the right file?")
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as reason:
        remedy = "It may be truncated: write it again" if isinstance(reason, json.JSONDecodeError) else "Write it again"
        raise error(f"{origin} is not valid JSON ({reason}). {remedy}.") from reason
    if not isinstance(value, dict):
        raise error(f"{origin} must hold a JSON object, not {type(value).__name__}. Is this the right file?")
    check_tree(value, origin, error)
    return value


def check_tree(value: Any, origin: str, error: type[RlpruneError]) -> None:
    """Refuse lists and objects nested too deep, and text that a terminal would obey or UTF-8 cannot hold.

    Raises:
        error: it names the file.
    """
    level = [value]
    for _ in range(MAX_DEPTH):
        if any(isinstance(item, str) and _CONTROL.search(item) for item in level):
            raise error(f"{origin} must hold plain text; it holds control characters or halves of characters.")
        level = [inner for item in level for inner in _inner(item)]
        if not level:
            return
    raise error(f"{origin} must not be nested deeper than {MAX_DEPTH} levels. Is this the right file?")


def require_text(name: str | Path, error: type[RlpruneError]) -> None:
    """Refuse a name of a file or folder that no text can hold: commands, settings and reports name it.

    Raises:
        error: it is not UTF-8.
    """
    try:
        str(name).encode()
    except UnicodeEncodeError as reason:
        shown = str(name).encode(errors="backslashreplace").decode().replace("\\udc", "\\x")
        raise error(f"Names of files and folders must be UTF-8; '{shown:.200}' came. Rename it.") from reason


def plain_name(name: str, error: type[RlpruneError]) -> str:
    """``name``, where it may stand in the name of a file: no folder, nothing hidden, nothing that climbs.

    Raises:
        error: it may not.
    """
    if not _NAME.fullmatch(name):
        raise error(
            f"{name[:80]!r} cannot stand in a file's name: letters, digits, spaces and _ . = + - can, 100 at most, a "
            "letter or digit first."
        )
    return name


def _inner(item: Any) -> Iterable[Any]:
    if isinstance(item, dict):
        return itertools.chain(item, item.values())
    return item if isinstance(item, list) else ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key comes twice in one object")
    return value


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no finite number")
    return value


def _whole(text: str) -> int:
    if len(text) > 20 or abs(int(text)) > LARGEST:
        raise ValueError(f"{text[:20]}... has more than 64 bits")
    return int(text)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_number, parse_int=_whole, parse_constant=_number)
