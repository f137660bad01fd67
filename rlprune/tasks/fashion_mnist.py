"""Fashion-MNIST from its idx files (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747)."""

from __future__ import annotations

from pathlib import Path

from rlprune.tasks.base import Task
from rlprune.tasks.idx_images import CALIBRATION, VALIDATION, IdxImages

FASHION_MNIST = IdxImages(
    "fashion-mnist",
    "Fashion-MNIST",
    mean=0.2860,
    std=0.3530,
    inside=("FashionMNIST/raw", "fashion-mnist"),
    otherwise=("/usr/share/datasets/fashion-mnist",),
    advice=(
        "Get them with `apt install dataset-fashion-mnist`, or torchvision.datasets.FashionMNIST('data', "
        "download=True), or state the folder (--data-dir, or the environment variable RLPRUNE_DATA)."
    ),
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
    return FASHION_MNIST.task(data_dir, validation, calibration)
