"""Transformers that read images: patches, windows, pyramids."""

from __future__ import annotations

import torch
from torch import nn

from tests.architectures.architecture import Architecture
from tests.architectures.attention import Block, ChunkedAttention, PackedAttention
from tests.architectures.examples import OUTPUT, normal


class VisionTransformer(nn.Module):
    """Patches by a convolution, class token and positions as bare parameters (Dosovitskiy et al. 2021)."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, width, 4, stride=4)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, 10, width) * 0.1)
        self.blocks = nn.Sequential(Block(PackedAttention()), Block(PackedAttention()))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


def windows(x: torch.Tensor, size: int) -> torch.Tensor:
    """``[batch, height, width, channels] -> [batch * windows, size * size, channels]``."""
    b, h, w, c = x.shape
    x = x.view(b, h // size, size, w // size, size, c)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, size * size, c)


def from_windows(x: torch.Tensor, size: int, h: int, w: int) -> torch.Tensor:
    """The inverse of :func:`windows`."""
    b = x.shape[0] // (h // size * w // size)
    x = x.view(b, h // size, w // size, size, size, -1)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(b, h, w, -1)


class WindowAttention(nn.Module):
    """Attention inside a window, with a table of biases for each head and offset (Swin, Liu et al. 2021)."""

    def __init__(self, width: int, heads: int, size: int) -> None:
        super().__init__()
        self.num_heads = heads
        self.scale = (width // heads) ** -0.5
        self.relative_position_bias_table = nn.Parameter(torch.randn((2 * size - 1) ** 2, heads))
        at = torch.stack(torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")).flatten(1)
        offsets = at[:, :, None] - at[:, None, :] + size - 1
        self.register_buffer("relative_position_index", offsets[0] * (2 * size - 1) + offsets[1])
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        bias = self.relative_position_bias_table[self.relative_position_index.view(-1)].view(n, n, -1)
        weights = (q * self.scale @ k.transpose(-2, -1) + bias.permute(2, 0, 1).unsqueeze(0)).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, c))


class WindowBlock(nn.Module):
    """Window attention, shifted by half a window where asked, and an MLP."""

    def __init__(self, width: int, heads: int, shift: int, size: int = 2) -> None:
        super().__init__()
        self.size, self.shift = size, shift
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, size)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, h, w, _ = x.shape
        y = torch.roll(self.norm1(x), shifts=(-self.shift, -self.shift), dims=(1, 2))
        y = from_windows(self.attn(windows(y, self.size)), self.size, h, w)
        x = x + torch.roll(y, shifts=(self.shift, self.shift), dims=(1, 2))
        return x + self.mlp(self.norm2(x))


class PatchMerging(nn.Module):
    """Four neighbours side by side, then half as many channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.reduction = nn.LayerNorm(4 * width), nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        corners = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        return self.reduction(self.norm(torch.cat(corners, -1)))


class Swin(nn.Module):
    """Windows, shifted windows, merged patches."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.patch_embed, self.norm = nn.Conv2d(3, width, 2, 2), nn.LayerNorm(width)
        self.stage1 = nn.Sequential(WindowBlock(width, 2, 0), WindowBlock(width, 2, 1))
        self.merge = PatchMerging(width)
        self.stage2 = nn.Sequential(WindowBlock(2 * width, 4, 0), WindowBlock(2 * width, 4, 1))
        self.last_norm, self.head = nn.LayerNorm(2 * width), nn.Linear(2 * width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.patch_embed(x).permute(0, 2, 3, 1))
        x = self.stage2(self.merge(self.stage1(x)))
        return self.head(self.last_norm(x).mean((1, 2)))


class ReducedAttention(nn.Module):
    """Keys and values of a smaller image (Pyramid Vision Transformer, Wang et al. 2021)."""

    def __init__(self, width: int, heads: int, ratio: int = 2) -> None:
        super().__init__()
        self.num_heads, self.ratio = heads, ratio
        self.q, self.kv, self.proj = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.sr, self.norm = nn.Conv2d(width, width, ratio, ratio), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, h: int, w: int) -> torch.Tensor:
        b, n, c = x.shape
        q = self.q(x).reshape(b, n, self.num_heads, c // self.num_heads).permute(0, 2, 1, 3)
        small = self.norm(self.sr(x.permute(0, 2, 1).reshape(b, c, h, w)).reshape(b, c, -1).permute(0, 2, 1))
        k, v = self.kv(small).reshape(b, -1, 2, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(b, n, c))


class MixMLP(nn.Module):
    """A depthwise convolution between the two linear layers (SegFormer, Xie et al. 2021)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dwconv = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)

    def forward(self, x: torch.Tensor, h: int, w: int) -> torch.Tensor:
        x = self.fc1(x)
        b, _, c = x.shape
        x = self.dwconv(x.transpose(1, 2).view(b, c, h, w)).flatten(2).transpose(1, 2)
        return self.fc2(nn.functional.gelu(x))


class Pyramid(nn.Module):
    """Two stages; both are read by a small decoder that segments."""

    def __init__(self) -> None:
        super().__init__()
        self.embeds = nn.ModuleList([nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 32, 3, 2, 1)])
        self.norms = nn.ModuleList([nn.LayerNorm(16), nn.LayerNorm(32)])
        self.attentions = nn.ModuleList([ReducedAttention(16, 2), ReducedAttention(32, 4)])
        self.mlps = nn.ModuleList([MixMLP(16, 32), MixMLP(32, 48)])
        self.decoders = nn.ModuleList([nn.Linear(16, 24), nn.Linear(32, 24)])
        self.fuse, self.classify = nn.Conv2d(48, 24, 1, bias=False), nn.Conv2d(24, 4, 1)
        self.bn = nn.BatchNorm2d(24)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = []
        for stage, embed in enumerate(self.embeds):
            x = embed(x)
            b, _, h, w = x.shape
            tokens = self.norms[stage](x.flatten(2).transpose(1, 2))
            tokens = tokens + self.attentions[stage](tokens, h, w)
            tokens = tokens + self.mlps[stage](tokens, h, w)
            decoded = self.decoders[stage](tokens).permute(0, 2, 1).reshape(b, -1, h, w)
            maps.append(nn.functional.interpolate(decoded, size=(8, 8), mode="bilinear", align_corners=False))
            x = tokens.transpose(1, 2).reshape(b, -1, h, w)
        return self.classify(torch.relu(self.bn(self.fuse(torch.cat(maps, dim=1)))))


class DetectionTransformer(nn.Module):
    """A convolutional backbone, ``nn.Transformer``, learned object queries, two heads (DETR, Carion et al. 2020)."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 48, 3, 2, 1), nn.ReLU()
        )
        self.conv = nn.Conv2d(48, width, 1)
        self.transformer = nn.Transformer(width, 4, 1, 1, 40)
        self.query_pos = nn.Parameter(torch.rand(7, width))
        self.row_embed = nn.Parameter(torch.rand(6, width // 2))
        self.col_embed = nn.Parameter(torch.rand(6, width // 2))
        self.linear_class, self.linear_bbox = nn.Linear(width, 5), nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        h = self.conv(self.backbone(x))
        height, width = h.shape[-2:]
        places = torch.cat(
            [
                self.col_embed[:width].unsqueeze(0).repeat(height, 1, 1),
                self.row_embed[:height].unsqueeze(1).repeat(1, width, 1),
            ],
            dim=-1,
        ).flatten(0, 1)
        queries = self.query_pos.unsqueeze(1).repeat(1, x.shape[0], 1)
        h = self.transformer(places.unsqueeze(1) + 0.1 * h.flatten(2).permute(2, 0, 1), queries).transpose(0, 1)
        return {"logits": self.linear_class(h), "boxes": self.linear_bbox(h).sigmoid()}


class ImageTextModel(nn.Module):
    """Two towers, outputs of unit length, a learned temperature (CLIP, Radford et al. 2021)."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.image_block, self.image_norm = Block(ChunkedAttention()), nn.LayerNorm(width)
        self.tokens, self.text_block = nn.Embedding(50, width), Block(ChunkedAttention())
        self.image_projection = nn.Parameter(torch.randn(width, 24) * width**-0.5)
        self.text_projection = nn.Parameter(torch.randn(width, 24) * width**-0.5)
        self.logit_scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, image: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        image = self.image_block(self.patches(image).flatten(2).transpose(1, 2))
        image = self.image_norm(image).mean(1) @ self.image_projection
        text = self.text_block(self.tokens(ids))[torch.arange(ids.shape[0]), ids.argmax(-1)] @ self.text_projection
        image = image / image.norm(dim=-1, keepdim=True)
        text = text / text.norm(dim=-1, keepdim=True)
        return self.logit_scale.exp() * (image * text).sum(-1, keepdim=True)


def image() -> tuple[torch.Tensor]:
    return (normal(2, 3, 12, 12),)


ARCHITECTURES = [
    Architecture(
        "vision-transformer",
        "patches by convolution, bare class token",
        VisionTransformer,
        image,
        groups=5,
        whole={"head": OUTPUT},
    ),
    Architecture("swin", "windows, table of biases, merged patches", Swin, lambda: (normal(2, 3, 8, 8),)),
    Architecture(
        "pyramid-transformer", "reduced keys, depthwise MLP (SegFormer)", Pyramid, lambda: (normal(2, 3, 16, 16),)
    ),
    Architecture(
        "detection-transformer",
        "object queries, two heads (DETR)",
        DetectionTransformer,
        image,
        groups=9,
        whole={"linear_class": OUTPUT, "linear_bbox": OUTPUT},
    ),
    Architecture(
        "image-text",
        "two towers, unit length (CLIP)",
        ImageTextModel,
        lambda: (normal(2, 3, 12, 12), torch.tensor([[3, 7, 49, 0, 0, 0], [8, 1, 2, 4, 49, 0]])),
        groups=7,
    ),
]
