"""The networks that ship with trained weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from rlprune.errors import NetworkError, unknown_name
from rlprune.support.files import read_json
from rlprune.zoo.dense import fashion_dense
from rlprune.zoo.mobilenet import fashion_mobilenet
from rlprune.zoo.resnet import digits_resnet, fashion_resnet20
from rlprune.zoo.vgg import fashion_vgg

WEIGHTS = Path(__file__).parent / "weights"
INDEX = "index.json"


@dataclass(frozen=True)
class ZooEntry:
    """A network of the zoo: how it is built, and how well it does.

    Attributes:
        name: key in ``ZOO``.
        build: makes the untrained network.
        task: name of the task it was trained for.
        input_shape: shape of one sample.
    """

    name: str
    build: Callable[[], nn.Module]
    task: str
    input_shape: tuple[int, ...]

    @property
    def weights_file(self) -> Path:
        """The trained weights, float32 safetensors."""
        return WEIGHTS / f"{self.name}.safetensors"

    @property
    def record(self) -> dict[str, Any]:
        """What ``rlprune.zoo.train`` wrote about the weights: accuracies, MACs, parameters, epochs, seed, versions.

        Raises:
            NetworkError: there is no record of this network.
        """
        index = read_json(WEIGHTS / INDEX, NetworkError)
        if self.name not in index:
            raise NetworkError(f"{WEIGHTS / INDEX} has no record of {self.name!r}. {_retrain(self.name)}")
        return dict(index[self.name])

    @property
    def test_accuracy(self) -> float:
        """Top-1 accuracy on all test images, in [0, 1], measured once after training."""
        return float(self.record["test_accuracy"])

    def example_inputs(self) -> tuple[torch.Tensor]:
        """One sample of standard normal noise, always the same: [1, *input_shape]."""
        return (torch.randn(1, *self.input_shape, generator=torch.Generator().manual_seed(0)),)


ZOO: dict[str, ZooEntry] = {
    entry.name: entry
    for entry in (
        ZooEntry("digits-resnet", digits_resnet, "digits", (1, 8, 8)),
        ZooEntry("fashion-dense", fashion_dense, "fashion-mnist", (1, 28, 28)),
        ZooEntry("fashion-resnet20", fashion_resnet20, "fashion-mnist", (1, 28, 28)),
        ZooEntry("fashion-vgg", fashion_vgg, "fashion-mnist", (1, 28, 28)),
        ZooEntry("fashion-mobilenet", fashion_mobilenet, "fashion-mnist", (1, 28, 28)),
    )
}


def zoo_entry(name: str) -> ZooEntry:
    """The entry of the zoo that has this name.

    Raises:
        NetworkError: unknown name; the nearest one is offered.
    """
    if name not in ZOO:
        raise NetworkError(unknown_name("network", name, ZOO) + " Or name your own as module:function.")
    return ZOO[name]


def load_zoo(name: str) -> nn.Module:
    """A zoo network with its trained weights, in eval mode, on the CPU.

    Raises:
        NetworkError: unknown name, or weights that are missing, damaged or of another network.
    """
    entry = zoo_entry(name)
    model = entry.build()
    try:
        model.load_state_dict(load_file(entry.weights_file), strict=True)
    except (OSError, SafetensorError, RuntimeError) as reason:
        message = f"Weights {entry.weights_file} of {name!r} cannot be loaded: {str(reason).strip()}. {_retrain(name)}"
        raise NetworkError(message) from reason
    return model.eval()


def _retrain(name: str) -> str:
    return f"Install rlprune again, or train them: python -m rlprune.zoo.train {name}."
