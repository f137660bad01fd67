"""Inverted residuals around depthwise convolutions (Sandler et al. 2018, arXiv:1801.04381)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution without bias and BatchNorm, padded so that stride 1 keeps the size."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, 1x1 projection without activation; the input is added where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = conv_norm(inputs, wide, 1)
        self.depthwise = conv_norm(wide, wide, 3, stride, groups=wide)
        self.project = conv_norm(wide, outputs, 1)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.project(torch.relu(self.depthwise(torch.relu(self.expand(x)))))
        return x + y if self.skip else y


class MobileNet(nn.Module):
    """Stem of stride 2, stages of inverted residuals, 1x1 head, global mean, classifier.

    Args:
        stem: channels of the stem.
        stages: (channels, blocks, stride of the first block) of each stage.
        head: channels of the last 1x1 convolution.
        expansion: how many times wider the inside of a block is.
        in_channels: channels of the image.
        classes: number of outputs.
    """

    def __init__(
        self,
        stem: int,
        stages: Sequence[tuple[int, int, int]],
        head: int,
        expansion: int = 4,
        in_channels: int = 1,
        classes: int = 10,
    ) -> None:
        super().__init__()
        self.stem = conv_norm(in_channels, stem, 3, stride=2)
        blocks: list[nn.Module] = []
        inputs = stem
        for width, count, stride in stages:
            for number in range(count):
                blocks.append(InvertedResidual(inputs, width, 1 if number else stride, expansion))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.head = conv_norm(inputs, head, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(head, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.head(self.blocks(torch.relu(self.stem(x)))))
        return self.classifier(torch.flatten(self.pool(x), 1))  # type: ignore[no-any-return]


def fashion_mobilenet() -> MobileNet:
    """Seven inverted residuals for images [1, 28, 28]."""
    return MobileNet(stem=16, stages=((24, 2, 1), (32, 3, 2), (64, 2, 2)), head=192)
