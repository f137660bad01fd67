"""Chains of convolutions and linear layers, in one, two and three dimensions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.architectures.architecture import Architecture
from tests.architectures.examples import normal

CLASSES = 5
OUTPUT = "its channels are an output of the network"
FIXED = "combines its channels with others that cannot be removed"


def images(channels: int = 3, size: int = 16) -> tuple[torch.Tensor]:
    """``[2, channels, size, size]``."""
    return (normal(2, channels, size, size),)


class VGG(nn.Module):
    """A feature extractor, flattened into linear layers (Simonyan and Zisserman 2015)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for width in (16, 24, 0, 32, 40, 0):
            if width:
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
                inputs = width
            else:
                layers += [nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(2)
        self.classifier = nn.Sequential(
            nn.Linear(40 * 2 * 2, 48), nn.ReLU(True), nn.Dropout(), nn.Linear(48, 32), nn.ReLU(True),
            nn.Linear(32, CLASSES),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))


class LeNet(nn.Module):
    """Functional pooling and ``view(-1, channels * height * width)``: two numbers in one literal."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 16, 3)
        self.fc1, self.fc2, self.fc3 = nn.Linear(16 * 2 * 2, 30), nn.Linear(30, 20), nn.Linear(20, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), (2, 2))
        x = x.view(x.size(0), -1)
        return self.fc3(torch.tanh(self.fc2(F.leaky_relu(self.fc1(x), 0.2))))


def sequential() -> nn.Module:
    """``nn.Sequential`` only."""
    return nn.Sequential(
        nn.Conv2d(3, 20, 3, stride=2), nn.ELU(), nn.ZeroPad2d(1), nn.Conv2d(20, 28, 3, bias=False),
        nn.BatchNorm2d(28), nn.SiLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(28 * 3 * 3, 36),
        nn.Softplus(), nn.Linear(36, CLASSES),
    )  # fmt: skip


def normalised_layers() -> nn.Module:
    """Linear layers with BatchNorm behind them, one without scale."""
    return nn.Sequential(
        nn.Linear(12, 40, bias=False), nn.BatchNorm1d(40), nn.ReLU(), nn.Linear(40, 24), nn.Tanh(),
        nn.BatchNorm1d(24, affine=False), nn.Linear(24, 16), nn.Hardtanh(), nn.Linear(16, CLASSES),
    )  # fmt: skip


class NetworkInNetwork(nn.Module):
    """No linear layer: the last convolution's channels are the classes (Lin et al. 2014)."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            nn.Conv2d(3, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, 12, 1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 20, 3, padding=1), nn.ReLU(), nn.Conv2d(20, CLASSES, 1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.adaptive_avg_pool2d(self.blocks(x), 1).squeeze(-1).squeeze(-1)


class TemporalBlock(nn.Module):
    """Two dilated causal convolutions that cut off what looks ahead (Bai et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        self.chomp = 2 * dilation
        self.conv1 = nn.Conv1d(inputs, outputs, 3, padding=self.chomp, dilation=dilation)
        self.conv2 = nn.Conv1d(outputs, outputs, 3, padding=self.chomp, dilation=dilation)
        self.downsample = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = torch.relu(self.conv1(x)[:, :, : -self.chomp].contiguous())
        out = torch.relu(self.conv2(out)[:, :, : -self.chomp].contiguous())
        return torch.relu(out + (x if self.downsample is None else self.downsample(x)))


class TemporalConvolutions(nn.Module):
    """A stack of them; the last time step is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(TemporalBlock(2, 16, 1), TemporalBlock(16, 24, 2), TemporalBlock(24, 24, 4))
        self.head = nn.Linear(24, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(x)[:, :, -1])


class Waveform(nn.Module):
    """Strided convolutions over raw sound (M5, Dai et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv1d(1, 16, 8, stride=4), nn.BatchNorm1d(16)
        self.conv2, self.bn2 = nn.Conv1d(16, 32, 3), nn.BatchNorm1d(32)
        self.pool = nn.MaxPool1d(2)
        self.fc = nn.Linear(32, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        x = self.pool(F.relu(self.bn2(self.conv2(x))))
        x = F.avg_pool1d(x, x.shape[-1]).permute(0, 2, 1)
        return F.log_softmax(self.fc(x), dim=2)


class Volumes(nn.Module):
    """Factored 3-D convolutions: space, then time (Tran et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv3d(1, 12, (1, 3, 3), padding=(0, 1, 1), bias=False)
        self.norm = nn.BatchNorm3d(12)
        self.space = nn.Conv3d(12, 20, (1, 3, 3), padding=(0, 1, 1))
        self.time = nn.Conv3d(20, 12, (3, 1, 1), padding=(1, 0, 0))
        self.pool, self.head = nn.AdaptiveAvgPool3d((1, 2, 1)), nn.Linear(24, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool3d(torch.relu(self.norm(self.stem(x))), (1, 2, 2))
        x = x + self.time(torch.relu(self.space(x)))
        return self.head(self.pool(x).flatten(1))


class PointNet(nn.Module):
    """The same layers for every point, the maximum over points, a learned rotation (Qi et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial = nn.Sequential(nn.Conv1d(3, 16, 1), nn.ReLU(), nn.Conv1d(16, 24, 1))
        self.rotation = nn.Linear(24, 9)
        self.conv1, self.bn1 = nn.Conv1d(3, 16, 1), nn.BatchNorm1d(16)
        self.conv2, self.bn2 = nn.Conv1d(16, 32, 1), nn.BatchNorm1d(32)
        self.segment = nn.Conv1d(16 + 32, 4, 1)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        count = points.shape[2]
        turn = self.rotation(torch.max(self.spatial(points), 2)[0]).view(-1, 3, 3) + torch.eye(3)
        x = torch.bmm(points.transpose(2, 1), turn).transpose(2, 1)
        near = F.relu(self.bn1(self.conv1(x)))
        far = torch.max(self.bn2(self.conv2(near)), 2, keepdim=True)[0]
        return self.segment(torch.cat([far.repeat(1, 1, count), near], 1))


def waves(channels: int = 1) -> tuple[torch.Tensor]:
    return (normal(2, channels, 96),)


ARCHITECTURES = [
    Architecture("vgg", "chain, BatchNorm, flattened into linear layers", VGG, images,
                 {"classifier.5": OUTPUT}, groups=6),
    Architecture("lenet", "functional pooling, view(batch, -1)", LeNet, lambda: images(1), {"fc3": OUTPUT}, groups=4),
    Architecture("sequential", "nn.Sequential only, strides, Flatten", sequential, images, {"10": OUTPUT}, groups=3),
    Architecture("batch-norm-linear", "BatchNorm1d behind linear layers, one without scale", normalised_layers,
                 lambda: (normal(2, 12),), {"8": OUTPUT}, groups=3),
    Architecture("network-in-network", "classes by global pooling, no linear layer", NetworkInNetwork, images,
                 {"blocks.7": OUTPUT}, groups=3),
    Architecture("temporal-convolutions", "1-D, dilated, causal, residual", TemporalConvolutions, lambda: waves(2),
                 {"head": OUTPUT}, groups=5),
    Architecture("waveform", "1-D, strided, BatchNorm", Waveform, waves,
                 {"fc": "log_softmax in the network mixes its channels"}, groups=2),
    Architecture("volumes", "3-D, factored in space and time, residual", Volumes, lambda: (normal(2, 1, 4, 8, 8),),
                 {"head": OUTPUT}, groups=2),
    Architecture("point-net", "1 x 1 convolutions, maximum over points, learned rotation by bmm", PointNet,
                 lambda: (normal(2, 3, 10),), {"segment": OUTPUT, "rotation": FIXED}, groups=4),
]  # fmt: skip
