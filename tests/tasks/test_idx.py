"""The idx reader, on files written here."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from rlprune.errors import TaskError
from rlprune.tasks.idx import read_idx


def idx_bytes(values: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], kind: int = 8) -> bytes:
    return bytes((0, 0, kind, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)


@pytest.mark.parametrize("zipped", [False, True])
def test_reads_what_was_written(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(idx_bytes(IMAGES)) if zipped else idx_bytes(IMAGES))
    assert np.array_equal(read_idx(path, 3), IMAGES)


@pytest.mark.parametrize("length", [0, 3, 4, 10, 15, 16, 75])
def test_truncated_files_are_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "images"
    path.write_bytes(idx_bytes(IMAGES)[:length])
    with pytest.raises(TaskError, match=r"truncated|starts with"):
        read_idx(path, 3)


def test_truncated_and_damaged_gzip_is_refused(tmp_path: Path) -> None:
    zipped = gzip.compress(idx_bytes(IMAGES))
    path = tmp_path / "images.gz"
    path.write_bytes(zipped[:-12])
    with pytest.raises(TaskError, match="truncated or damaged"):
        read_idx(path, 3)
    path.write_bytes(zipped[:20] + bytes(len(zipped) - 20))
    with pytest.raises(TaskError, match="truncated or damaged"):
        read_idx(path, 3)


def test_more_bytes_than_promised_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(idx_bytes(IMAGES) + b"\0")
    with pytest.raises(TaskError, match=r"promises 60 bytes .* more follow"):
        read_idx(path, 3)


@pytest.mark.parametrize(
    "content", [b"\x00\x00\x0d\x03" + bytes(20), b"\x00\x00\x08\x01" + bytes(20), b"PNG and so on"]
)
def test_a_wrong_magic_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(TaskError, match="starts with 00000803"):
        read_idx(path, 3)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(TaskError, match="Cannot read"):
            read_idx(path, 3)
