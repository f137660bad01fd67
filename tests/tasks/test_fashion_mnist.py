"""Fashion-MNIST: on files written here, and on the real ones where they are found."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from rlprune.errors import TaskError
from rlprune.tasks import Task, load_task
from rlprune.tasks.fashion_mnist import fashion_mnist
from rlprune.tasks.idx_images import FILES, SPLIT_SEED
from rlprune.tasks.images import cut_train

Bytes = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def idx_bytes(values: Bytes) -> bytes:
    return bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def write(folder: Path, zipped: bool = False, **changes: Bytes) -> dict[str, Bytes]:
    random = np.random.default_rng(0)
    content: dict[str, Bytes] = {}
    for part, count in (("train", 60), ("t10k", 20)):
        content[f"{part}_images"] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        content[f"{part}_labels"] = (np.arange(count) % 10).astype(np.uint8)
    content |= changes
    folder.mkdir(parents=True, exist_ok=True)
    for key, values in content.items():
        part, kind = key.split("_")
        path = folder / f"{part}-{kind}-idx{values.ndim}-ubyte"
        if zipped:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(idx_bytes(values)))
        else:
            path.write_bytes(idx_bytes(values))
    return content


def load(folder: Path | None) -> Task:
    return fashion_mnist(folder, validation=20, calibration=10)


@pytest.mark.parametrize("zipped", [False, True])
def test_reads_the_files_of_a_folder(tmp_path: Path, zipped: bool) -> None:
    content = write(tmp_path, zipped)
    task = load(tmp_path)
    assert (len(task.train), len(task.calibration), len(task.validation), len(task.test)) == (40, 10, 20, 20)
    assert task.test.targets.tolist() == content["t10k_labels"].tolist()
    pixels = task.test.tensors[0] * 0.3530 + 0.2860
    torch.testing.assert_close(pixels[:, 0] * 255, torch.from_numpy(content["t10k_images"]).float(), atol=1e-3, rtol=0)


def test_images_keep_their_labels(tmp_path: Path) -> None:
    content = write(tmp_path)
    task = load(tmp_path)
    cut = cut_train(content["train_labels"], validation=20, calibration=10, seed=SPLIT_SEED)
    for split, indices in ((task.train, cut.train), (task.calibration, cut.calibration)):
        assert split.targets.tolist() == content["train_labels"][indices].tolist()
        pixels = (split.tensors[0][:, 0] * 0.3530 + 0.2860) * 255
        assert np.array_equal(pixels.round().numpy(), content["train_images"][indices].astype(np.float32))


def test_folders_are_found_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RLPRUNE_DATA", raising=False)
    write(tmp_path / "data" / "FashionMNIST" / "raw")
    assert len(load(None).train) == 40
    other = tmp_path / "elsewhere"
    write(other, train_images=np.zeros((50, 28, 28), np.uint8), train_labels=np.zeros(50, np.uint8))
    monkeypatch.setenv("RLPRUNE_DATA", str(other))
    assert len(load(None).train) == 30


def test_a_stated_folder_is_the_only_one_looked_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "full")
    monkeypatch.setenv("RLPRUNE_DATA", str(tmp_path / "full"))
    with pytest.raises(TaskError, match=r"not found in .*empty.*apt install dataset-fashion-mnist.*torchvision"):
        load_task("fashion-mnist", tmp_path / "empty")


@pytest.mark.parametrize("name", FILES)
def test_one_missing_file_is_enough(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(TaskError, match=name):
        load(tmp_path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TaskError, match=r"train-images-idx3-ubyte is truncated"):
        load(tmp_path)


def test_labels_out_of_range_are_refused(tmp_path: Path) -> None:
    labels = (np.arange(60) % 10).astype(np.uint8)
    labels[17] = 10
    write(tmp_path, train_labels=labels)
    with pytest.raises(TaskError, match=r"sample 17 of the train labels .* has label 10"):
        load(tmp_path)


@pytest.mark.parametrize("shape", [(59, 28, 28), (60, 28, 27)])
def test_images_that_do_not_fit_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    write(tmp_path, train_images=np.zeros(shape, np.uint8))
    with pytest.raises(TaskError, match="28x28"):
        load(tmp_path)


def test_no_images_are_refused(tmp_path: Path) -> None:
    write(tmp_path, train_images=np.zeros((0, 28, 28), np.uint8), train_labels=np.zeros(0, np.uint8))
    with pytest.raises(TaskError):
        load(tmp_path)


def test_the_test_file_is_read_on_first_use(tmp_path: Path) -> None:
    write(tmp_path)
    task = load(tmp_path)
    _ = task.calibration, task.validation
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(TaskError, match="t10k-images"):
        _ = task.test


def test_a_task_travels_to_another_process(tmp_path: Path) -> None:
    write(tmp_path)
    task = load(tmp_path)
    copy = pickle.loads(pickle.dumps(task))
    assert torch.equal(copy.validation.tensors[0], task.validation.tensors[0])


@pytest.fixture(scope="module")
def real() -> Task:
    try:
        return load_task("fashion-mnist")
    except TaskError as reason:
        pytest.skip(f"the real data set is not here: {reason}")


def test_the_real_data_set(real: Task) -> None:
    assert (len(real.calibration), len(real.validation), len(real.test)) == (1024, 5000, 10000)
    assert real.validation.sample_shapes == ((1, 28, 28),)
    assert np.bincount(real.test.targets.numpy()).tolist() == [1000] * 10
    assert np.ptp(np.bincount(real.validation.targets.numpy())) <= 10
    assert float(real.calibration.tensors[0].mean()) == pytest.approx(0, abs=0.02)
    assert float(real.calibration.tensors[0].std()) == pytest.approx(1, abs=0.02)


def test_no_real_image_is_in_two_splits(real: Task) -> None:
    validation, train, test = (
        {image.numpy().tobytes() for image in split.tensors[0]} for split in (real.validation, real.train, real.test)
    )
    assert len(train) == 55000
    assert not validation & train
    assert not validation & test
