"""A plain chain of convolutions (Simonyan and Zisserman 2015, arXiv:1409.1556), with BatchNorm."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class Vgg(nn.Module):
    """Stages of two 3x3 convolutions, a max pool between stages, global mean, one hidden linear layer, classifier.

    Args:
        widths: channels of each stage.
        hidden: width of the hidden linear layer.
        in_channels: channels of the image.
        classes: number of outputs.
    """

    def __init__(self, widths: Sequence[int], hidden: int, in_channels: int = 1, classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = in_channels
        for number, width in enumerate(widths):
            layers += [nn.MaxPool2d(2)] if number else []
            for _ in range(2):
                layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
                inputs = width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.pool(self.features(x)), 1))  # type: ignore[no-any-return]


def fashion_vgg() -> Vgg:
    """Eight convolutions and two linear layers for images [1, 28, 28]."""
    return Vgg((16, 32, 64, 128), hidden=128)
