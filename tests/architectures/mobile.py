"""Networks for small devices: depthwise and grouped convolutions, shuffles, gates of channels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.architectures.architecture import Architecture
from tests.architectures.examples import normal
from tests.architectures.plain import CLASSES, OUTPUT, images


def conv_bn(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True))


class Classifier(nn.Module):
    """A body, the mean over the image, classes."""

    def __init__(self, width: int, *body: nn.Module) -> None:
        super().__init__()
        self.features = nn.Sequential(*body)
        self.classifier = nn.Linear(width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).mean([2, 3]))


def separable(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Depthwise and pointwise (MobileNet, Howard et al. 2017)."""
    return nn.Sequential(conv_bn(inputs, inputs, 3, stride, groups=inputs), conv_bn(inputs, outputs))


class SqueezeExcitation(nn.Module):
    """Each channel is scaled by what all of them say (Hu et al. 2018)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = F.adaptive_avg_pool2d(x, 1)
        return F.hardsigmoid(self.fc2(F.relu(self.fc1(scale)))) * x


class InvertedResidual(nn.Module):
    """Expand, depthwise, project; with gates and hard-swish where asked (Sandler et al. 2018, Howard et al. 2019)."""

    def __init__(self, inputs: int, outputs: int, hidden: int, stride: int = 1, gated: bool = False) -> None:
        super().__init__()
        self.use_res_connect = stride == 1 and inputs == outputs
        activation = nn.Hardswish if gated else nn.ReLU6
        layers: list[nn.Module] = [nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), activation()]
        layers += [nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden)]
        layers += [SqueezeExcitation(hidden, 8)] if gated else []
        layers += [activation(), nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class Multiplied(nn.Module):
    """A depthwise convolution that gives two channels for each (EEGNet, Lawhern et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.temporal = nn.Conv2d(1, 12, (1, 5), padding=(0, 2), bias=False)
        self.spatial = nn.Conv2d(12, 24, (8, 1), groups=12, bias=False)
        self.norm = nn.BatchNorm2d(24)
        self.separable = nn.Sequential(nn.Conv2d(24, 24, (1, 3), groups=24), nn.Conv2d(24, 20, 1))
        self.classifier = nn.Linear(20 * 3, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.avg_pool2d(F.elu(self.norm(self.spatial(self.temporal(x)))), (1, 2))
        x = F.avg_pool2d(F.elu(self.separable(x)), (1, 2))
        return self.classifier(x.flatten(1))


def channel_shuffle(x: torch.Tensor, groups: int) -> torch.Tensor:
    """As in torchvision."""
    batch, channels, height, width = x.size()
    x = x.view(batch, groups, channels // groups, height, width)
    x = torch.transpose(x, 1, 2).contiguous()
    return x.view(batch, channels, height, width)


class GroupedShuffle(nn.Module):
    """Grouped 1 x 1 convolutions, shuffled between them (ShuffleNet, Zhang et al. 2018)."""

    def __init__(self, channels: int, hidden: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.conv1, self.bn1 = nn.Conv2d(channels, hidden, 1, groups=groups, bias=False), nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, 1, 1, groups=hidden, bias=False)
        self.conv3, self.bn3 = nn.Conv2d(hidden, channels, 1, groups=groups, bias=False), nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = channel_shuffle(F.relu(self.bn1(self.conv1(x))), self.groups)
        return F.relu(x + self.bn3(self.conv3(self.conv2(out))))


class SplitShuffle(nn.Module):
    """Half of the channels pass, half are computed, then both are shuffled (ShuffleNet V2, Ma et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(
            conv_bn(half, half), nn.Conv2d(half, half, 3, 1, 1, groups=half, bias=False), nn.BatchNorm2d(half),
            conv_bn(half, half),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = x.chunk(2, dim=1)
        return channel_shuffle(torch.cat((left, self.branch(right)), dim=1), 2)


class Ghost(nn.Module):
    """Half of the channels are cheap copies of the other half (GhostNet, Han et al. 2020)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.oup = outputs
        primary = -(-outputs // 2)
        self.primary_conv, self.cheap_operation = conv_bn(inputs, primary), conv_bn(primary, primary, 3, 1, primary)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x1 = self.primary_conv(x)
        return torch.cat([x1, self.cheap_operation(x1)], dim=1)[:, : self.oup, :, :]


class MixedKernels(nn.Module):
    """Unequal parts of the channels get kernels of different size (MixNet, Tan and Le 2019)."""

    def __init__(self, splits: tuple[int, ...] = (16, 8, 4)) -> None:
        super().__init__()
        self.splits = list(splits)
        self.expand = conv_bn(12, sum(splits))
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width, bias=False)
            for width, kernel in zip(splits, (3, 5, 7), strict=True)
        )
        self.project = nn.Conv2d(sum(splits), 12, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = torch.split(self.expand(x), self.splits, 1)
        mixed = torch.cat([conv(part) for conv, part in zip(self.convs, parts, strict=True)], dim=1)
        return x + self.project(F.relu(mixed))


class BlurPool(nn.Module):
    """A fixed filter for each channel in front of the stride (Zhang 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0])
        kernel = line[:, None] * line[None, :] / 16
        self.register_buffer("filt", kernel[None, None].repeat(channels, 1, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.filt, stride=2, groups=x.shape[1])


def mobilenet_v1() -> nn.Module:
    return Classifier(40, conv_bn(3, 16, 3, 2), separable(16, 24), separable(24, 32, 2), separable(32, 40))


def mobilenet_v2() -> nn.Module:
    return Classifier(
        48, conv_bn(3, 16, 3, 2), InvertedResidual(16, 12, 32), InvertedResidual(12, 12, 36),
        InvertedResidual(12, 20, 40, 2), conv_bn(20, 48),
    )  # fmt: skip


def mobilenet_v3() -> nn.Module:
    return Classifier(
        20, conv_bn(3, 16, 3, 2), InvertedResidual(16, 16, 24, gated=True), InvertedResidual(16, 20, 40, 2, gated=True),
        InvertedResidual(20, 20, 48, gated=True),
    )  # fmt: skip


def shufflenet_v1() -> nn.Module:
    return Classifier(24, conv_bn(3, 24, 3, 2), GroupedShuffle(24, 36, 3), GroupedShuffle(24, 36, 3))


def shufflenet_v2() -> nn.Module:
    return Classifier(32, conv_bn(3, 24, 3, 2), SplitShuffle(24), SplitShuffle(24), conv_bn(24, 32))


def ghostnet() -> nn.Module:
    return Classifier(20, conv_bn(3, 12, 3, 2), Ghost(12, 24), conv_bn(24, 16, 3), Ghost(16, 20))


def mixnet() -> nn.Module:
    return Classifier(20, conv_bn(3, 12, 3, 2), MixedKernels(), MixedKernels(), conv_bn(12, 20))


def antialiased() -> nn.Module:
    return Classifier(24, conv_bn(3, 16, 3), BlurPool(16), conv_bn(16, 24, 3), nn.MaxPool2d(2, 1), BlurPool(24))


HEAD = {"classifier": OUTPUT}

ARCHITECTURES = [
    Architecture("mobilenet-v1", "depthwise-separable convolutions", mobilenet_v1, images, HEAD, groups=4),
    Architecture("mobilenet-v2", "inverted residuals", mobilenet_v2, images, HEAD, groups=7),
    Architecture("mobilenet-v3", "inverted residuals with squeeze-excitation and hard-swish", mobilenet_v3, images,
                 HEAD, groups=8),
    Architecture("depthwise-multiplier", "depthwise convolution with two outputs for each channel", Multiplied,
                 lambda: (normal(2, 1, 8, 16),), HEAD, groups=2),
    Architecture("shufflenet-v1", "grouped 1 x 1 convolutions and channel shuffle", shufflenet_v1, images, HEAD,
                 groups=3),
    Architecture("shufflenet-v2", "chunk, concat, channel shuffle", shufflenet_v2, images, HEAD, groups=4),
    Architecture("ghostnet", "concat of channels and their depthwise copies", ghostnet, images, HEAD, groups=4),
    Architecture("mixnet", "split into unequal parts, a kernel size for each", mixnet, images, HEAD, groups=8),
    Architecture("blur-pool", "depthwise convolution with a fixed filter, in a buffer that is not stored", antialiased,
                 images, HEAD, groups=2),
]  # fmt: skip
