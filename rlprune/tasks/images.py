"""Labelled images kept as bytes, cut into splits that are the same on every machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from rlprune.arrays import IntArray
from rlprune.errors import TaskError
from rlprune.tasks.base import Task
from rlprune.tasks.split import Split


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images as they are stored; they become floats only in the splits that are used.

    Attributes:
        images: uint8 [N, channels, height, width].
        labels: int64 [N].
        mean, std: per channel, in units of the largest pixel value.
        largest: the value that stands for 1.0.
    """

    images: torch.Tensor
    labels: torch.Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]
    largest: float = 255.0

    def split(self, indices: IntArray | None = None) -> Split:
        """Normalised float32 images and their labels, in the order of ``indices`` (all without)."""
        chosen = slice(None) if indices is None else torch.from_numpy(indices)
        scale = 1 / (self.largest * torch.tensor(self.std)).reshape(-1, 1, 1)
        shift = (torch.tensor(self.mean) / torch.tensor(self.std)).reshape(-1, 1, 1)
        return Split(self.images[chosen].float().mul_(scale).sub_(shift), self.labels[chosen].clone())


@dataclass(frozen=True, eq=False)
class SplitIndices:
    """Indices of images; ``calibration`` is the start of ``train``, ``validation`` is apart from both."""

    train: IntArray
    calibration: IntArray
    validation: IntArray


def stratified_order(labels: npt.ArrayLike, seed: int) -> IntArray:
    """A fixed shuffle in which every stretch holds the classes in about the proportion of the whole.

    Each class is shuffled and spread evenly over [0, 1); the samples are then read off in order. The first n samples of
    any stretch are therefore a stratified sample too.
    """
    values = np.asarray(labels)
    generator = np.random.default_rng(seed)
    position = np.empty(len(values))
    for label in np.unique(values):
        members = np.flatnonzero(values == label)
        position[generator.permutation(members)] = (np.arange(len(members)) + generator.random()) / len(members)
    return np.argsort(position, kind="stable").astype(np.int64)


def cut_train(labels: npt.ArrayLike, *, validation: int, calibration: int, seed: int) -> SplitIndices:
    """Cut validation images out of the training images; the calibration images are among those that remain.

    Raises:
        TaskError: there are not enough images for both.
    """
    order = stratified_order(labels, seed)
    if validation < 1 or calibration < 1 or validation + calibration > len(order):
        raise TaskError(
            f"{validation} validation and {calibration} calibration images (each at least 1) must be cut from the "
            f"training images; there are {len(order)}. Give fewer, or the whole data set."
        )
    train = order[validation:]
    return SplitIndices(train=train, calibration=train[:calibration], validation=order[:validation])


def image_task(name: str, images: LabelledImages, cut: SplitIndices, test: Callable[[], Split], classes: int) -> Task:
    """A classification task on ``cut`` of the training images; ``test`` is called when the test split is first used."""
    return Task(
        name,
        calibration=partial(images.split, cut.calibration),
        validation=partial(images.split, cut.validation),
        test=test,
        train=partial(images.split, cut.train),
        classes=classes,
    )
