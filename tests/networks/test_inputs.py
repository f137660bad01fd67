"""What networks take and answer, at any depth."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from rlprune.errors import NetworkError
from rlprune.networks.inputs import as_batch, as_inputs, batch_size, call, map_tensors, telling, tensors_in

Pair = namedtuple("Pair", "left right")


@dataclass
class Answer:
    logits: torch.Tensor
    states: tuple[torch.Tensor, ...]
    loss: None = None


def test_inputs_are_positional_or_keyword_arguments() -> None:
    x = torch.zeros(1)
    assert as_inputs(x) == (x,)
    assert as_inputs([x, 2]) == (x, 2)
    assert as_inputs({"x": x}) == {"x": x}


def test_call_passes_a_dict_by_name() -> None:
    class Difference(nn.Module):
        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return left - right

    one, two = torch.tensor(1.0), torch.tensor(2.0)
    assert call(Difference(), (one, two)).item() == -1
    assert call(Difference(), {"right": one, "left": two}).item() == 1


def test_tensors_are_found_in_order_at_any_depth() -> None:
    a, b, c, d = (torch.tensor(float(value)) for value in range(4))
    nested = {"z": a, "a": [b, {"x": c, "none": None}], "n": 3, "answer": Answer(d, (a, b))}
    assert [tensor.item() for tensor in tensors_in(nested)] == [0, 1, 2, 3, 0, 1]
    assert list(tensors_in(Answer)) == []


def test_mapping_keeps_the_nesting() -> None:
    nested = ({"x": torch.ones(1), "k": 2}, [Pair(torch.ones(1), None)], "text")
    doubled = map_tensors(lambda tensor: 2 * tensor, nested)
    assert doubled == ({"x": torch.tensor([2.0]), "k": 2}, [Pair(torch.tensor([2.0]), None)], "text")


def test_the_batch_is_the_first_dimension_of_the_first_tensor_that_has_one() -> None:
    assert batch_size((torch.tensor(3.0), None, {"x": torch.zeros(5, 2)})) == 5


@pytest.mark.parametrize("inputs", [(), (None, 2), (torch.tensor(1.0),), (torch.zeros(0, 3),)])
def test_inputs_without_a_batch_are_refused(inputs: tuple[object, ...]) -> None:
    with pytest.raises(NetworkError, match="non-empty batch"):
        batch_size(inputs)


def test_as_batch_repeats_or_cuts_at_any_depth() -> None:
    images = torch.arange(2.0)[:, None]
    inputs = (images, {"state": (images + 10, None), "scale": torch.tensor(2.0), "positions": torch.arange(7)}, 3)
    three = as_batch(inputs, 3)
    assert isinstance(three, tuple)
    assert three[0].flatten().tolist() == [0, 1, 0]
    assert three[1]["state"][0].flatten().tolist() == [10, 11, 10]
    assert (three[1]["scale"].item(), three[1]["positions"].tolist(), three[2]) == (2, list(range(7)), 3)
    one = as_batch({"images": images}, 1)
    assert isinstance(one, dict)
    assert one["images"].shape == (1, 1)


def test_only_constant_inputs_become_noise() -> None:
    inputs = (torch.zeros(2, 3), torch.arange(6.0), torch.zeros(4, dtype=torch.long), torch.tensor(2.0), None)
    noise, varied, ids, scalar, nothing = telling(inputs)
    assert noise.std() > 0.1
    assert torch.equal(telling(inputs)[0], noise)
    assert varied is inputs[1]
    assert set(ids.tolist()) == {0, 1}  # zeros stand for tokens
    assert (scalar, nothing) == (inputs[3], None)
