"""Reader of idx files, the format of MNIST and Fashion-MNIST (yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from rlprune.errors import TaskError

UNSIGNED_BYTE = 0x08
MAX_BYTES = 2**28
"""Of values in one file: five times Fashion-MNIST."""


def read_idx(path: str | Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """Read an idx file of unsigned bytes, plain or gzipped (told by its content).

    Layout: two zero bytes, the type code, the number of dimensions, each dimension as a big-endian uint32, the values.

    Args:
        path: the file.
        dimensions: how many dimensions it must have: 3 for images, 1 for labels.

    Raises:
        TaskError: the file is missing, truncated, too long, not idx, or of another type or number of dimensions.
    """
    path = Path(path)
    with _opened(path) as file:
        shape = _shape(path, file.read(4 + 4 * dimensions), dimensions)
        count = math.prod(shape)
        content = file.read(count + 1)
    if len(content) != count:
        raise TaskError(
            f"{path} is truncated or damaged: its header promises {count} bytes of shape {list(shape)}, "
            f"{'more' if len(content) > count else len(content)} follow. Get the file again."
        )
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _shape(path: Path, header: bytes, dimensions: int) -> tuple[int, ...]:
    magic = bytes((0, 0, UNSIGNED_BYTE, dimensions))
    if header[:4] != magic:
        raise TaskError(
            f"An idx file of {dimensions}-d bytes starts with {magic.hex()}; {path} starts with {header[:4].hex()}. Is "
            "it the right file?"
        )
    if len(header) < 4 + 4 * dimensions:
        raise TaskError(f"{path} is truncated: {len(header)} bytes do not hold its header. Get the file again.")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if math.prod(shape) > MAX_BYTES:
        raise TaskError(
            f"{path} promises {math.prod(shape)} bytes; at most {MAX_BYTES} are read. Is it the right file?"
        )
    return shape


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file as a stream, unpacked where it is gzipped: a small one can unpack to any size."""
    try:
        if path.exists() and not path.is_file():
            raise TaskError(f"Cannot read {path}: it must be a file, not a folder or a device.")
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else path.open("rb") as stream:
            yield cast(BinaryIO, stream)
    except (EOFError, zlib.error, gzip.BadGzipFile) as reason:
        raise TaskError(f"{path} is truncated or damaged ({reason}). Get the file again.") from reason
    except OSError as reason:
        raise TaskError(f"Cannot read {path}: {reason.strerror or reason}.") from reason
