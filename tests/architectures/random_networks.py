"""Small networks put together at random from the patterns that are known to matter."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import nn

CLASSES = 3


@dataclass(frozen=True)
class Step:
    """One block: its kind, its output channels (in units of four), its normalisation, whether it has biases."""

    kind: str
    width: int
    norm: str
    bias: bool


def normalisation(kind: str, channels: int) -> nn.Module:
    return {
        "none": nn.Identity, "batch": nn.BatchNorm2d, "instance": lambda c: nn.InstanceNorm2d(c, affine=True),
        "group": lambda c: nn.GroupNorm(4, c), "single": lambda c: nn.GroupNorm(1, c),
    }[kind](channels)  # fmt: skip


class Conv(nn.Module):
    """Convolution, normalisation, ReLU."""

    def __init__(self, inputs: int, step: Step, **options: int) -> None:
        super().__init__()
        self.outputs = step.width
        self.conv = nn.Conv2d(inputs, step.width, 3, padding=1, bias=step.bias, **options)
        self.norm = normalisation(step.norm, step.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.norm(self.conv(x)))


class Grouped(Conv):
    """The same in four groups, or in two."""

    def __init__(self, inputs: int, step: Step) -> None:
        super().__init__(inputs, step, groups=2 if step.bias else 4)


class Residual(Conv):
    """Two convolutions; a projection where the width changes."""

    def __init__(self, inputs: int, step: Step) -> None:
        super().__init__(inputs, step)
        self.second = nn.Conv2d(step.width, step.width, 3, padding=1, bias=step.bias)
        self.project = nn.Conv2d(inputs, step.width, 1) if inputs != step.width else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.project(x) + self.second(super().forward(x)))


class Depthwise(nn.Module):
    """Depthwise, then pointwise."""

    def __init__(self, inputs: int, step: Step) -> None:
        super().__init__()
        self.outputs = step.width
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=step.bias)
        self.norm, self.pointwise = normalisation(step.norm, inputs), nn.Conv2d(inputs, step.width, 1, bias=step.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.hardswish(self.pointwise(self.norm(self.depthwise(x))))


class Gated(Conv):
    """Squeeze-excitation behind a convolution."""

    def __init__(self, inputs: int, step: Step) -> None:
        super().__init__(inputs, step)
        self.squeeze, self.excite = nn.Linear(step.width, 5), nn.Linear(5, step.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = super().forward(x)
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class Concatenated(Conv):
    """A convolution beside what came in (a dense layer)."""

    def __init__(self, inputs: int, step: Step) -> None:
        super().__init__(inputs, step)
        self.outputs = inputs + step.width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, super().forward(x)], dim=1)


class Halved(Conv):
    """Chunk; one half is computed from the other (a coupling layer)."""

    def __init__(self, inputs: int, step: Step) -> None:
        super().__init__(inputs, step)
        self.inner = nn.Conv2d(step.width // 2, step.width // 2, 3, padding=1, bias=step.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = super().forward(x).chunk(2, dim=1)
        return torch.cat([left, right + torch.tanh(self.inner(left))], dim=1)


class Shuffled(Conv):
    """Channels of two groups are dealt out."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = super().forward(x)
        b, c, h, w = x.shape
        return x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)


class Attention(nn.Module):
    """Pixels attend to each other: tokens, two heads, bmm."""

    heads = 2

    def __init__(self, inputs: int, step: Step) -> None:
        super().__init__()
        self.outputs, self.dim = inputs, step.width // self.heads
        self.norm = nn.LayerNorm(inputs) if step.norm != "none" else nn.Identity()
        self.q, self.k, self.v = (nn.Linear(inputs, step.width, bias=step.bias) for _ in range(3))
        self.out = nn.Linear(step.width, inputs)

    def split(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(*x.shape[:2], -1, self.dim).transpose(1, 2).reshape(-1, x.shape[1], self.dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        q, k, v = self.split(self.q(tokens)), self.split(self.k(tokens)), self.split(self.v(tokens))
        mixed = torch.bmm(torch.softmax(torch.bmm(q, k.transpose(1, 2)), dim=-1), v)
        mixed = mixed.view(b, -1, h * w, self.dim).transpose(1, 2).flatten(2)
        return x + self.out(mixed).transpose(1, 2).reshape(b, c, h, w)


class Resized(Conv):
    """Down by pooling, up by a transposed convolution, cat with what came in."""

    def __init__(self, inputs: int, step: Step) -> None:
        super().__init__(inputs, step)
        self.outputs = inputs + step.width
        self.up = nn.ConvTranspose2d(step.width, step.width, 2, stride=2, bias=step.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.up(super().forward(F.max_pool2d(x, 2))), x], dim=1)


KINDS: dict[str, type[nn.Module]] = {
    "conv": Conv, "grouped": Grouped, "residual": Residual, "depthwise": Depthwise, "gated": Gated,
    "concatenated": Concatenated, "halved": Halved, "shuffled": Shuffled, "attention": Attention, "resized": Resized,
}  # fmt: skip


class RandomNetwork(nn.Module):
    """A stem, the steps, and a head behind flattening or behind global pooling."""

    def __init__(self, steps: list[Step], flatten: bool) -> None:
        super().__init__()
        self.stem, channels = nn.Conv2d(2, 8, 3, padding=1), 8
        self.blocks = nn.ModuleList()
        for step in steps:
            self.blocks.append(KINDS[step.kind](channels, step))
            channels = self.blocks[-1].outputs
        self.flatten = flatten
        self.hidden, self.head = nn.Linear(channels * (4 if flatten else 1), 10), nn.Linear(10, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        x = torch.flatten(F.adaptive_avg_pool2d(x, 2), 1) if self.flatten else x.mean(dim=(2, 3))
        return self.head(F.relu(self.hidden(x)))


def random_networks() -> st.SearchStrategy[RandomNetwork]:
    """Networks of one to four steps; weights are random, too, but always the same."""
    steps = st.builds(
        Step,
        kind=st.sampled_from(sorted(KINDS)),
        width=st.sampled_from([8, 12, 16]),
        norm=st.sampled_from(["none", "batch", "instance", "group", "single"]),
        bias=st.booleans(),
    )
    return st.builds(seeded, st.lists(steps, min_size=1, max_size=4), st.booleans())


def seeded(steps: list[Step], flatten: bool) -> RandomNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return RandomNetwork(steps, flatten)
