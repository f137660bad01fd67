"""Residual networks: sums that tie the channels of several layers."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from tests.architectures.architecture import Architecture
from tests.architectures.plain import CLASSES, OUTPUT, images

HEAD = {"fc": OUTPUT}


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions; identity or 1 x 1 projection (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = self.shortcut(inputs, outputs, stride)

    def shortcut(self, inputs: int, outputs: int, stride: int) -> nn.Module | None:
        if stride == 1 and inputs == outputs:
            return None
        return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class PaddedShortcut(nn.Module):
    """Every second pixel, zeros for the channels that are missing."""

    def __init__(self, more: int) -> None:
        super().__init__()
        self.more = more

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more // 2, self.more // 2), "constant", 0)


class PaddedBlock(BasicBlock):
    """Shortcuts of option A."""

    def shortcut(self, inputs: int, outputs: int, stride: int) -> nn.Module | None:
        return PaddedShortcut(outputs - inputs) if stride != 1 else None


class PreActivation(nn.Module):
    """BatchNorm and ReLU in front of each convolution (He et al. 2016, identity mappings)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.bn1(x))
        shortcut = self.shortcut(out) if hasattr(self, "shortcut") else x
        out = self.conv2(F.relu(self.bn2(self.conv1(out))))
        return out + shortcut


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 (in groups: ResNeXt), 1 x 1."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, width: int = 12, groups: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = F.relu(self.bn2(self.conv2(out)), inplace=True)
        return F.relu(self.bn3(self.conv3(out)) + self.downsample(x))


class GroupNormBlock(nn.Module):
    """GroupNorm in place of BatchNorm (Wu and He 2018)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.gn1 = nn.Conv2d(inputs, outputs, 3, stride, 1), nn.GroupNorm(4, outputs)
        self.conv2, self.gn2 = nn.Conv2d(outputs, outputs, 3, 1, 1), nn.GroupNorm(4, outputs)
        self.project = nn.Conv2d(inputs, outputs, 1, stride) if (inputs, stride) != (outputs, 1) else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.gn2(self.conv2(F.silu(self.gn1(self.conv1(x)))))
        return F.silu(out + self.project(x))


class StandardizedConv(nn.Conv2d):
    """Weights with zero mean and unit variance over their inputs (Qiao et al. 2019)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        variance, mean = torch.var_mean(self.weight, dim=[1, 2, 3], keepdim=True, unbiased=False)
        weight = (self.weight - mean) / torch.sqrt(variance + 1e-6)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class StandardizedBlock(nn.Module):
    """As in Big Transfer (Kolesnikov et al. 2020)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = StandardizedConv(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = StandardizedConv(outputs, outputs, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.project = StandardizedConv(inputs, outputs, 1, stride) if (inputs, stride) != (outputs, 1) else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(out + (x if self.project is None else self.project(x)))


class RepBlock(nn.Module):
    """Three branches that are summed: 3 x 3, 1 x 1, BatchNorm alone (RepVGG, Ding et al. 2021)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.dense = nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))
        self.pointwise = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.identity = nn.BatchNorm2d(inputs) if inputs == outputs and stride == 1 else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.dense(x) + self.pointwise(x)
        return F.relu(out if self.identity is None else out + self.identity(x))


class ResNet(nn.Module):
    """Stem, two stages, mean over the image, classes."""

    def __init__(self, block: Callable[[int, int, int], nn.Module], stem: int = 16, width: int = 24) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, stem, 3, padding=1, bias=False), nn.BatchNorm2d(stem)
        self.layer1 = nn.Sequential(block(stem, stem, 1), block(stem, stem, 1))
        self.layer2 = nn.Sequential(block(stem, width, 2), block(width, width, 1))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.avgpool(self.layer2(self.layer1(x)))
        return self.fc(torch.flatten(x, 1))


class Highway(nn.Module):
    """A gate mixes each layer's answer with its input (Srivastava et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 20, 3, padding=1)
        self.transform = nn.ModuleList(nn.Conv2d(20, 20, 3, padding=1) for _ in range(2))
        self.gate = nn.ModuleList(nn.Conv2d(20, 20, 1) for _ in range(2))
        self.fc = nn.Linear(20, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for transform, gate in zip(self.transform, self.gate, strict=True):
            keep = torch.sigmoid(gate(x))
            x = keep * torch.relu(transform(x)) + (1 - keep) * x
        return self.fc(x.mean(dim=(-2, -1)))


class HighResolution(nn.Module):
    """Two resolutions that are added to each other (HRNet, Wang et al. 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.high, self.low = nn.Conv2d(3, 16, 3, 1, 1), nn.Conv2d(16, 24, 3, 2, 1)
        self.high2, self.low2 = nn.Conv2d(16, 16, 3, 1, 1), nn.Conv2d(24, 24, 3, 1, 1)
        self.down, self.up = nn.Conv2d(16, 24, 3, 2, 1, bias=False), nn.Conv2d(24, 16, 1, bias=False)
        self.keypoints = nn.Conv2d(16 + 24, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        high = torch.relu(self.high(x))
        low = torch.relu(self.low(high))
        high, low = torch.relu(self.high2(high)), torch.relu(self.low2(low))
        up = F.interpolate(self.up(low), size=high.shape[-2:], mode="nearest")
        high, low = torch.relu(high + up), torch.relu(low + self.down(high))
        low = F.interpolate(low, scale_factor=2, mode="bilinear", align_corners=False)
        return self.keypoints(torch.cat([high, low], dim=1))


def resnet(name: str, pattern: str, block: Callable[..., nn.Module], groups: int, **widths: int) -> Architecture:
    return Architecture(name, pattern, lambda: ResNet(block, **widths), images, HEAD, groups)


def resnext(inputs: int, outputs: int, stride: int) -> nn.Module:
    return Bottleneck(inputs, outputs, stride, width=16, groups=4)


def halves(inputs: int, outputs: int, stride: int) -> nn.Module:
    return Bottleneck(inputs, outputs, stride, width=24, groups=2)


ARCHITECTURES = [
    resnet("resnet-basic", "basic residual blocks, identity and 1 x 1 projection, +=", BasicBlock, 6),
    resnet("resnet-option-a", "strided slice and zero padding for a shortcut", PaddedBlock, 5, stem=16, width=32),
    resnet("resnet-pre-activation", "BatchNorm in front of convolutions", PreActivation, 6),
    resnet("resnet-bottleneck", "bottleneck residual, projection with bias", Bottleneck, 10),
    resnet("resnext", "3 x 3 convolutions in 4 groups of 4 channels", resnext, 6),
    resnet("wide-groups", "3 x 3 convolutions in 2 wide groups", halves, 10),
    resnet("resnet-group-norm", "GroupNorm of 4 groups, biases", GroupNormBlock, 6),
    resnet("resnet-standardized-weights", "weights normalised over their inputs", StandardizedBlock, 6),
    resnet("repvgg", "sum of 3 x 3, 1 x 1 and BatchNorm branches", RepBlock, 2),
    Architecture("highway", "gates between a layer's answer and its input", Highway, images, HEAD, groups=1),
    Architecture("high-resolution", "two resolutions added to each other", HighResolution, lambda: images(size=8),
                 {"keypoints": OUTPUT}, groups=4),
]  # fmt: skip
