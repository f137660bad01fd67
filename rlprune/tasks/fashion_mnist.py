"""Fashion-MNIST from its idx files (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch

from rlprune.errors import TaskError
from rlprune.tasks.base import Split, Task
from rlprune.tasks.folders import find_file, find_folder
from rlprune.tasks.idx import read_idx
from rlprune.tasks.images import LabelledImages, cut_train, image_task
from rlprune.tasks.split import check_labels

NAME = "fashion-mnist"
CLASSES = 10
SIDE = 28
VALIDATION = 5000
CALIBRATION = 1024
SPLIT_SEED = 20180804
MEAN = (0.2860,)
STD = (0.3530,)
PARTS = ("train", "t10k")
FILES = tuple(f"{part}-{kind}-ubyte" for part in PARTS for kind in ("images-idx3", "labels-idx1"))
ADVICE = (
    "Get them with `apt install dataset-fashion-mnist`, or torchvision.datasets.FashionMNIST('data', download=True), "
    "or state the folder (--data-dir, or the environment variable RLPRUNE_DATA)."
)


def fashion_mnist(
    data_dir: str | Path | None = None, *, validation: int = VALIDATION, calibration: int = CALIBRATION
) -> Task:
    """70000 images [1, 28, 28]: 10000 test, 5000 validation, 55000 train of which 1024 calibrate; always the same.

    The folder is ``data_dir``, or the first that holds the idx files (plain or gzipped) of: the environment variable
    RLPRUNE_DATA, ``data``, ``FashionMNIST/raw`` in either, and the folder of Debian's package. Test files are read when
    the test split is first used.

    Raises:
        TaskError: files are missing, truncated, of another format, or hold labels out of range.
    """
    folder = find_folder(
        NAME,
        FILES,
        data_dir,
        inside=("FashionMNIST/raw", "fashion-mnist"),
        otherwise=("/usr/share/datasets/fashion-mnist",),
        advice=ADVICE,
    )
    images = _read(folder, "train")
    cut = cut_train(images.labels.numpy(), validation=validation, calibration=calibration, seed=SPLIT_SEED)
    return image_task(NAME, images, cut, partial(_read_test, folder), CLASSES)


def _read_test(folder: Path) -> Split:
    return _read(folder, "t10k").split()


def _read(folder: Path, part: str) -> LabelledImages:
    pixels = read_idx(_file(folder, f"{part}-images-idx3-ubyte"), dimensions=3)
    labels = read_idx(_file(folder, f"{part}-labels-idx1-ubyte"), dimensions=1)
    if pixels.shape != (len(labels), SIDE, SIDE) or len(labels) == 0:
        raise TaskError(
            f"Fashion-MNIST has one label per image of {SIDE}x{SIDE}; {folder} holds {part} images "
            f"{list(pixels.shape)} and {len(labels)} labels. Get the files again."
        )
    targets = torch.from_numpy(labels.astype(np.int64))
    check_labels(targets, CLASSES, f"{part} labels in {folder}")
    return LabelledImages(torch.from_numpy(pixels.copy())[:, None], targets, MEAN, STD)


def _file(folder: Path, name: str) -> Path:
    return find_file(folder, name) or folder / name
