"""Pixels as channels, codes as images, bare parameters, operations in place, functions with their own gradients."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tests.architectures.architecture import Architecture
from tests.architectures.examples import normal
from tests.architectures.plain import CLASSES, FIXED, OUTPUT, images


class SuperResolution(nn.Module):
    """Sub-pixel convolution over an upsampled image (Shi et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 24, 5, padding=2), nn.Conv2d(24, 16, 3, padding=1)
        self.grow, self.last = nn.Conv2d(16, 12 * 4, 3, padding=1), nn.Conv2d(12, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.leaky_relu(self.conv2(F.gelu(self.conv1(x))), 0.1)
        y = F.pixel_shuffle(self.grow(y), 2)
        return self.last(F.relu(y)) + F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False)


class PixelUnshuffle(nn.Module):
    """Space becomes channels, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(32, 24, 3, padding=1)
        self.down, self.up, self.out = nn.PixelUnshuffle(2), nn.PixelShuffle(2), nn.Conv2d(6, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - self.out(F.relu(self.up(F.relu(self.conv2(self.down(F.relu(self.conv1(x))))))))


class Generator(nn.Module):
    """From a code to an image: a linear layer, ``view``, transposed convolutions (Radford et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.init_size, self.width = 2, 16
        self.l1 = nn.Sequential(nn.Linear(10, 16 * self.init_size**2))
        self.blocks = nn.Sequential(
            nn.BatchNorm2d(16), nn.ConvTranspose2d(16, 12, 4, 2, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU(True),
            nn.ConvTranspose2d(12, 8, 4, 2, 1, groups=2), nn.ReLU(True), nn.Conv2d(8, 3, 3, padding=1), nn.Tanh(),
        )  # fmt: skip

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        out = self.l1(z)
        return self.blocks(out.view(out.shape[0], self.width, self.init_size, self.init_size))


class VariationalAutoencoder(nn.Module):
    """A code with mean and variance (Kingma and Welling 2014); the decoder's channels stand in its code as a number."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU())
        self.fc_mu, self.fc_var = nn.Linear(48, 10), nn.Linear(48, 10)
        self.decoder_input = nn.Linear(10, 48)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(12, 8, 3, 2, 1, 1), nn.LeakyReLU(), nn.ConvTranspose2d(8, 1, 3, 2, 1, 1), nn.Sigmoid()
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        encoded = torch.flatten(self.encoder(x), start_dim=1)
        mu, log_var = self.fc_mu(encoded), self.fc_var(encoded)
        z = torch.randn_like(mu) * torch.exp(0.5 * log_var) + mu if self.training else mu
        return [self.decoder(self.decoder_input(z).view(-1, 12, 2, 2)), mu, log_var]


class BareParameters(nn.Module):
    """A scale for each channel, a bias for each position and channel, channels of coordinates (CoordConv)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(18, 20, 3, padding=1)
        self.scale = nn.Parameter(torch.rand(16, 1, 1))
        self.position = nn.Parameter(torch.randn(1, 16, 8, 8))
        self.register_buffer("mean", torch.full((20,), 0.1))
        self.weight, self.bias = nn.Parameter(torch.randn(CLASSES, 20) / 5), nn.Parameter(torch.zeros(CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.conv1(x) * self.scale + self.position)
        line = torch.linspace(-1, 1, x.shape[2], device=x.device)
        rows, columns = torch.meshgrid(line, line, indexing="ij")
        x = torch.cat([x, torch.stack([rows, columns]).expand(x.shape[0], -1, -1, -1)], dim=1)
        x = F.relu(self.conv2(x)).mean((2, 3)) - self.mean
        return F.linear(x, self.weight, self.bias)


class InPlace(nn.Module):
    """Everything that can be is done in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.conv3, self.gate = nn.Conv2d(16, 24, 3, padding=1), nn.Conv2d(16, 24, 1)
        self.prelu, self.head = nn.PReLU(24), nn.Linear(24, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv1(x).relu_()
        y = self.conv2(x).mul_(0.5)
        y += x
        y.add_(x, alpha=0.1).clamp_(-3, 3)
        z = self.prelu(self.conv3(y))
        z *= self.gate(y).sigmoid_()
        return self.head(torch.nn.functional.dropout(z.amax((2, 3)), 0.5, self.training))


class Sign(torch.autograd.Function):
    """The sign, with the gradient of the identity between -1 and 1 (Bengio et al. 2013)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return torch.sign(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        return gradients[0] * (x.abs() <= 1)


class Swish(torch.autograd.Function):
    """x sigmoid(x), keeping only x for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        gate = torch.sigmoid(x)
        return gradients[0] * gate * (1 + x * (1 - gate))


class OwnGradients(nn.Module):
    """Functions with gradients of their own between the layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(3, 20, 3, stride=2), nn.BatchNorm2d(20)
        self.conv2, self.fc1, self.fc2 = nn.Conv2d(20, 16, 3), nn.Linear(16, 24), nn.Linear(24, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = Swish.apply(self.norm(self.conv1(x)))
        x = Sign.apply(self.conv2(x)).flatten(1)
        return self.fc2(Swish.apply(self.fc1(x)))


HEAD = {"head": OUTPUT}

ARCHITECTURES = [
    Architecture("super-resolution", "pixel shuffle, bicubic shortcut", SuperResolution, lambda: images(size=8),
                 {"last": FIXED}, groups=3),
    Architecture("pixel-unshuffle", "space to channels and back", PixelUnshuffle, lambda: images(size=8),
                 {"out": FIXED}, groups=2),
    Architecture("generator", "a linear layer viewed as an image, grouped transposed convolution", Generator,
                 lambda: (normal(2, 10),), {"blocks.6": OUTPUT}, groups=3),
    Architecture("autoencoder", "flatten, code with mean and variance, view, transposed convolutions",
                 VariationalAutoencoder, lambda: images(1, 8),
                 {"fc_mu": OUTPUT, "fc_var": OUTPUT, "decoder.2": "one channel only", "decoder_input": "fails"},
                 groups=3),
    Architecture("bare-parameters", "bare scale and positional bias, coordinates, functional linear", BareParameters,
                 lambda: images(size=8), {"weight": OUTPUT}, groups=2),
    Architecture("in-place", "+=, mul_, relu_, PReLU for each channel", InPlace, lambda: images(size=8), HEAD,
                 groups=2),
    Architecture("own-gradients", "custom autograd functions: straight-through sign, swish", OwnGradients,
                 lambda: images(size=8), {"fc2": OUTPUT}, groups=3),
]  # fmt: skip
