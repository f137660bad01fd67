"""Normalisations, over images, channels, groups and neighbours."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.architectures.architecture import Architecture
from tests.architectures.plain import CLASSES, OUTPUT, images


class StyleTransfer(nn.Module):
    """InstanceNorm, reflected borders, up by interpolation (Johnson et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.in1 = nn.Conv2d(3, 12, 3), nn.InstanceNorm2d(12, affine=True)
        self.conv2, self.in2 = nn.Conv2d(12, 20, 3, stride=2), nn.InstanceNorm2d(20, affine=True)
        self.res1, self.res_norm = nn.Conv2d(20, 20, 3), nn.InstanceNorm2d(20)
        self.res2 = nn.Conv2d(20, 20, 3)
        self.deconv = nn.Conv2d(20, 12, 3)
        self.out, self.pad = nn.Conv2d(12, 3, 3), nn.ReflectionPad2d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.in1(self.conv1(self.pad(x))))
        x = F.relu(self.in2(self.conv2(self.pad(x))))
        x = x + self.res2(self.pad(F.relu(self.res_norm(self.res1(self.pad(x))))))
        x = F.relu(self.deconv(self.pad(F.interpolate(x, scale_factor=2))))
        return torch.tanh(self.out(self.pad(x)))


class ConvNeXtBlock(nn.Module):
    """Depthwise, LayerNorm and linear layers with channels last, a scale for each channel (Liu et al. 2022)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv, self.norm = nn.Conv2d(dim, dim, 7, padding=3, groups=dim), nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1, self.act, self.pwconv2 = nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(0.5 * torch.ones(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = x
        x = self.dwconv(x).permute(0, 2, 3, 1)
        x = self.gamma * self.pwconv2(self.act(self.pwconv1(self.norm(x))))
        return residual + x.permute(0, 3, 1, 2)


class ChannelsFirstNorm(nn.Module):
    """LayerNorm over channels, written out."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(variance + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class ConvNeXt(nn.Module):
    """Two stages."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 2, 2), ChannelsFirstNorm(12))
        self.block1, self.down = ConvNeXtBlock(12), nn.Sequential(ChannelsFirstNorm(12), nn.Conv2d(12, 20, 2, 2))
        self.block2, self.norm, self.head = ConvNeXtBlock(20), nn.LayerNorm(20), nn.Linear(20, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.block2(self.down(self.block1(self.stem(x))))
        return self.head(self.norm(x.mean([-2, -1])))


class ResponseNorm(nn.Module):
    """Global response normalisation: each channel's norm over the mean of all (ConvNeXt V2, Woo et al. 2023)."""

    def __init__(self, dim: int = 20) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, dim, 3, 2, 1), nn.Conv2d(dim, 16, 1)
        self.gamma, self.beta = nn.Parameter(torch.ones(1, 1, 1, dim)), nn.Parameter(torch.zeros(1, 1, 1, dim))
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.gelu(self.conv1(x)).permute(0, 2, 3, 1)
        norms = torch.norm(x, p=2, dim=(1, 2), keepdim=True)
        x = self.gamma * (x * (norms / (norms.mean(dim=-1, keepdim=True) + 1e-6))) + self.beta + x
        return self.head(F.relu(self.conv2(x.permute(0, 3, 1, 2))).mean((2, 3)))


class FrozenBatchNorm(nn.Module):
    """BatchNorm as four buffers (torchvision's detection models)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name, value in (("weight", 1.0), ("bias", 0.2), ("running_mean", 0.1), ("running_var", 1.5)):
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        w, b = self.weight.reshape(1, -1, 1, 1), self.bias.reshape(1, -1, 1, 1)
        rv, rm = self.running_var.reshape(1, -1, 1, 1), self.running_mean.reshape(1, -1, 1, 1)
        scale = w * (rv + 1e-5).rsqrt()
        return x * scale + (b - rm * scale)


def frozen() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, bias=False), FrozenBatchNorm(16), nn.ReLU(), nn.Conv2d(16, 24, 3, 2), FrozenBatchNorm(24),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, CLASSES),
    )  # fmt: skip


def local_response() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.LocalResponseNorm(5), nn.MaxPool2d(2), nn.Conv2d(16, 24, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(24, CLASSES),
    )  # fmt: skip


def whole_image_norm() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 12, 3), nn.LayerNorm([12, 6, 6]), nn.ReLU(), nn.Conv2d(12, 16, 3), nn.GroupNorm(1, 16), nn.ReLU(),
        nn.Conv2d(16, 20, 3), nn.GroupNorm(20, 20), nn.Flatten(), nn.Linear(80, CLASSES),
    )  # fmt: skip


ARCHITECTURES = [
    Architecture("instance-norm", "InstanceNorm, reflected borders, nearest upsampling", StyleTransfer,
                 lambda: images(size=8), {"out": OUTPUT}, groups=4),
    Architecture("convnext", "LayerNorm with channels last, layer scale, LayerNorm written out", ConvNeXt, images,
                 {"head": OUTPUT}, groups=4),
    Architecture("response-norm", "norms of channels over their mean, bare scale and shift", ResponseNorm,
                 lambda: images(size=8), {"head": OUTPUT}, groups=2),
    Architecture("frozen-batch-norm", "normalisation in buffers", frozen, lambda: images(size=8), {"8": OUTPUT},
                 groups=2),
    Architecture("local-response-norm", "normalised over neighbouring channels", local_response,
                 lambda: images(size=8), {"7": OUTPUT, "0": "mixes its channels"}, groups=1),
    Architecture("norms-of-images", "LayerNorm over whole images, GroupNorm of one group and of single channels",
                 whole_image_norm, lambda: images(size=8), {"9": OUTPUT, "0": "fixed size"}, groups=2),
]  # fmt: skip
