"""A folder as bytes, to send it to another machine and back."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from rlprune.errors import RunError

MOST_FILES = 10_000
MOST_BYTES = 4 * 2**30


def pack(folder: Path) -> bytes:
    """All files of a folder as a zip; hidden ones (locks, half-written files) are left out."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if path.is_file() and not path.is_symlink() and not any(part.startswith(".") for part in inside.parts):
                archive.write(path, inside.as_posix())
    return packed.getvalue()


def unpack(packed: bytes, folder: Path, most_bytes: int = MOST_BYTES) -> None:
    """Write the files of a zip into a folder, and nowhere else.

    Raises:
        RunError: it is no zip, a name leads out of the folder, something is no plain file, or it is too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            files = archive.infolist()
            for file in files:
                _check(file)
            if len(files) > MOST_FILES or sum(file.file_size for file in files) > most_bytes:
                raise RunError(f"What comes back from a run has at most {MOST_FILES} files and {most_bytes} bytes.")
            for file in files:
                path = folder / file.filename
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(file))
    except RunError:
        raise
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as reason:
        raise RunError(f"What came back from a run is no archive: {reason}.") from reason
    except OSError as reason:
        raise RunError(f"Cannot write to {folder}: {reason.strerror or reason}.") from reason


def _check(file: zipfile.ZipInfo) -> None:
    name, mode = file.filename, file.external_attr >> 16
    path = PurePosixPath(name)
    climbs = path.is_absolute() or any(part in ("..", "") or part.startswith(".") for part in path.parts)
    if climbs or "\\" in name or ":" in name or name.endswith("/") or (stat.S_IFMT(mode) not in (0, stat.S_IFREG)):
        raise RunError(f"What comes back from a run holds plain files below its folder; {name!r} came.")
