"""Networks by zoo name and by module:function."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from rlprune.errors import NetworkError
from rlprune.zoo import resolve_network

MODULE = """
import torch
from torch import nn
from rlprune.zoo import LoadedNetwork

x = torch.ones(2, 4)
bare = lambda: nn.Linear(4, 2)
with_tensor = lambda: (nn.Linear(4, 2), x)
with_tuple = lambda: (nn.Bilinear(4, 4, 2), (x, x))
with_list = lambda: (nn.Bilinear(4, 4, 2), [x, x])
with_dict = lambda: (nn.Linear(4, 2), {"input": x})
loaded = lambda: LoadedNetwork("mine", nn.Linear(4, 2), (x,), "digits")

nothing = lambda: None
state_dict = lambda: nn.Linear(4, 2).state_dict()
model_class = lambda: nn.Linear
triple = lambda: (nn.Linear(4, 2), x, x)
swapped = lambda: (x, nn.Linear(4, 2))
numbers = lambda: (nn.Linear(4, 2), [1, 2])
shape = lambda: (nn.Linear(4, 2), (2, 4))
no_inputs = lambda: (nn.Linear(4, 2), ())
fails = lambda: 1 / 0
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_network_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    return name


def test_a_zoo_network_comes_with_its_task_and_inputs() -> None:
    network = resolve_network("digits-resnet")
    assert (network.name, network.task) == ("digits-resnet", "digits")
    assert isinstance(network.example_inputs, tuple)
    assert network.example_inputs[0].shape == (1, 1, 8, 8)
    again = resolve_network("digits-resnet")
    assert isinstance(again.example_inputs, tuple)
    assert torch.equal(network.example_inputs[0], again.example_inputs[0])
    with torch.inference_mode():
        assert torch.equal(network.model(*network.example_inputs), again.model(*network.example_inputs))


@pytest.mark.parametrize("function", ["with_tensor", "with_tuple", "with_list"])
def test_example_inputs_become_a_tuple_of_arguments(module: str, function: str) -> None:
    network = resolve_network(f"{module}:{function}")
    assert isinstance(network.example_inputs, tuple)
    assert network.model(*network.example_inputs).shape == (2, 2)
    assert not network.model.training
    assert network.task is None


def test_example_inputs_may_be_keyword_arguments(module: str) -> None:
    network = resolve_network(f"{module}:with_dict")
    assert isinstance(network.example_inputs, dict)
    assert network.model(**network.example_inputs).shape == (2, 2)


def test_a_bare_module_has_no_example_inputs(module: str) -> None:
    assert resolve_network(f"{module}:bare").example_inputs is None


def test_a_loaded_network_keeps_its_task(module: str) -> None:
    network = resolve_network(f"{module}:loaded")
    assert network.task == "digits"
    assert network.name == f"{module}:loaded"


@pytest.mark.parametrize(
    ("function", "came"),
    [
        ("nothing", "NoneType"),
        ("state_dict", "OrderedDict"),
        ("model_class", "type"),
        ("triple", r"a tuple of 3 \(Linear, Tensor, Tensor\)"),
        ("swapped", r"a tuple of 2 \(Tensor, Linear\)"),
    ],
)
def test_functions_that_give_no_network_are_refused(module: str, function: str, came: str) -> None:
    with pytest.raises(NetworkError, match=rf"{function}\(\) must return an nn.Module, a pair .*; it returned {came}"):
        resolve_network(f"{module}:{function}")


@pytest.mark.parametrize("function", ["numbers", "shape", "no_inputs"])
def test_example_inputs_without_a_tensor_are_refused(module: str, function: str) -> None:
    with pytest.raises(NetworkError, match=r"Example inputs of .* at least one tensor"):
        resolve_network(f"{module}:{function}")


def test_functions_that_fail_are_told(module: str) -> None:
    with pytest.raises(NetworkError, match="ZeroDivisionError"):
        resolve_network(f"{module}:fails")
    with pytest.raises(NetworkError, match="no function 'absent'"):
        resolve_network(f"{module}:absent")
    with pytest.raises(NetworkError, match="importing 'absent_module' failed"):
        resolve_network("absent_module:network")


@pytest.mark.parametrize("name", ["huggingface:vit", "hugging-face:vit?hidden_size=3", "no-such-network"])
def test_an_unknown_source_offers_the_known_ones(name: str) -> None:
    with pytest.raises(NetworkError, match="of another library as hf:CONFIG"):
        resolve_network(name)


def test_a_module_may_have_the_name_of_a_library_in_it(tmp_path: Path, module: str) -> None:
    (tmp_path / "timm_of_mine.py").write_text((tmp_path / f"{module}.py").read_text())
    assert resolve_network("timm_of_mine:bare").name == "timm_of_mine:bare"


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(NetworkError, match=r"Did you mean 'fashion-vgg'.*module:function"):
        resolve_network("fashion-vg")
