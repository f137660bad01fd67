"""Finding tasks by name and by module:function."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rlprune.errors import TaskError
from rlprune.tasks import load_task

MODULE = """
import torch
from rlprune.tasks import Split, Task


def split(start, labels):
    return Split(start + torch.arange(4.0)[:, None], torch.tensor(labels))


def task(*labels):
    calibration, validation, test = (split(10 * i, own) for i, own in enumerate(labels))
    return Task("own", calibration=calibration, validation=validation, test=test, classes=2)


def good():
    return task([0, 1, 0, 1], [0, 1, 0, 1], [0, 1, 0, 1])


def bad_label():
    return task([0, 2, 0, 1], [0, 1, 0, 1], [0, 1, 0, 1])


def bad_test_label():
    return task([0, 1, 0, 1], [0, 1, 0, 1], [0, 1, 0, 5])


def reused():
    one = split(0, [0, 1, 0, 1])
    return Task("own", calibration=one, validation=one, test=split(10, [0, 1, 0, 1]), classes=2)


def nothing():
    return None


def fails():
    raise OSError("disk on fire")


def with_argument(x):
    return x


number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_task_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / f"{name}_broken.py").write_text("import no_such_thing_at_all\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    return name


def test_a_function_of_the_users_own(module: str) -> None:
    task = load_task(f"{module}:good")
    assert task.name == "own"
    assert task.loaded == ()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("nothing", r"nothing\(\) must return a rlprune.tasks.Task; it returned NoneType"),
        ("bad_label", "sample 1 of the calibration split of task 'own' has label 2"),
        ("bad_test_label", "sample 3 of the test split of task 'own' has label 5"),
        ("reused", "calibration and validation splits must share no sample; 4 of 4"),
        ("fails", "disk on fire"),
        ("with_argument", "TypeError"),
        ("number", "no function 'number'"),
        ("absent", "no function 'absent'"),
    ],
)
def test_functions_that_give_no_task_are_refused(module: str, function: str, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        load_task(f"{module}:{function}")


def test_modules_that_do_not_import_are_refused(module: str) -> None:
    with pytest.raises(TaskError, match="no_such_thing_at_all"):
        load_task(f"{module}_broken:good")
    with pytest.raises(TaskError, match="importing 'absent_module' failed"):
        load_task("absent_module:good")


@pytest.mark.parametrize(
    ("name", "nearest"), [("digit", "digits"), ("fashion_mnist", "fashion-mnist"), ("cifar-10", "cifar10")]
)
def test_an_unknown_name_offers_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(TaskError, match=f"Unknown task '{name}'. Did you mean '{nearest}'"):
        load_task(name)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(TaskError, match="Known: cifar10, digits, fashion-mnist"):
        load_task("zzz")
