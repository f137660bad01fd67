"""Which tensor of an answer is scored."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from rlprune.errors import NetworkError
from rlprune.tasks import Split, Task
from rlprune.tasks.answers import scored_tensor

right, other, ids = torch.zeros(2, 3), torch.ones(2, 3), torch.zeros(2, 3, dtype=torch.long)
Named = namedtuple("Named", "hidden logits")


@dataclass
class Output:
    hidden: torch.Tensor
    logits: torch.Tensor | None = None


@pytest.mark.parametrize(
    "answer",
    [
        right,
        {"hidden": other, "logits": right},
        OrderedDict(loss=None, logits=right, states=(other, other)),
        Named(other, right),
        Output(other, right),
        {"ids": ids, "scores": right, "cache": (other,)},
        Output(right),
        (ids, right),
        (right, (other, other)),
        (right, other),
        [right, other],
    ],
)
def test_the_scored_tensor_is_found(answer: Any) -> None:
    assert scored_tensor(answer) is right


@pytest.mark.parametrize(
    ("answer", "came"),
    [
        ({"a": right, "b": other}, r"dict with a \(Tensor\), b \(Tensor\)\. Override Task\.outputs"),
        (({"a": right}, other, right), r"tuple with 0 \(dict\), 1"),
        ((), r"returned tuple\."),
        (None, r"returned NoneType\."),
        (3.0, r"returned float\."),
    ],
)
def test_answers_without_one_are_told(answer: Any, came: str) -> None:
    with pytest.raises(NetworkError, match=came):
        scored_tensor(answer)


def test_a_task_may_choose_another() -> None:
    class Second(Task):
        def outputs(self, answer: Any) -> torch.Tensor:
            chosen: torch.Tensor = answer["b"]
            return chosen

    split = Split(torch.zeros(2, 1), torch.zeros(2, dtype=torch.long))
    task = Second("mine", calibration=split, validation=split, test=split)
    assert task.outputs({"a": other, "b": right}) is right
