"""Networks of torchvision and timm: what is asked of the libraries, and what is said where they are missing."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from rlprune.errors import NetworkError
from rlprune.zoo import resolve_network

FITS_NOT = "operator torchvision::nms does not exist"


def net(channels: int = 3, classes: int = 10) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)
    ).train()


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A stand-in for torchvision; the list fills with the options of every network that is built."""
    asked: list[dict[str, Any]] = []

    def small(*, weights: Any = None, num_classes: int = 10) -> nn.Module:
        return net(classes=num_classes)

    def segmenting(*, weights: Any = None, weights_backbone: Any = "downloaded") -> nn.Module:
        return net()

    builders = {"small": small, "segmenting": segmenting}

    def get_model(name: str, **options: Any) -> nn.Module:
        asked.append(options)
        return builders[name](**options)

    def get_model_weights(name: str) -> dict[str, Any]:
        if name != "small":
            raise ValueError(name)
        return {"DEFAULT": SimpleNamespace(transforms=lambda: SimpleNamespace(crop_size=[48]))}

    models = ModuleType("torchvision.models")
    models.__dict__.update(
        list_models=lambda: list(builders),
        get_model_builder=builders.__getitem__,
        get_model_weights=get_model_weights,
        get_model=get_model,
    )
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    return asked


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A stand-in for timm."""
    asked: list[dict[str, Any]] = []

    def create_model(name: str, *, in_chans: int = 3, **options: Any) -> nn.Module:
        if name != "small":
            raise RuntimeError(f"Unknown model ({name})")
        asked.append({"in_chans": in_chans, **options})
        model = net(in_chans)
        model.default_cfg = {"input_size": (3, 40, 24)}  # type: ignore[assignment]
        return model

    library = ModuleType("timm")
    library.__dict__["create_model"] = create_model
    monkeypatch.setitem(sys.modules, "timm", library)
    return asked


def image_of(name: str) -> torch.Tensor:
    network = resolve_network(name)
    assert isinstance(network.example_inputs, tuple)
    (image,) = network.example_inputs
    assert not network.model.training
    assert network.model(image).shape[0] == 1
    assert (network.name, network.task) == (name, None)
    return image


def test_torchvision_networks_get_the_options(torchvision: list[dict[str, Any]]) -> None:
    assert image_of("torchvision:small?num_classes=7").shape == (1, 3, 48, 48)
    assert torchvision == [{"num_classes": 7}]


def test_trained_weights_are_asked_for_by_name_only(torchvision: list[dict[str, Any]]) -> None:
    image_of("torchvision:small?weights=DEFAULT")
    assert image_of("torchvision:segmenting?image_size=[64,32]").shape == (1, 3, 64, 32)
    assert image_of("torchvision:segmenting").shape == (1, 3, 224, 224)
    assert torchvision == [{"weights": "DEFAULT"}, {"weights_backbone": None}, {"weights_backbone": None}]


def test_timm_networks_get_the_options(timm: list[dict[str, Any]]) -> None:
    assert image_of("timm:small").shape == (1, 3, 40, 24)
    assert image_of("timm:small?in_chans=1&pretrained=true&image_size=32").shape == (1, 1, 32, 32)
    assert image_of("timm:small?img_size=16").shape == (1, 3, 16, 16)
    assert timm == [{"in_chans": 3}, {"in_chans": 1, "pretrained": True}, {"in_chans": 3, "img_size": 16}]


@pytest.mark.parametrize("name", ["torchvision:small", "timm:small"])
def test_random_weights_are_always_the_same(
    name: str, torchvision: list[dict[str, Any]], timm: list[dict[str, Any]]
) -> None:
    state = torch.get_rng_state()
    first, second = resolve_network(name).model, resolve_network(name).model
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:smal", "torchvision has no network 'smal'. Did you mean 'small'"),
        ("torchvision:small?classes=3", "torchvision cannot build .* unexpected keyword argument 'classes'"),
        ("timm:smal", r"timm cannot build 'timm:smal': Unknown model \(smal\)\."),
    ],
)
def test_what_a_library_refuses_is_told(
    name: str, message: str, torchvision: list[dict[str, Any]], timm: list[dict[str, Any]]
) -> None:
    with pytest.raises(NetworkError, match=message):
        resolve_network(name)


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_a_missing_library_says_what_to_install(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(NetworkError, match=rf"needs {library}, .*pip install 'rlprune\[{library}\]'") as caught:
        resolve_network(f"{library}:resnet18")
    assert "\n" not in str(caught.value)


def test_a_library_built_for_another_torch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *arguments: object) -> None:
            if name == "torchvision":
                raise RuntimeError(FITS_NOT)

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(NetworkError, match=f"torchvision is installed but does not fit this torch: {FITS_NOT}"):
        resolve_network("torchvision:resnet18")
