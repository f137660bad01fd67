"""Convolutional networks whose channels are scaled, weighed or mixed by what they hold."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.architectures.architecture import Architecture
from tests.architectures.plain import CLASSES, FIXED, OUTPUT, images


class Frame(nn.Module):
    """A convolution, what is shown, another convolution, classes."""

    def __init__(self, shown: nn.Module, channels: int = 24, behind: int | None = None) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, channels, 3, 2, 1, bias=False), nn.BatchNorm2d(channels)
        self.shown = shown
        self.conv = nn.Conv2d(behind or channels, 20, 3, padding=1)
        self.head = nn.Linear(20, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.shown(F.relu(self.norm(self.stem(x))))
        return self.head(F.relu(self.conv(x)).mean((2, 3)))


class FunctionalGate(nn.Module):
    """Squeeze-excitation by linear layers and ``view`` (Hu et al. 2018)."""

    def __init__(self, channels: int = 24, reduction: int = 4) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // reduction, bias=False), nn.ReLU(inplace=True),
            nn.Linear(channels // reduction, channels, bias=False), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, _, _ = x.size()
        y = self.avg_pool(x).view(b, c)
        y = self.fc(y).view(b, c, 1, 1)
        return x * y.expand_as(x)


class ConvolutionalAttention(nn.Module):
    """A gate for channels, then one for positions from the channels' mean and maximum (CBAM, Woo et al. 2018)."""

    def __init__(self, channels: int = 24) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Flatten(), nn.Linear(channels, 6), nn.ReLU(), nn.Linear(6, channels))
        self.spatial = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        average = F.avg_pool2d(x, (x.size(2), x.size(3)), stride=(x.size(2), x.size(3)))
        largest = F.max_pool2d(x, (x.size(2), x.size(3)), stride=(x.size(2), x.size(3)))
        x = x * torch.sigmoid(self.mlp(average) + self.mlp(largest)).unsqueeze(2).unsqueeze(3).expand_as(x)
        both = torch.cat((torch.max(x, 1)[0].unsqueeze(1), torch.mean(x, 1).unsqueeze(1)), dim=1)
        return x * torch.sigmoid(self.spatial(both))


class EfficientAttention(nn.Module):
    """A 1-D convolution along the channels (ECA, Wang et al. 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.adaptive_avg_pool2d(x, 1)
        y = self.conv(y.squeeze(-1).transpose(-1, -2)).transpose(-1, -2).unsqueeze(-1)
        return x * torch.sigmoid(y).expand_as(x)


class SelectiveKernel(nn.Module):
    """Channels choose between kernels by a softmax over branches (Li et al. 2019)."""

    def __init__(self, channels: int = 24) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels, 3, padding=d, dilation=d, bias=False), nn.BatchNorm2d(channels))
            for d in (1, 2)
        )
        self.fc = nn.Linear(channels, 8)
        self.fcs = nn.ModuleList(nn.Linear(8, channels) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = torch.stack([F.relu(conv(x)) for conv in self.convs], dim=1)
        z = F.relu(self.fc(features.sum(1).mean(-1).mean(-1)))
        attention = torch.stack([fc(z) for fc in self.fcs], dim=1).softmax(1)
        return (features * attention.unsqueeze(-1).unsqueeze(-1)).sum(dim=1)


class NonLocal(nn.Module):
    """Attention between positions (Wang et al. 2018), with the zero-initialised scale of SAGAN."""

    def __init__(self, channels: int = 24) -> None:
        super().__init__()
        self.query, self.key = nn.Conv2d(channels, 6, 1), nn.Conv2d(channels, 6, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, height, width = x.size()
        query = self.query(x).view(b, -1, height * width).permute(0, 2, 1)
        key = self.key(x).view(b, -1, height * width)
        attention = torch.softmax(torch.bmm(query, key), dim=-1)
        value = self.value(x).view(b, -1, height * width)
        return self.gamma * torch.bmm(value, attention.permute(0, 2, 1)).view(b, c, height, width) + x


class CoordinateAttention(nn.Module):
    """Gates along each axis from means along the other (Hou et al. 2021)."""

    def __init__(self, channels: int = 24) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, 8, 1), nn.BatchNorm2d(8)
        self.conv_h, self.conv_w = nn.Conv2d(8, channels, 1), nn.Conv2d(8, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[2:]
        rows, columns = x.mean(3, keepdim=True), x.mean(2, keepdim=True).permute(0, 1, 3, 2)
        y = F.hardswish(self.bn1(self.conv1(torch.cat([rows, columns], dim=2))))
        rows, columns = torch.split(y, [height, width], dim=2)
        return x * self.conv_h(rows).sigmoid() * self.conv_w(columns.permute(0, 1, 3, 2)).sigmoid()


class GatedConvolution(nn.Module):
    """Half of the outputs gate the other half (Dauphin et al. 2017)."""

    def __init__(self, channels: int = 24, outputs: int = 16) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * outputs, 3, padding=1)
        self.back = nn.Conv2d(outputs, 2 * channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x1, x2 = self.back(F.glu(self.conv(x), dim=1)).chunk(2, dim=1)
        return x + x1 * torch.tanh(x2)


class Maxout(nn.Module):
    """Each channel is the largest of two (Goodfellow et al. 2013)."""

    def __init__(self, channels: int = 24, outputs: int = 16, pieces: int = 2) -> None:
        super().__init__()
        self.conv, self.pieces = nn.Conv2d(channels, outputs * pieces, 3, padding=1), pieces

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        x = x.view(x.size(0), x.size(1) // self.pieces, self.pieces, *x.shape[2:])
        return x.max(dim=2).values


class BilinearPooling(nn.Module):
    """Products of all pairs of channels (Lin et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 12, 3, padding=1)
        self.fc = nn.Linear(12 * 12, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.conv2(F.relu(self.conv1(x)))).flatten(2)
        pairs = torch.bmm(x, x.transpose(1, 2)) / x.shape[2]
        return self.fc(F.normalize(pairs.flatten(1).clamp(min=1e-6).sqrt()))


class Mixer(nn.Module):
    """Tokens are mixed by a network along positions, then channels (Tolstikhin et al. 2021)."""

    def __init__(self, width: int = 24, tokens: int = 16) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.norm1, self.norm2, self.norm = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.tokens = nn.Sequential(nn.Linear(tokens, 12), nn.GELU(), nn.Linear(12, tokens))
        self.channels = nn.Sequential(nn.Linear(width, 40), nn.GELU(), nn.Linear(40, width))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.channels(self.norm2(x))
        return self.head(self.norm(x).mean(dim=1))


def framed(
    name: str, pattern: str, shown: type[nn.Module], groups: int, behind: int | None = None, **whole: str
) -> Architecture:
    def build() -> nn.Module:
        return Frame(shown(), behind=behind)

    stays = {"head": OUTPUT} | {f"shown.{layer}": reason for layer, reason in whole.items()}
    return Architecture(name, pattern, build, lambda: images(size=8), stays, groups)


ARCHITECTURES = [
    framed("squeeze-excitation", "gates by functional operations, view, expand_as", FunctionalGate, 3),
    framed("cbam", "gates from mean and maximum over channels and positions", ConvolutionalAttention, 3,
           spatial="one channel only"),
    Architecture("eca", "a convolution along the channels", lambda: Frame(EfficientAttention()), lambda: images(size=8),
                 {"head": OUTPUT, "stem": "convolves along its channels", "shown.conv": "one channel only"}, groups=1),
    framed("selective-kernel", "softmax over stacked branches", SelectiveKernel, 4),
    framed("non-local", "attention between positions by bmm, residual", NonLocal, 3),
    framed("coordinate-attention", "means along rows and columns, concatenated in space", CoordinateAttention, 3),
    framed("glu", "F.glu, chunked gates", GatedConvolution, 3),
    framed("maxout", "view into pieces, maximum over them", Maxout, 3, behind=16),
    Architecture("bilinear-pooling", "products of all pairs of channels, flattened", BilinearPooling,
                 lambda: images(size=8), {"fc": OUTPUT, "conv2": "merges it with another dimension"}, groups=1),
    Architecture("mlp-mixer", "a network along positions, transposed", Mixer, images,
                 {"head": OUTPUT, "tokens.2": FIXED}, groups=3),
]  # fmt: skip
