"""Networks whose channels are concatenated, split, skipped over, or shared between several paths."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.architectures.architecture import Architecture
from tests.architectures.examples import normal
from tests.architectures.plain import CLASSES, OUTPUT, images


class DenseNet(nn.Module):
    """Every layer reads all before it (Huang et al. 2017)."""

    def __init__(self, growth: int = 8) -> None:
        super().__init__()
        self.conv0, channels = nn.Conv2d(3, 12, 3, padding=1, bias=False), 12
        self.layers = nn.ModuleList()
        for _ in range(3):
            self.layers.append(self._layer(channels, growth))
            channels += growth
        self.norm, self.transition = nn.BatchNorm2d(channels), nn.Conv2d(channels, 20, 1, bias=False)
        self.classifier = nn.Linear(20, CLASSES)

    def _layer(self, channels: int, growth: int) -> nn.Sequential:
        return nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, growth, 3, padding=1, bias=False),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = [self.conv0(x)]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        x = F.avg_pool2d(self.transition(F.relu(self.norm(torch.cat(features, 1)))), 2)
        return self.classifier(F.relu(x).mean((2, 3)))


class Inception(nn.Module):
    """Four branches of different kernels (GoogLeNet, Szegedy et al. 2015)."""

    def __init__(self, inputs: int, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.branch1 = nn.Conv2d(inputs, widths[0], 1)
        self.branch2 = nn.Sequential(nn.Conv2d(inputs, 8, 1), nn.ReLU(), nn.Conv2d(8, widths[1], 3, padding=1))
        self.branch3 = nn.Sequential(nn.Conv2d(inputs, 6, 1), nn.ReLU(), nn.Conv2d(6, widths[2], 5, padding=2))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(inputs, widths[3], 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1))


class Fire(nn.Module):
    """Squeeze, then expand in two ways (SqueezeNet, Iandola et al. 2016)."""

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1, self.expand3x3 = nn.Conv2d(squeezed, expanded, 1), nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)


class PartialBlock(nn.Module):
    """Half of the channels pass, the rest go through residual steps that are all kept (C2f in YOLOv8)."""

    def __init__(self, inputs: int, outputs: int, hidden: int, steps: int = 2) -> None:
        super().__init__()
        self.c = hidden
        self.cv1, self.cv2 = nn.Conv2d(inputs, 2 * hidden, 1), nn.Conv2d((2 + steps) * hidden, outputs, 1)
        self.m = nn.ModuleList(
            nn.Sequential(nn.Conv2d(hidden, hidden, 3, 1, 1, bias=False), nn.BatchNorm2d(hidden), nn.SiLU())
            for _ in range(steps)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = list(self.cv1(x).chunk(2, 1))
        for m in self.m:
            y.append(y[-1] + m(y[-1]))
        return F.silu(self.cv2(torch.cat(y, 1)))


class PyramidPooling(nn.Module):
    """The same channels at several scales, concatenated (PSPNet, Zhao et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        self.stages = nn.ModuleList(nn.Conv2d(16, 8, 1, bias=False) for _ in range(2))
        self.classify = nn.Sequential(nn.Conv2d(32, 24, 3, padding=1), nn.PReLU(), nn.Conv2d(24, 4, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x))
        out = [x]
        for size, stage in zip((1, 2), self.stages, strict=True):
            pooled = F.relu(stage(F.adaptive_avg_pool2d(x, size)))
            out.append(F.interpolate(pooled, x.shape[2:], mode="bilinear", align_corners=True))
        return self.classify(torch.cat(out, dim=1))


class DoubleConv(nn.Sequential):
    """Two convolutions of a U-Net."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True),
        )  # fmt: skip


class UNet(nn.Module):
    """Down, up by transposed convolutions, skips by concatenation (Ronneberger et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.inc, self.down1, self.down2 = DoubleConv(1, 8), DoubleConv(8, 16), DoubleConv(16, 24)
        self.up1, self.conv1 = nn.ConvTranspose2d(24, 12, 2, stride=2), DoubleConv(28, 16)
        self.up2, self.conv2 = nn.ConvTranspose2d(16, 10, 2, stride=2, bias=False), DoubleConv(18, 8)
        self.outc = nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.inc(x)
        second = self.down1(F.max_pool2d(first, 2))
        x = self.up1(self.down2(F.max_pool2d(second, 2)))
        x = self.conv1(torch.cat([second, x], dim=1))
        x = self.up2(x)
        missing = first.size(2) - x.size(2), first.size(3) - x.size(3)
        x = F.pad(x, [missing[1] // 2, missing[1] - missing[1] // 2, missing[0] // 2, missing[0] - missing[0] // 2])
        return self.outc(self.conv2(torch.cat([first, x], dim=1)))


class FeaturePyramid(nn.Module):
    """Lateral sums from coarse to fine, several outputs by name (Lin et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.c2, self.c3, self.c4 = nn.Conv2d(3, 12, 3, 2, 1), nn.Conv2d(12, 20, 3, 2, 1), nn.Conv2d(20, 28, 3, 2, 1)
        self.inner_blocks = nn.ModuleList(nn.Conv2d(width, 16, 1) for width in (12, 20, 28))
        self.layer_blocks = nn.ModuleList(nn.Conv2d(16, 8, 3, padding=1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        features = [torch.relu(self.c2(x))]
        features.append(torch.relu(self.c3(features[-1])))
        features.append(torch.relu(self.c4(features[-1])))
        last = self.inner_blocks[-1](features[-1])
        results = {"p4": self.layer_blocks[-1](last)}
        for index in (1, 0):
            lateral = self.inner_blocks[index](features[index])
            last = lateral + F.interpolate(last, size=lateral.shape[-2:], mode="nearest")
            results[f"p{index + 2}"] = self.layer_blocks[index](last)
        return results


class SharedHead(nn.Module):
    """One detection head on two scales, which therefore have the same channels (RetinaNet, Lin et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 16, 3, 2, 1)
        self.head = nn.Sequential(nn.Conv2d(16, 20, 3, padding=1), nn.ReLU(), nn.Conv2d(20, 12, 3, padding=1))
        self.boxes, self.scores = nn.Conv2d(12, 4, 1), nn.Conv2d(12, 3, 1)

    def forward(self, x: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        fine = F.relu(self.stem(x))
        both = [self.head(fine), self.head(F.relu(self.down(fine)))]
        scores = [self.scores(y).permute(0, 2, 3, 1).reshape(x.shape[0], -1, 3) for y in both]
        return [self.boxes(y) for y in both], torch.cat(scores, dim=1).sigmoid()


class Siamese(nn.Module):
    """One encoder, two inputs, the distance of what it says (Koch et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 12, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 16, 3), nn.ReLU(), nn.Flatten(),
            nn.Linear(16 * 5 * 5, 24), nn.Sigmoid(),
        )  # fmt: skip
        self.out = nn.Linear(24, 1)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return self.out(torch.abs(self.encoder(left) - self.encoder(right)))


class ImageAndNumbers(nn.Module):
    """An image, flattened, beside a row of numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, stride=2)
        self.numbers = nn.Linear(6, 20)
        self.join, self.head = nn.Linear(12 * 9 + 20, 32), nn.Linear(32, CLASSES)

    def forward(self, image: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        seen = F.relu(self.conv(image)).flatten(1)
        return self.head(F.relu(self.join(torch.cat((seen, torch.tanh(self.numbers(numbers))), dim=1))))


class Conditioned(nn.Module):
    """A condition scales and shifts the channels (FiLM, Perez et al. 2018); keyword arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16, affine=False)
        self.film = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 32))
        self.conv2, self.head = nn.Conv2d(16, 20, 3, padding=1), nn.Linear(20, CLASSES)

    def forward(self, pixels: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        x = self.norm(self.conv1(pixels))
        if condition is not None:
            gamma, beta = self.film(condition).chunk(2, dim=1)
            x = (1 + gamma[:, :, None, None]) * x + beta[:, :, None, None]
        return self.head(F.relu(self.conv2(F.relu(x))).amax(dim=(2, 3)))


def googlenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), Inception(16, (8, 12, 4, 6)), nn.MaxPool2d(2), Inception(30, (6, 10, 4, 4)),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, CLASSES),
    )  # fmt: skip


def squeezenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.MaxPool2d(2), Fire(16, 8, 12), Fire(24, 6, 16), nn.Conv2d(32, CLASSES, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


def partial() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), PartialBlock(16, 24, 12), PartialBlock(24, 20, 8, 1), nn.AdaptiveMaxPool2d(2),
        nn.Flatten(), nn.Linear(80, CLASSES),
    )  # fmt: skip


def two_images() -> tuple[torch.Tensor, torch.Tensor]:
    return normal(2, 1, 16, 16), normal(2, 1, 16, 16, seed=1)


ARCHITECTURES = [
    Architecture("densenet", "every layer reads all before it", DenseNet, lambda: images(size=8),
                 {"classifier": OUTPUT}, groups=8),
    Architecture("inception", "four branches of different widths, concatenated", googlenet, images, {"6": OUTPUT},
                 groups=13),
    Architecture("squeezenet", "squeeze, expand in two ways", squeezenet, images, {"5": OUTPUT}, groups=7),
    Architecture("c2f", "chunk, residual steps, concat of all of them", partial, images, {"5": OUTPUT}, groups=5),
    Architecture("pyramid-pooling", "pooled at several scales, resized, concatenated", PyramidPooling, images,
                 {"classify.2": OUTPUT}, groups=4),
    Architecture("unet", "transposed convolutions, skips by concatenation", UNet, lambda: images(1),
                 {"outc": OUTPUT}, groups=12),
    Architecture("feature-pyramid", "lateral sums, several outputs by name", FeaturePyramid, images,
                 {f"layer_blocks.{n}": OUTPUT for n in range(3)}, groups=4),
    Architecture("shared-head", "one head on two scales, nested outputs", SharedHead, images,
                 {"boxes": OUTPUT, "scores": OUTPUT}, groups=3),
    Architecture("siamese", "one encoder called twice, difference of its answers", Siamese, two_images,
                 {"out": "one channel only"}, groups=3),
    Architecture("image-and-numbers", "two inputs, joined after flattening", ImageAndNumbers,
                 lambda: (normal(2, 3, 8, 8), normal(2, 6)), {"head": OUTPUT}, groups=3),
    Architecture("conditioned", "keyword inputs, scale and shift of channels from a condition", Conditioned,
                 lambda: {"pixels": normal(2, 3, 8, 8), "condition": normal(2, 6)}, {"head": OUTPUT}, groups=3),
]  # fmt: skip
