"""Samples that stand in two splits."""

from __future__ import annotations

import pytest
import torch

from rlprune.errors import TaskError
from rlprune.tasks import Split, Task, load_task
from rlprune.tasks.overlap import check_apart, sample_digests

NAMES = ("calibration", "validation")


def noise(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


def digests(inputs: torch.Tensor | dict[str, torch.Tensor]) -> list[bytes]:
    count = len(inputs) if isinstance(inputs, torch.Tensor) else len(next(iter(inputs.values())))
    return sample_digests(Split(inputs, torch.zeros(count, dtype=torch.long)))


def test_samples_have_one_digest_if_all_their_inputs_are_equal() -> None:
    ids, mask = torch.tensor([[1, 2], [1, 2], [1, 2]]), torch.tensor([True, True, False])
    first, second, third = digests({"ids": ids, "mask": mask})
    assert first == second != third
    assert digests(noise(4, 0)) == digests(noise(4, 0).T.contiguous().T)  # however they lie in memory


def test_disjoint_splits_pass() -> None:
    check_apart(NAMES, digests(noise(200, 1)), digests(noise(200, 2)))


@pytest.mark.parametrize(("shared", "refused"), [(2, False), (3, True), (200, True)])
def test_more_than_one_percent_of_copies_is_refused(shared: int, refused: bool) -> None:
    calibration, validation = noise(100, 1), noise(200, 2)
    validation[:shared] = calibration[torch.arange(shared) % 100]
    if not refused:
        check_apart(NAMES, digests(calibration), digests(validation))
        return
    with pytest.raises(TaskError, match=rf"calibration and validation .* {shared} of 200 validation samples"):
        check_apart(NAMES, digests(calibration), digests(validation))


@pytest.mark.parametrize("values", [2, 3, 8, 40])
@pytest.mark.parametrize("seed", range(5))
def test_data_that_repeat_by_nature_pass(values: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(0, values, (600, 3), generator=generator)
    check_apart(NAMES, digests(rows[:300]), digests(rows[300:]))


def test_copies_are_found_in_data_that_repeat_by_nature() -> None:
    rows = torch.randint(0, 40, (300, 3), generator=torch.Generator().manual_seed(0))
    with pytest.raises(TaskError, match="300 of 300"):
        check_apart(NAMES, digests(rows), digests(rows))


def test_a_task_is_checked_without_using_its_test_samples() -> None:
    splits = [Split(noise(50, seed), torch.zeros(50, dtype=torch.long)) for seed in range(3)]
    task = Task("mine", calibration=splits[0], validation=splits[1], test=splits[2], classes=2)
    task.check()
    assert task.loaded == ()
    leaking = Task("mine", calibration=splits[0], validation=splits[1], test=splits[1], classes=2)
    with pytest.raises(TaskError, match="validation and test splits must share no sample; 50 of 50 test samples"):
        leaking.check()


def test_test_labels_are_checked_before_the_search() -> None:
    good, bad = torch.zeros(50, dtype=torch.long), torch.full((50,), 2)
    task = Task(
        "mine",
        calibration=Split(noise(50, 0), good),
        validation=Split(noise(50, 1), good),
        test=lambda: Split(noise(50, 2), bad),
        classes=2,
    )
    with pytest.raises(TaskError, match="sample 0 of the test split of task 'mine' has label 2"):
        task.check()


def test_the_tasks_that_ship_share_nothing() -> None:
    task = load_task("digits")
    everything = [digest for split in (task.train, task.validation, task.test) for digest in sample_digests(split)]
    assert len(set(everything)) == len(everything) == 1797
