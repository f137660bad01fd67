"""The embedded digits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlprune.tasks import Split, Task, load_task


@pytest.fixture(scope="module")
def digits() -> Task:
    return load_task("digits")


def rows(split: Split) -> set[bytes]:
    return {image.numpy().tobytes() for image in split.tensors[0]}


def test_sizes_shapes_and_classes(digits: Task) -> None:
    sizes = {name: len(getattr(digits, name)) for name in ("train", "calibration", "validation", "test")}
    assert sizes == {"train": 1077, "calibration": 512, "validation": 360, "test": 360}
    assert digits.train.sample_shapes == ((1, 8, 8),)
    assert digits.train.tensors[0].dtype == torch.float32
    assert digits.classes == 10
    assert digits.name == "digits"


def test_training_images_are_standardised(digits: Task) -> None:
    pixels = digits.train.tensors[0].double()
    assert float(pixels.mean()) == pytest.approx(0, abs=1e-5)
    assert float(pixels.std(correction=0)) == pytest.approx(1, abs=1e-5)


def test_no_image_is_in_two_splits(digits: Task) -> None:
    parts = [rows(digits.train), rows(digits.validation), rows(digits.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 1797
    assert rows(digits.calibration) < rows(digits.train)


def test_every_split_is_stratified(digits: Task) -> None:
    for split in (digits.validation, digits.test):
        assert np.ptp(np.bincount(split.targets.numpy(), minlength=10)) <= 4


def test_loading_again_gives_the_same_splits(digits: Task) -> None:
    again = load_task("digits")
    assert torch.equal(again.validation.tensors[0], digits.validation.tensors[0])
    assert torch.equal(again.test.targets, digits.test.targets)


def test_loading_uses_no_samples() -> None:
    assert load_task("digits").loaded == ()
