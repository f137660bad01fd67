"""MNIST from its idx files (LeCun, Bottou, Bengio and Haffner 1998)."""

from __future__ import annotations

from pathlib import Path

from rlprune.tasks.base import Task
from rlprune.tasks.idx_images import CALIBRATION, VALIDATION, IdxImages

MNIST = IdxImages(
    "mnist",
    "MNIST",
    mean=0.1307,
    std=0.3081,
    inside=("MNIST/raw", "mnist"),
    advice=(
        "Get them with torchvision.datasets.MNIST('data', download=True), or state the folder that holds them "
        "(--data-dir): Fashion-MNIST has files of the same names, so only a stated folder is taken as it is."
    ),
    bare=False,
)


def mnist(data_dir: str | Path | None = None, *, validation: int = VALIDATION, calibration: int = CALIBRATION) -> Task:
    """70000 images [1, 28, 28]: 10000 test, 5000 validation, 55000 train of which 1024 calibrate; always the same.

    The folder is ``data_dir``, or ``MNIST/raw`` or ``mnist`` in it, in the folder that the environment variable
    RLPRUNE_DATA names, or in ``data``. The idx files may be gzipped.

    Raises:
        TaskError: files are missing, truncated, of another format, or hold labels out of range.
    """
    return MNIST.task(data_dir, validation, calibration)
