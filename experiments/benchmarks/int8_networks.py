"""Networks with random weights for timing: dense layers, and transformers."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn

from rlprune.networks.network import Network

UNTRAINED = {"dense 784-64-10": (784, 64, 10), "mlp 784-1024-1024-10": (784, 1024, 1024, 10), "encoder": (), "vit": ()}
"""Name -> widths, where it is made of linear layers only."""
WIDTH, DEPTH, HEADS, TOKENS, PATCH = 128, 4, 4, 64, 7


def network_named(name: str) -> Network:
    """One of ``UNTRAINED``, its weights drawn from seed 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if widths := UNTRAINED[name]:
            return Network(_dense(widths), torch.randn(1, widths[0]))
        if name == "vit":
            return Network(_VisionTransformer(), torch.randn(1, 1, 28, 28))
        return Network(_encoder(), torch.randn(1, TOKENS, WIDTH))


def _dense(widths: tuple[int, ...]) -> nn.Sequential:
    pairs = list(itertools.pairwise(widths))
    layers: list[Any] = [part for pair in pairs for part in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


class _Block(nn.Module):
    """Attention and two linear layers, each behind a LayerNorm and beside a shortcut (as in BERT, pre-norm)."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        read = self.norms[0](x)
        heads = [each(read).unflatten(-1, (HEADS, -1)).transpose(1, 2) for each in (self.query, self.key, self.value)]
        x = x + self.out(nn.functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))
        answer: torch.Tensor = x + self.down(nn.functional.gelu(self.up(self.norms[1](x))))
        return answer


class _VisionTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, WIDTH, PATCH, PATCH)
        self.encoder = _encoder()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.encoder(self.patches(images).flatten(2).transpose(1, 2))
        return answer


class _Encoder(nn.Sequential):
    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        for block in self:
            tokens = block(tokens) if isinstance(block, _Block) else block(tokens.mean(1))
        return tokens


def _encoder() -> _Encoder:
    return _Encoder(*(_Block() for _ in range(DEPTH)), nn.Linear(WIDTH, 10))
