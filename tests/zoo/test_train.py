"""The training script, on few and small images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from rlprune.errors import NetworkError
from rlprune.support.files import read_json
from rlprune.tasks import Split, Task
from rlprune.zoo import ZOO, ZooEntry
from rlprune.zoo.resnet import ResNet
from rlprune.zoo.train import RECIPES, Recipe, augment, batches, fit, main, train

QUICK = Recipe(epochs=6, batch=16, peak_rate=0.05, shift=1, flip=False)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bright_halves(count: int, seed: int) -> Split:
    """Two classes: the upper or the lower half of the image is brighter."""
    targets = torch.arange(count) % 2
    images = 0.3 * torch.randn(count, 1, 8, 8, generator=generator(seed))
    images[targets == 0, :, :4] += 1
    images[targets == 1, :, 4:] += 1
    return Split(images, targets)


def tiny() -> nn.Module:
    return ResNet((8, 16), blocks=1, classes=2)


def test_every_network_has_a_recipe() -> None:
    assert set(RECIPES) == set(ZOO)


def test_augmentation_moves_by_at_most_the_shift_and_repeats_edges() -> None:
    image = torch.arange(64.0).reshape(1, 1, 8, 8)
    padded = nn.functional.pad(image, (2, 2, 2, 2), mode="replicate")[0, 0]
    crops = {(row, column): padded[row : row + 8, column : column + 8] for row in range(5) for column in range(5)}
    moved = augment(image.repeat(400, 1, 1, 1), 2, False, generator())
    found = [next((key for key, crop in crops.items() if torch.equal(crop, one[0])), None) for one in moved]
    assert None not in found
    assert set(found) == set(crops)


def test_flips_mirror_about_half_of_the_images() -> None:
    image = torch.arange(64.0).reshape(1, 1, 8, 8)
    flipped = augment(image.repeat(400, 1, 1, 1), 0, True, generator())
    mirrored = sum(torch.equal(one, image[0].flip(2)) for one in flipped)
    assert sum(torch.equal(one, image[0]) for one in flipped) + mirrored == 400
    assert 150 < mirrored < 250


def test_without_shift_and_flip_images_stay() -> None:
    images = torch.randn(5, 3, 6, 7, generator=generator())
    assert torch.equal(augment(images, 0, False, generator()), images)


def test_an_epoch_shows_every_sample_once() -> None:
    split = Split(torch.zeros(50, 1, 4, 4), torch.arange(50))
    seen = torch.cat([labels for _, labels in batches(split, Recipe(epochs=1, batch=10), generator())])
    assert sorted(seen.tolist()) == list(range(50))
    assert seen.tolist() != list(range(50))
    rest = torch.cat([labels for _, labels in batches(split, Recipe(epochs=1, batch=16), generator())])
    assert len(set(rest.tolist())) == 48


def learned(seed: int) -> tuple[nn.Module, dict[str, object], Task]:
    task = Task(
        "halves",
        calibration=bright_halves(32, 1),
        validation=bright_halves(64, 2),
        test=lambda: bright_halves(64, 3),
        train=bright_halves(160, 4),
        classes=2,
    )
    model, record = train(ZooEntry("tiny", tiny, "halves", (1, 8, 8)), Recipe(**{**vars(QUICK), "seed": seed}), task)
    return model, record, task


def test_training_learns_and_is_repeatable() -> None:
    model, record, task = learned(seed=1)
    assert record["test_accuracy"] == 1.0
    assert record["samples"] == {"train": 160, "calibration": 32, "validation": 64, "test": 64}
    assert not model.training
    assert task.loaded[:2] == ("train", "test")  # nothing else was looked at before training ended
    again, _, _ = learned(seed=1)
    other, _, _ = learned(seed=2)
    weights = [m.state_dict()["classifier.weight"] for m in (model, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_training_leaves_the_global_generator_alone() -> None:
    model = tiny()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    fit(model, bright_halves(32, 0), Recipe(epochs=1, batch=16))
    learned(seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_the_script_writes_weights_and_a_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["digits-resnet", "--epochs", "2", "--out", str(tmp_path), "--threads", "1"]) == 0
    record = read_json(tmp_path / "index.json", NetworkError)["digits-resnet"]
    assert record["recipe"]["epochs"] == 2
    assert record["test_accuracy"] > 0.6
    ZOO["digits-resnet"].build().load_state_dict(load_file(tmp_path / "digits-resnet.safetensors"), strict=True)
    assert f"test accuracy {record['test_accuracy']:.4f}" in capsys.readouterr().out


def test_records_of_other_networks_are_kept(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text('{"another": {"seed": 3}}')
    assert main(["digits-resnet", "--epochs", "1", "--out", str(tmp_path), "--threads", "1"]) == 0
    assert read_json(tmp_path / "index.json", NetworkError)["another"] == {"seed": 3}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits-resnt"], "Did you mean 'digits-resnet'"),
        (["digits-resnet", "--epochs", "0"], "must be at least 1"),
        (["fashion-vgg", "--data-dir", "no/such/folder"], "not found in no/such/folder"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", str(tmp_path)]) == 2
    captured = capsys.readouterr().err
    assert message in captured
    assert captured.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
