"""Data sets of 28x28 images in the four idx files of MNIST."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from rlprune.errors import TaskError
from rlprune.tasks.base import Task
from rlprune.tasks.folders import find_file, find_folder
from rlprune.tasks.idx import read_idx
from rlprune.tasks.images import LabelledImages, cut_train, image_task
from rlprune.tasks.split import Split, check_labels

CLASSES = 10
SIDE = 28
VALIDATION = 5000
CALIBRATION = 1024
SPLIT_SEED = 20180804
PARTS = ("train", "t10k")
FILES = tuple(f"{part}-{kind}-ubyte" for part in PARTS for kind in ("images-idx3", "labels-idx1"))


@dataclass(frozen=True)
class IdxImages:
    """One such data set.

    Attributes:
        name: of the task.
        title: as its authors write it.
        mean, std: of the training pixels, the largest value being 1.
        inside: sub-folders of each place that are looked into.
        otherwise: folders where systems put it.
        advice: how to get the files.
        bare: whether a place that the user did not state for this data set may hold the files itself; the files of two
            data sets have the same names.
    """

    name: str
    title: str
    mean: float
    std: float
    inside: Sequence[str]
    advice: str
    otherwise: Sequence[str] = ()
    bare: bool = True

    def task(self, data_dir: str | Path | None, validation: int, calibration: int) -> Task:
        """The task on the files of ``data_dir``, or of the first folder that holds them (:func:`find_folder`).

        Raises:
            TaskError: files are missing, truncated, of another format, or hold labels out of range.
        """
        folder = find_folder(
            self.name,
            FILES,
            data_dir,
            inside=self.inside,
            otherwise=self.otherwise,
            advice=self.advice,
            bare=self.bare,
        )
        images = self._read(folder, "train")
        cut = cut_train(images.labels.numpy(), validation=validation, calibration=calibration, seed=SPLIT_SEED)
        return image_task(self.name, images, cut, partial(self._read_test, folder), CLASSES)

    def _read_test(self, folder: Path) -> Split:
        return self._read(folder, "t10k").split()

    def _read(self, folder: Path, part: str) -> LabelledImages:
        pixels = read_idx(_file(folder, f"{part}-images-idx3-ubyte"), dimensions=3)
        labels = read_idx(_file(folder, f"{part}-labels-idx1-ubyte"), dimensions=1)
        if pixels.shape != (len(labels), SIDE, SIDE) or len(labels) == 0:
            raise TaskError(
                f"{self.title} has one label per image of {SIDE}x{SIDE}; {folder} holds {part} images "
                f"{list(pixels.shape)} and {len(labels)} labels. Get the files again."
            )
        targets = torch.from_numpy(labels.astype(np.int64))
        check_labels(targets, CLASSES, f"{part} labels in {folder}")
        return LabelledImages(torch.from_numpy(pixels.copy())[:, None], targets, (self.mean,), (self.std,))


def _file(folder: Path, name: str) -> Path:
    return find_file(folder, name) or folder / name
