"""CIFAR-style residual networks (He et al. 2016, arXiv:1512.03385, section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution without bias and BatchNorm, padded so that stride 1 keeps the size."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input is added, through a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = conv_norm(inputs, outputs, 3, stride)
        self.second = conv_norm(outputs, outputs, 3)
        same = inputs == outputs and stride == 1
        self.shortcut: nn.Module = nn.Identity() if same else conv_norm(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


class ResNet(nn.Module):
    """Stem, stages of basic blocks of which all but the first halve the image, global mean, classifier.

    Args:
        widths: channels of each stage.
        blocks: basic blocks per stage.
        stem_stride: 2 quarters the cost of everything behind the stem.
        in_channels: channels of the image.
        classes: number of outputs.
    """

    def __init__(
        self, widths: Sequence[int], blocks: int, stem_stride: int = 1, in_channels: int = 1, classes: int = 10
    ) -> None:
        super().__init__()
        self.stem = conv_norm(in_channels, widths[0], 3, stem_stride)
        stages: list[nn.Module] = []
        inputs = widths[0]
        for number, width in enumerate(widths):
            strides = [1 if number == 0 else 2] + [1] * (blocks - 1)
            stages.append(
                nn.Sequential(*(BasicBlock(inputs if i == 0 else width, width, s) for i, s in enumerate(strides)))
            )
            inputs = width
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stages(torch.relu(self.stem(x)))
        return self.classifier(torch.flatten(self.pool(x), 1))  # type: ignore[no-any-return]


def digits_resnet() -> ResNet:
    """ResNet-8 for images [1, 8, 8]."""
    return ResNet((32, 64, 128), blocks=1)


def fashion_resnet20() -> ResNet:
    """ResNet-20 for images [1, 28, 28]; its stem has stride 2."""
    return ResNet((16, 32, 64), blocks=3, stem_stride=2)
