"""Small networks that have in them what pruning must get right."""

from __future__ import annotations

import torch
from torch import nn


class ResidualBlock(nn.Module):
    """Two convolutions and a shortcut: identity where shapes agree, else a projection."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class Residual(nn.Module):
    """Identity and projection shortcuts, then a linear layer behind global pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, 1, 1)
        self.block1 = ResidualBlock(8, 8, 1)
        self.block2 = ResidualBlock(8, 16, 2)
        self.head = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.block2(self.block1(torch.relu(self.stem(x))))
        return self.head(x.mean((2, 3)))


class Depthwise(nn.Module):
    """A depthwise convolution between two pointwise ones; flattened into a hidden linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Conv2d(1, 16, 1)
        self.depthwise = nn.Conv2d(16, 16, 3, 1, 1, groups=16, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.project = nn.Conv2d(16, 8, 1)
        self.hidden = nn.Linear(8 * 4 * 4, 32)
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.relu6(self.norm(self.depthwise(torch.relu(self.expand(x)))))
        x = nn.functional.max_pool2d(torch.relu(self.project(x)), 2)
        return self.head(torch.relu(self.hidden(torch.flatten(x, 1))))


class Concat(nn.Module):
    """Two branches of different width that are concatenated; a transposed convolution; 1 x 3 kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(1, 8, 3, padding=1)
        self.right = nn.Conv2d(1, 16, (1, 3), padding=(0, 1))
        self.mix = nn.Conv2d(24, 16, 3, stride=2, padding=1, dilation=1)
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.out = nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        both = torch.cat([torch.relu(self.left(x)), torch.tanh(self.right(x))], dim=1)
        return self.out(torch.relu(self.up(torch.relu(self.mix(both))))).mean((2, 3))


class Dense(nn.Module):
    """Linear layers only, the first two called on sequences."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 24)
        self.second = nn.Linear(24, 16)
        self.last = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.second(torch.relu(self.first(x.flatten(1, 2))))).mean(1))


MODELS: dict[str, type[nn.Module]] = {
    "residual": Residual, "depthwise": Depthwise, "concat": Concat, "dense": Dense,
}  # fmt: skip


def build(name: str, seed: int = 0) -> nn.Module:
    """A network with random weights and BatchNorm statistics that are not those of a new layer."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MODELS[name]()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
                nn.init.uniform_(module.weight, 0.5, 1.5)
    return model.eval()


def images(count: int, seed: int = 0) -> torch.Tensor:
    """``[count, 1, 8, 8]`` smooth random images."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 1, 4, 4, generator=generator)
    return nn.functional.interpolate(coarse, size=8, mode="bilinear") + 0.1 * torch.randn(
        count, 1, 8, 8, generator=generator
    )
