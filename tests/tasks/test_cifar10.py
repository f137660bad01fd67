"""CIFAR-10 on files in its binary format, written here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rlprune.errors import TaskError
from rlprune.tasks import Task, load_task
from rlprune.tasks.cifar10 import MEAN, STD, TEST_FILE, TRAIN_FILES, cifar10

Bytes = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def write(folder: Path, count: int = 20) -> dict[str, Bytes]:
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Bytes] = {}
    for name in (*TRAIN_FILES, TEST_FILE):
        records = random.integers(0, 256, (count, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(count) % 10
        records.tofile(folder / name)
        content[name] = records
    return content


def load(folder: Path | None) -> Task:
    return cifar10(folder, validation=30, calibration=20)


def test_reads_planes_and_labels(tmp_path: Path) -> None:
    content = write(tmp_path)[TEST_FILE]
    task = load(tmp_path)
    assert (len(task.train), len(task.calibration), len(task.validation), len(task.test)) == (70, 20, 30, 20)
    assert task.test.targets.tolist() == content[:, 0].tolist()
    image = task.test.tensors[0][3]
    assert image.shape == (3, 32, 32)
    green = 1 + 1024 + 5 * 32 + 7  # row 5, column 7 of the second plane
    assert float(image[1, 5, 7]) == pytest.approx((content[3, green] / 255 - MEAN[1]) / STD[1], abs=1e-5)


def test_no_image_is_in_two_splits(tmp_path: Path) -> None:
    write(tmp_path)
    task = load(tmp_path)
    validation, train, test = (
        {image.numpy().tobytes() for image in split.tensors[0]} for split in (task.validation, task.train, task.test)
    )
    assert len(validation | train | test) == 120
    assert len(train) == 70


def test_the_usual_folders_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RLPRUNE_DATA", raising=False)
    write(tmp_path / "data" / "cifar-10-batches-bin")
    assert len(load(None).train) == 70
    write(tmp_path / "sets" / "cifar-10-batches-bin", count=30)
    monkeypatch.setenv("RLPRUNE_DATA", str(tmp_path / "sets"))
    assert len(load(None).train) == 120


def test_a_missing_folder_says_how_to_get_the_data(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"not found in .*none.*cifar-10-binary\.tar\.gz"):
        load_task("cifar10", tmp_path / "none")


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(TaskError, match="there are 100"):
        load_task("cifar10", tmp_path)


@pytest.mark.parametrize("keep", [0, 3072, 3074])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    write(tmp_path)
    path = tmp_path / TRAIN_FILES[2]
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TaskError, match=rf"data_batch_3.bin must hold whole records .* it has {keep} bytes"):
        load(tmp_path)


def test_labels_out_of_range_are_refused(tmp_path: Path) -> None:
    records = write(tmp_path)[TRAIN_FILES[1]]
    records[4, 0] = 77
    records.tofile(tmp_path / TRAIN_FILES[1])
    with pytest.raises(TaskError, match=r"sample 4 of the file .*data_batch_2.bin has label 77"):
        load(tmp_path)


def test_a_damaged_test_file_is_told_on_first_use(tmp_path: Path) -> None:
    write(tmp_path)
    task = load(tmp_path)
    (tmp_path / TEST_FILE).write_bytes(b"short")
    assert torch.isfinite(task.validation.tensors[0]).all()
    with pytest.raises(TaskError, match=r"test_batch\.bin"):
        _ = task.test
