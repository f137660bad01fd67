"""CIFAR-10 from its standard binary files (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images").

The pickled "python version" is never read: unpickling runs whatever the file says.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from rlprune.errors import TaskError
from rlprune.support.files import read_bytes
from rlprune.tasks.base import Task
from rlprune.tasks.folders import find_folder
from rlprune.tasks.images import LabelledImages, cut_train, image_task
from rlprune.tasks.split import Split, check_labels

NAME = "cifar10"
CLASSES = 10
SHAPE = (3, 32, 32)
RECORD_BYTES = 1 + 3 * 32 * 32
MAX_BYTES = 60000 * RECORD_BYTES
VALIDATION = 5000
CALIBRATION = 1024
SPLIT_SEED = 20180804
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILE = "test_batch.bin"
ADVICE = (
    "Unpack the binary version (cifar-10-binary.tar.gz of www.cs.toronto.edu/~kriz/cifar.html) into ./data, or state "
    "its folder (--data-dir, or the environment variable RLPRUNE_DATA)."
)


def cifar10(
    data_dir: str | Path | None = None, *, validation: int = VALIDATION, calibration: int = CALIBRATION
) -> Task:
    """60000 images [3, 32, 32]: 10000 test, 5000 validation, 45000 train of which 1024 calibrate; always the same.

    The folder is ``data_dir``, or the first that holds the files of: the environment variable RLPRUNE_DATA, ``data``,
    and ``cifar-10-batches-bin`` in either. The test file is read when the test split is first used.

    Raises:
        TaskError: files are missing, truncated, or hold labels out of range.
    """
    folder = find_folder(NAME, (*TRAIN_FILES, TEST_FILE), data_dir, inside=("cifar-10-batches-bin",), advice=ADVICE)
    images = _read([folder / name for name in TRAIN_FILES])
    cut = cut_train(images.labels.numpy(), validation=validation, calibration=calibration, seed=SPLIT_SEED)
    return image_task(NAME, images, cut, partial(_read_test, folder / TEST_FILE), CLASSES)


def _read_test(path: Path) -> Split:
    return _read([path]).split()


def _read(paths: Sequence[Path]) -> LabelledImages:
    records = torch.cat([_records(path) for path in paths])
    return LabelledImages(records[:, 1:].reshape(-1, *SHAPE), records[:, 0].long(), MEAN, STD)


def _records(path: Path) -> torch.Tensor:
    """uint8 [images, 3073]: the label, then the red, green and blue plane, each row by row."""
    content = np.frombuffer(bytearray(read_bytes(path, TaskError, MAX_BYTES)), dtype=np.uint8)
    if len(content) == 0 or len(content) % RECORD_BYTES:
        raise TaskError(
            f"{path} must hold whole records of {RECORD_BYTES} bytes; it has {len(content)} bytes, so it is "
            "truncated or another file. Get it again."
        )
    records = torch.from_numpy(content).reshape(-1, RECORD_BYTES)
    check_labels(records[:, 0], CLASSES, f"file {path}")
    return records
