"""The networks that a layer profile measures: chains of every kind of layer, at every size of a grid.

Layers stand in chains, with their BatchNorms and activations, as they do in real networks: a layer alone would pay for
reordering its input and output each time, and runtimes fuse what stands behind it. Random widths of many groups tell
the layers of a chain apart; short and deep chains tell what each layer costs from what a call costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.networks.network import Network
from rlprune.zoo.mobilenet import MobileNet, conv_norm
from rlprune.zoo.resnet import ResNet
from rlprune.zoo.vgg import Vgg

SIZES = (4, 7, 8, 14, 16, 28, 32, 56)
"""Halvings of the usual images, of 28, 32 and 224 positions a side: cost does not run smoothly from size to size."""
MOST_CHANNELS = {4: 256, 7: 256, 8: 256, 14: 192, 16: 160, 28: 96, 32: 80, 56: 48}
DEEP_CHANNELS = 64
COLOURS = 3
LEAST_IMAGE = 14


@dataclass(frozen=True)
class Probe:
    """One network of the grid.

    Attributes:
        name: shape of the chain and size of its input.
        network: with every eighth width.
    """

    name: str
    network: Network


class Residual(nn.Module):
    """A chain around which its input is added."""

    def __init__(self, *inner: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Sequential(*inner)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.inner(x))


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(conv_norm(inputs, outputs, kernel, stride), nn.ReLU())


def _depthwise(channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(conv_norm(channels, channels, kernel, stride, groups=channels), nn.ReLU())


def _headed(channels: int, *features: nn.Module) -> nn.Module:
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, 10)]
    return nn.Sequential(*features, *head)


def _inverted(c: int) -> nn.Module:
    return Residual(_conv(c, c, 1), _depthwise(c, 3), conv_norm(c, c, 1))


def plain(c: int) -> nn.Module:
    """3x3 convolutions, one of stride 2, and linear layers."""
    return _headed(c, _conv(COLOURS, c, 3), _conv(c, c, 3), _conv(c, c, 3), _conv(c, c, 3, 2), _conv(c, c, 3))


def residual(c: int) -> nn.Module:
    """Residual blocks of 3x3 and of 1x1 convolutions, a 1x1 convolution of stride 2."""
    basic = Residual(_conv(c, c, 3), conv_norm(c, c, 3))
    bottleneck = Residual(_conv(c, c, 1), _conv(c, c, 3), conv_norm(c, c, 1))
    return _headed(c, _conv(COLOURS, c, 3), basic, bottleneck, _conv(c, c, 1, 2), _conv(c, c, 1))


def separable(c: int) -> nn.Module:
    """Depthwise 3x3 convolutions between 1x1 convolutions."""
    inner = (_conv(c, c, 1), _depthwise(c, 3), conv_norm(c, c, 1))
    last = (_conv(c, c, 1), _depthwise(c, 3, 2), _conv(c, c, 1))
    return _headed(c, _conv(COLOURS, c, 3), *inner, _inverted(c), *last)


def wide(c: int) -> nn.Module:
    """Kernels of 5 and 7."""
    return _headed(c, _conv(COLOURS, c, 7, 2), _conv(c, c, 5), _conv(c, c, 1), _depthwise(c, 5), _conv(c, c, 1))


def deep(c: int) -> nn.Module:
    """Many 3x3 convolutions on a grey image, and one linear layer."""
    c = min(c, DEEP_CHANNELS)
    blocks = [Residual(_conv(c, c, 3), conv_norm(c, c, 3)) for _ in range(5)]
    return nn.Sequential(_conv(1, c, 3), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 10))


def deep_separable(c: int) -> nn.Module:
    """Many inverted residuals behind a stem of stride 2 on a grey image, and one linear layer."""
    c = min(c, DEEP_CHANNELS)
    blocks = [_inverted(c) for _ in range(4)]
    return nn.Sequential(_conv(1, c, 3, 2), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 10))


SHAPES: dict[str, Callable[[int], nn.Module]] = {
    "plain": plain,
    "residual": residual,
    "separable": separable,
    "wide": wide,
    "deep": deep,
    "deep separable": deep_separable,
}
GREY = ("deep", "deep separable")
FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "ResNet": lambda: ResNet((16, 32, 64), blocks=1, in_channels=COLOURS),
    "VGG": lambda: Vgg((16, 32, 64), hidden=64, in_channels=COLOURS),
    "MobileNet": lambda: MobileNet(16, ((24, 1, 1), (32, 2, 2), (64, 1, 2)), head=128, in_channels=COLOURS),
}
"""Whole networks among the probes: pools and joins between layers cost as they do in use."""


def chains(size: int, seed: int = 0) -> Iterator[Probe]:
    """Every shape on square images of ``size`` positions a side."""
    channels = min(MOST_CHANNELS.items(), key=lambda item: abs(item[0] - size))[1]
    for name, shape in SHAPES.items():
        yield _probe(f"{name} {size}x{size}", partial(shape, channels), size, seed, 1 if name in GREY else COLOURS)


def probes(sizes: Sequence[int] = SIZES, seed: int = 0) -> Iterator[Probe]:
    """Every shape at every size, square images of ``sizes`` positions a side, and families at sizes that allow it."""
    for size in sizes:
        yield from chains(size, seed)
        if size >= LEAST_IMAGE:
            for name, make in FAMILIES.items():
                yield _probe(f"{name} {size}x{size}", make, size, seed)


def references(seed: int = 0) -> Iterator[Probe]:
    """Whole networks that are only predicted, never fitted to: they tell the error on a network of one's own."""
    yield _probe("ResNet-14, 32x32", lambda: ResNet((24, 48, 96), blocks=2, in_channels=3), 32, seed)
    yield _probe("VGG, 24x24", lambda: Vgg((24, 48, 96), hidden=64, in_channels=3), 24, seed)
    stages = ((16, 2, 1), (40, 2, 2), (80, 2, 2))
    yield _probe("MobileNet, 40x40", lambda: MobileNet(24, stages, head=160, in_channels=3), 40, seed)


def spread_plans(network: Network, count: int, seed: int) -> IntArray:
    """``count`` different plans, ``int64 [P, G]``, dense and narrowest first, then widths spread over their logarithms.

    Each plan draws a level for the whole network and one for each group around it, so that narrow and wide layers are
    met equally often, alone and together.
    """
    generator = np.random.default_rng(seed)
    low = np.array([group.widths[0] for group in network.groups], dtype=np.float64)
    found = {tuple(network.dense_widths.tolist()): None, tuple(int(width) for width in low): None}
    for _ in range(100 * count):
        if len(found) >= count:
            break
        levels = np.clip(generator.random() + generator.choice([0.2, 0.4]) * generator.standard_normal(len(low)), 0, 1)
        wanted = low * (network.dense_widths / low) ** levels
        pairs = zip(network.groups, wanted, strict=True)
        found[tuple(min(group.widths, key=lambda width: abs(width - wish)) for group, wish in pairs)] = None
    return np.array(list(found), dtype=np.int64)


def _probe(name: str, make: Callable[[], nn.Module], size: int, seed: int, colours: int = COLOURS) -> Probe:
    """Built from its own seed; the global generator is put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make().eval()
        image = torch.randn(1, colours, size, size)
    return Probe(name, Network(model, image))
