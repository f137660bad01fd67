"""The networks that ship, and what is refused about their files."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from rlprune.errors import NetworkError, TaskError
from rlprune.tasks import Task, load_task
from rlprune.tasks.overlap import split_digest
from rlprune.zoo import ZOO, load_zoo, registry
from rlprune.zoo.train import accuracy, count_macs

NAMES = sorted(ZOO)
FASHION = [name for name in NAMES if ZOO[name].task == "fashion-mnist"]
LEAST_ACCURACY = {
    "digits-resnet": 0.97,
    "fashion-dense": 0.88,
    "fashion-resnet20": 0.915,
    "fashion-vgg": 0.915,
    "fashion-mobilenet": 0.905,
}


@pytest.fixture(scope="module")
def fashion() -> Task:
    try:
        return load_task("fashion-mnist")
    except TaskError as reason:
        pytest.skip(f"the real data set is not here: {reason}")


@pytest.mark.parametrize("name", NAMES)
def test_shipped_networks_load_and_run(name: str) -> None:
    model = load_zoo(name)
    assert not model.training
    images = torch.randn(3, *ZOO[name].input_shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert model(images).shape == (3, 10)
    assert all(bool(torch.isfinite(value).all()) for value in model.state_dict().values())


@pytest.mark.parametrize("name", NAMES)
def test_records_tell_the_truth(name: str) -> None:
    entry = ZOO[name]
    model = load_zoo(name)
    assert entry.record["sha256"] == hashlib.sha256(entry.weights_file.read_bytes()).hexdigest()
    assert entry.record["task"] == entry.task
    assert entry.record["params"] == sum(parameter.numel() for parameter in model.parameters())
    assert entry.record["macs"] == count_macs(model, entry.example_inputs()[0])
    assert entry.test_accuracy >= LEAST_ACCURACY[name]


def test_macs_of_a_known_network_are_counted_by_hand() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten(), nn.Linear(8 * 9, 10)
    )
    assert count_macs(model, torch.zeros(1, 3, 5, 5)) == 3 * 8 * 9 * 25 + 8 * 9 * 9 + 8 * 9 * 10


def test_all_weights_together_stay_small() -> None:
    assert sum(ZOO[name].weights_file.stat().st_size for name in NAMES) < 5e6


def test_digits_reach_the_recorded_accuracy() -> None:
    task = load_task("digits")
    assert split_digest(task.validation) == ZOO["digits-resnet"].record["validation_sha256"]
    measured = accuracy(load_zoo("digits-resnet"), task, task.test)
    assert measured == pytest.approx(ZOO["digits-resnet"].test_accuracy, abs=0.003)


@pytest.mark.parametrize("name", FASHION)
def test_validation_images_are_those_that_training_left_out(fashion: Task, name: str) -> None:
    assert split_digest(fashion.validation) == ZOO[name].record["validation_sha256"]


@pytest.mark.slow
@pytest.mark.parametrize("name", FASHION)
def test_fashion_networks_reach_the_recorded_accuracy(fashion: Task, name: str) -> None:
    model = load_zoo(name)
    assert accuracy(model, fashion, fashion.test) == pytest.approx(ZOO[name].test_accuracy, abs=0.003)
    recorded = ZOO[name].record["validation_accuracy"]
    assert accuracy(model, fashion, fashion.validation) == pytest.approx(recorded, abs=0.003)


@pytest.mark.parametrize(
    ("name", "nearest"), [("digits-resnt", "digits-resnet"), ("fashion-resnet", "fashion-resnet20")]
)
def test_an_unknown_name_offers_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(NetworkError, match=f"Unknown network '{name}'. Did you mean '{nearest}'"):
        load_zoo(name)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(registry.WEIGHTS, tmp_path / "weights")
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path / "weights")
    return tmp_path / "weights"


def test_missing_weights_are_told(weights: Path) -> None:
    (weights / "digits-resnet.safetensors").unlink()
    with pytest.raises(NetworkError, match=r"cannot be loaded.*python -m rlprune\.zoo\.train digits-resnet"):
        load_zoo("digits-resnet")


@pytest.mark.parametrize("length", [0, 5, 1000])
def test_truncated_weights_are_told(weights: Path, length: int) -> None:
    path = weights / "digits-resnet.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(NetworkError, match="cannot be loaded"):
        load_zoo("digits-resnet")


def test_weights_of_another_network_are_told(weights: Path) -> None:
    shutil.copy(weights / "fashion-vgg.safetensors", weights / "digits-resnet.safetensors")
    with pytest.raises(NetworkError, match="cannot be loaded"):
        load_zoo("digits-resnet")


def test_a_missing_record_is_told(weights: Path) -> None:
    (weights / "index.json").write_text("{}")
    with pytest.raises(NetworkError, match="no record of 'fashion-vgg'"):
        _ = ZOO["fashion-vgg"].test_accuracy


@pytest.mark.parametrize("name", NAMES)
def test_the_docs_state_the_recorded_figures(name: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "internals" / "zoo.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
    record = ZOO[name].record
    figures = (
        f"{record['macs'] / 1e6:.1f} M",
        f"{record['params']:,}",
        f"{record['test_accuracy']:.2%}",
        f"{record['validation_accuracy']:.2%}",
        str(record["recipe"]["epochs"]),
    )
    assert [cell.strip() for cell in row.split("|")][3:8] == list(figures)
