"""Networks of torchvision: ``torchvision:NAME?option=value``."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

import torch

from rlprune.errors import NetworkError, first_sentence
from rlprune.zoo.libraries import import_library
from rlprune.zoo.loaded import LoadedNetwork
from rlprune.zoo.names import SourceName, image_size

SEED = 0
SIDE = 224


def load_torchvision(name: SourceName) -> LoadedNetwork:
    """Build a network by ``torchvision.models.get_model``; the options are its arguments.

    Weights are random, always the same, unless ``weights=DEFAULT`` or another of torchvision's names asks for trained
    ones, which torchvision downloads and keeps. ``image_size`` says on how large an image the network is measured;
    without it, as large as its trained weights take, or 224.

    Raises:
        NetworkError: torchvision is missing or does not fit torch, or there is no such network or option.
    """
    models = import_library("torchvision.models", "torchvision")
    if name.name not in models.list_models():
        nearest = difflib.get_close_matches(name.name, models.list_models(), n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise NetworkError(f"torchvision has no network {name.name!r}.{hint} See torchvision.models.list_models().")
    options = {key: value for key, value in name.options.items() if key != "image_size"}
    if "weights_backbone" in inspect.signature(models.get_model_builder(name.name)).parameters:
        options.setdefault("weights_backbone", None)  # else it is downloaded unasked
    size = image_size(name.options.get("image_size", _usual_side(models, name.name)), name)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            model = models.get_model(name.name, **options)
    except Exception as reason:
        raise NetworkError(f"torchvision cannot build {name.text!r}: {first_sentence(reason)}") from reason
    return LoadedNetwork(name.text, model.eval(), (_image(size),))


def _usual_side(models: Any, name: str) -> Any:
    try:
        return models.get_model_weights(name)["DEFAULT"].transforms().crop_size[0]
    except (AttributeError, KeyError, IndexError, ValueError):
        return SIDE


def _image(size: tuple[int, int]) -> torch.Tensor:
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
