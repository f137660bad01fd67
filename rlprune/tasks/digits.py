"""Handwritten digits of 8x8 pixels that ship with scikit-learn: the data set that needs no file."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from sklearn.datasets import load_digits

from rlprune.tasks.base import Task
from rlprune.tasks.images import LabelledImages, SplitIndices, image_task, stratified_order

NAME = "digits"
CLASSES = 10
TEST = 360
VALIDATION = 360
CALIBRATION = 512
SPLIT_SEED = 20180804


def digits() -> Task:
    """1797 images [1, 8, 8]: 360 test, 360 validation, 1077 train of which 512 calibrate; stratified, always the same.

    Pixels are scaled to [0, 1] and standardised by mean and standard deviation of the training images. Source:
    Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI (1998), as in scikit-learn.
    """
    data = load_digits()
    pixels = np.asarray(data.images, dtype=np.uint8)
    labels = np.asarray(data.target, dtype=np.int64)
    order = stratified_order(labels, SPLIT_SEED)
    test, validation, train = np.split(order, [TEST, TEST + VALIDATION])
    scaled = pixels[train] / 16.0
    images = LabelledImages(
        torch.from_numpy(pixels)[:, None],
        torch.from_numpy(labels),
        mean=(float(scaled.mean()),),
        std=(float(scaled.std()),),
        largest=16.0,
    )
    cut = SplitIndices(train=train, calibration=train[:CALIBRATION], validation=validation)
    return image_task(NAME, images, cut, partial(images.split, test), CLASSES)
