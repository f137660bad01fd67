"""Splits and what is refused about them."""

from __future__ import annotations

import pytest
import torch

from rlprune.errors import TaskError
from rlprune.tasks import Split, Task
from rlprune.tasks.batches import batches


def labels(*values: int) -> torch.Tensor:
    return torch.tensor(values)


def task(split: Split, classes: int | None = 3) -> Task:
    return Task("mine", calibration=split, validation=split, test=split, classes=classes)


def test_take_gives_the_first_samples_and_no_more_than_there_are() -> None:
    split = Split(torch.arange(8.0).reshape(4, 2), labels(0, 1, 2, 0))
    first = split.take(3)
    assert len(first) == 3
    assert torch.equal(first.tensors[0], split.tensors[0][:3])
    assert first.targets.tolist() == [0, 1, 2]
    assert len(split.take(99)) == 4


def test_several_inputs_stay_a_tuple() -> None:
    split = Split((torch.zeros(4, 2), torch.zeros(4, 3, 3)), labels(0, 1, 2, 0))
    taken = split.take(2)
    assert isinstance(taken.inputs, tuple)
    assert taken.sample_shapes == ((2,), (3, 3))


def test_named_inputs_stay_a_dict() -> None:
    inputs = {"ids": torch.arange(8).reshape(4, 2), "mask": torch.ones(4, 2)}
    split = Split(inputs, labels(0, 1, 2, 0))
    assert split.arguments == inputs
    assert split.sample_shapes == ((2,), (2,))
    part = split.batch(1, 3)
    assert isinstance(part, dict)
    assert part["ids"].tolist() == [[2, 3], [4, 5]]
    assert list(split.take(2).arguments) == ["ids", "mask"]


def test_a_batch_is_a_tuple_of_arguments() -> None:
    (part,) = Split(torch.arange(4.0), labels(0, 1, 2, 0)).batch(2, 4)
    assert isinstance(part, torch.Tensor)
    assert part.tolist() == [2, 3]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 9])
def test_batches_hold_every_sample_once(count: int) -> None:
    split = Split({"x": torch.arange(7), "images": torch.zeros(7, 2, 4, 4)}, torch.arange(7))
    found = list(batches(split, count, torch.device("cpu"), channels_last=True))
    assert torch.cat([batch["x"] for batch in found]).tolist() == list(range(7))  # type: ignore[call-overload]
    images = found[0]["images"]  # type: ignore[call-overload]
    assert images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        ({"x": torch.zeros(3, 2)}, labels(0, 1), r"\{\"inputs\['x'\]\": 3, 'targets': 2\}"),
        ({}, labels(0, 1), "empty"),
        ({"x": None}, labels(0, 1), r"inputs\['x'\] is NoneType"),
        (torch.zeros(3, 2), labels(0, 1), "as many samples"),
        ((torch.zeros(2, 2), torch.zeros(3, 2)), labels(0, 1), "as many samples"),
        (torch.zeros(0, 2), labels(), "empty"),
        ((), labels(0, 1), "empty"),
        ([1, 2], labels(0, 1), r"inputs\[0\] is list"),
        (torch.zeros(2, 2), torch.tensor(1), "targets is int64"),
    ],
)
def test_malformed_splits_are_refused(inputs: object, targets: torch.Tensor, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        Split(inputs, targets)  # type: ignore[arg-type]


def test_taking_nothing_is_refused() -> None:
    with pytest.raises(TaskError, match="At least one"):
        Split(torch.zeros(2, 2), labels(0, 1)).take(0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_the_first_sample_that_is_not_finite_is_named(bad: float) -> None:
    inputs = torch.zeros(5, 2, 2)
    inputs[3, 1, 0] = inputs[4, 0, 0] = bad
    with pytest.raises(TaskError, match="sample 3 of the validation split of task 'mine'"):
        _ = task(Split(inputs, labels(0, 1, 2, 0, 1))).validation


def test_opposite_infinities_are_found_too() -> None:
    inputs = torch.tensor([[0.0, 1.0], [float("inf"), -float("inf")]])
    with pytest.raises(TaskError, match="sample 1"):
        _ = task(Split(inputs, labels(0, 1))).calibration


def test_targets_that_are_not_finite_are_refused() -> None:
    with pytest.raises(TaskError, match="sample 1 of the test split"):
        _ = task(Split(torch.zeros(2, 1), torch.tensor([1.0, float("nan")])), classes=None).test


@pytest.mark.parametrize(("bad", "at"), [(3, 2), (-1, 0), (255, 1)])
def test_the_first_label_out_of_range_is_named(bad: int, at: int) -> None:
    targets = labels(0, 1, 2)
    targets[at] = bad
    with pytest.raises(TaskError, match=rf"in \[0, 3\); sample {at} of the calibration split .* has label {bad}\b"):
        _ = task(Split(torch.zeros(3, 1), targets)).calibration


def test_labels_per_pixel_are_checked_too() -> None:
    targets = torch.zeros(3, 2, 2, dtype=torch.int64)
    targets[1, 0, 1] = 7
    with pytest.raises(TaskError, match=r"sample 1 .* label 7"):
        _ = task(Split(torch.zeros(3, 1), targets)).calibration


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
def test_labels_that_are_not_integers_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(TaskError, match="must be integers"):
        _ = task(Split(torch.zeros(2, 1), labels(0, 1).to(dtype))).validation


def test_splits_with_samples_of_different_shapes_are_refused() -> None:
    small, large = Split(torch.zeros(2, 4), labels(0, 1)), Split(torch.zeros(2, 5), labels(0, 1))
    mixed = Task("mine", calibration=small, validation=large, test=small, classes=2)
    _ = mixed.calibration
    with pytest.raises(TaskError, match="one shape"):
        _ = mixed.validation


def test_splits_are_loaded_once_and_only_when_used() -> None:
    calls: list[str] = []

    def load(name: str) -> Split:
        calls.append(name)
        return Split(torch.zeros(2, 1), labels(0, 1))

    lazy = Task(
        "lazy",
        calibration=lambda: load("calibration"),
        validation=lambda: load("validation"),
        test=lambda: load("test"),
        classes=2,
    )
    assert not lazy.loaded
    assert lazy.validation is lazy.validation
    assert calls == ["validation"]
    assert list(lazy.loaded) == ["validation"]
    _ = lazy.test
    assert list(lazy.loaded) == ["validation", "test"]


def test_a_missing_training_split_is_told() -> None:
    with pytest.raises(TaskError, match="no train split"):
        _ = task(Split(torch.zeros(2, 1), labels(0, 1))).train


def test_a_source_that_gives_no_split_is_refused() -> None:
    split = Split(torch.zeros(2, 1), labels(0, 1))
    wrong = Task("mine", calibration=lambda: (split,), validation=split, test=split)  # type: ignore[arg-type, return-value]
    with pytest.raises(TaskError, match="must be a Split; got tuple"):
        _ = wrong.calibration


def test_a_source_that_fails_names_the_split() -> None:
    def gone() -> Split:
        raise OSError("the disk is gone")

    split = Split(torch.zeros(2, 4), torch.tensor([0, 1]))
    task = Task("mine", calibration=gone, validation=split, test=split)
    with pytest.raises(
        TaskError, match=r"Loading the calibration split of task 'mine' failed: OSError: the disk is gone"
    ):
        _ = task.calibration
