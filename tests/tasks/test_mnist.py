"""MNIST: the same files as Fashion-MNIST, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rlprune.errors import TaskError
from rlprune.tasks import load_task
from rlprune.tasks.mnist import mnist
from tests.tasks.test_fashion_mnist import write


def test_reads_the_files_of_a_stated_folder(tmp_path: Path) -> None:
    content = write(tmp_path)
    task = mnist(tmp_path, validation=20, calibration=10)
    assert (task.name, task.classes) == ("mnist", 10)
    assert (len(task.train), len(task.calibration), len(task.validation), len(task.test)) == (40, 10, 20, 20)
    pixels = task.test.tensors[0][:, 0] * 0.3081 + 0.1307
    torch.testing.assert_close(pixels * 255, torch.from_numpy(content["t10k_images"]).float(), atol=1e-3, rtol=0)


def test_without_a_stated_folder_only_those_named_mnist_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLPRUNE_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write(tmp_path)  # could be Fashion-MNIST
    with pytest.raises(TaskError, match=r"Task 'mnist' needs train-images-idx3-ubyte.*MNIST/raw.*same names"):
        load_task("mnist")
    write(tmp_path / "MNIST" / "raw")
    assert len(mnist(validation=20, calibration=10).train) == 40


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"Task 'mnist' needs .* not found in .*torchvision.datasets.MNIST"):
        load_task("mnist", tmp_path)
