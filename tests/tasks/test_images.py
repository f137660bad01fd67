"""How images are cut into splits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlprune.errors import TaskError
from rlprune.tasks.images import LabelledImages, cut_train, stratified_order

LABELS = np.random.default_rng(0).choice(4, 1000, p=[0.4, 0.3, 0.2, 0.1])


def test_the_order_is_a_fixed_permutation() -> None:
    order = stratified_order(LABELS, seed=1)
    assert sorted(order) == list(range(1000))
    assert np.array_equal(order, stratified_order(LABELS, seed=1))
    assert not np.array_equal(order, stratified_order(LABELS, seed=2))


@pytest.mark.parametrize(("start", "stop"), [(0, 100), (250, 350), (0, 40), (900, 1000)])
def test_every_stretch_is_stratified(start: int, stop: int) -> None:
    stretch = LABELS[stratified_order(LABELS, seed=1)][start:stop]
    shares = np.bincount(LABELS, minlength=4) / 1000
    assert np.abs(np.bincount(stretch, minlength=4) - shares * (stop - start)).max() <= 1


def test_validation_is_apart_from_train_and_calibration_is_inside_it() -> None:
    cut = cut_train(LABELS, validation=200, calibration=100, seed=1)
    assert len(cut.validation) == 200
    assert len(cut.calibration) == 100
    assert set(cut.calibration) < set(cut.train)
    assert set(cut.train) | set(cut.validation) == set(range(1000))
    assert not set(cut.train) & set(cut.validation)


@pytest.mark.parametrize(("validation", "calibration"), [(0, 10), (10, 0), (600, 401)])
def test_impossible_cuts_are_refused(validation: int, calibration: int) -> None:
    with pytest.raises(TaskError, match="there are 1000"):
        cut_train(LABELS, validation=validation, calibration=calibration, seed=1)


def test_images_become_normalised_floats_in_the_order_asked_for() -> None:
    pixels = torch.tensor([[[[0, 255]], [[51, 102]]], [[[255, 0]], [[0, 0]]]], dtype=torch.uint8)
    images = LabelledImages(pixels, torch.tensor([3, 4]), mean=(0.5, 0.2), std=(0.25, 0.1))
    split = images.split(np.array([1, 0]))
    assert split.targets.tolist() == [4, 3]
    expected = torch.tensor([[[[2.0, -2.0]], [[-2.0, -2.0]]], [[[-2.0, 2.0]], [[0.0, 2.0]]]])
    torch.testing.assert_close(split.tensors[0], expected)
    assert len(images.split()) == 2
