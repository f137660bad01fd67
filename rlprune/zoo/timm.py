"""Networks of timm: ``timm:NAME?option=value``."""

from __future__ import annotations

from typing import Any

import torch

from rlprune.errors import NetworkError, first_sentence
from rlprune.zoo.libraries import import_library
from rlprune.zoo.loaded import LoadedNetwork
from rlprune.zoo.names import SourceName, image_size

SEED = 0
INPUT_SIZE = (3, 224, 224)


def load_timm(name: SourceName) -> LoadedNetwork:
    """Build a network by ``timm.create_model``; the options are its arguments.

    Weights are random, always the same, unless ``pretrained=true`` asks for trained ones, which timm downloads and
    keeps. ``image_size`` says on how large an image the network is measured; without it ``img_size``, or what timm
    says.

    Raises:
        NetworkError: timm is missing or does not import, or there is no such network or option.
    """
    timm = import_library("timm", "timm")
    options = {key: value for key, value in name.options.items() if key != "image_size"}
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            model = timm.create_model(name.name, **options)
    except Exception as reason:
        raise NetworkError(f"timm cannot build {name.text!r}: {first_sentence(reason)}") from reason
    return LoadedNetwork(name.text, model.eval(), (_image(model, name),))


def _image(model: Any, name: SourceName) -> torch.Tensor:
    channels, *usual = (getattr(model, "default_cfg", None) or {}).get("input_size", INPUT_SIZE)
    size = name.options.get("image_size", name.options.get("img_size", usual))
    shape = (name.options.get("in_chans", channels), *image_size(size, name))
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
