"""Reader of idx files, the format of MNIST and Fashion-MNIST (yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rlprune.errors import TaskError

UNSIGNED_BYTE = 0x08
MAX_BYTES = 2**31


def read_idx(path: str | Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """Read an idx file of unsigned bytes, plain or gzipped (told by its content).

    Layout: two zero bytes, the type code, the number of dimensions, each dimension as a big-endian uint32, the values.

    Args:
        path: the file.
        dimensions: how many dimensions it must have: 3 for images, 1 for labels.

    Raises:
        TaskError: the file is missing, truncated, too long, not idx, or of another type or number of dimensions.
    """
    content = _content(Path(path))
    magic = bytes((0, 0, UNSIGNED_BYTE, dimensions))
    if content[:4] != magic:
        raise TaskError(
            f"An idx file of {dimensions}-d bytes starts with {magic.hex()}; {path} starts with {content[:4].hex()!r}."
        )
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise TaskError(f"{path} is truncated: {len(content)} bytes do not hold its header. Get the file again.")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise TaskError(
            f"{path} is truncated or damaged: its header promises {math.prod(shape)} bytes of shape {list(shape)}, "
            f"{len(content) - start} follow. Get the file again."
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as reason:
        raise TaskError(f"{path} is truncated or damaged ({reason}). Get the file again.") from reason
    except OSError as reason:
        raise TaskError(f"Cannot read {path}: {reason.strerror or reason}.") from reason
    if len(content) > MAX_BYTES:
        raise TaskError(f"{path} holds more than {MAX_BYTES} bytes; that is no data set this reader is for.")
    return content
