"""Transformers made of ``nn.MultiheadAttention``, ``nn.TransformerEncoder`` and their like."""

from __future__ import annotations

import torch
from torch import nn

from tests.architectures.architecture import Architecture
from tests.architectures.examples import OUTPUT, normal, token_ids

VOCABULARY, LENGTH = 50, 10


class Encoder(nn.Module):
    """Embedding, learned positions, ``nn.TransformerEncoder``, mean over the tokens, linear head."""

    def __init__(self, *, width: int = 32, norm_first: bool = False, activation: str = "relu") -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.positions = nn.Parameter(torch.randn(1, LENGTH, width) * 0.1)
        layer = nn.TransformerEncoderLayer(
            width, 4, 48, dropout=0.1, activation=activation, batch_first=True, norm_first=norm_first
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, 5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.embedding(ids) + self.positions[:, : ids.shape[1]]).mean(1))


class ClassToken(nn.Module):
    """A class token that is read at the end, pre-norm layers, a last LayerNorm."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Linear(6, width)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, LENGTH + 1, width) * 0.1)
        layer = nn.TransformerEncoderLayer(width, 4, 64, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embedding(x)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        return self.head(self.encoder(x)[:, 0])


class SequenceFirst(nn.Module):
    """Tokens along the first dimension, a table of positions, a padding mask: the layout of torch's first tutorial."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width, padding_idx=0)
        self.register_buffer("positions", self.sinusoids(LENGTH, width))
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(width, 3, 40), 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, 5)
        self.scale = width**0.5

    @staticmethod
    def sinusoids(length: int, width: int) -> torch.Tensor:
        angles = torch.arange(length)[:, None] / 1e4 ** (torch.arange(0, width, 2) / width)
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, None]

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        padding = ids == 0
        x = self.embedding(ids.t()) * self.scale + self.positions[: ids.shape[1]]
        x = self.encoder(x, src_key_padding_mask=padding)
        kept = (~padding).t()[:, :, None].to(x)
        return self.head((x * kept).sum(0) / kept.sum(0))


class Captioner(nn.Module):
    """``nn.TransformerDecoder``: a causal mask, cross attention to features of another origin."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.project = nn.Linear(12, width)
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.positions = nn.Embedding(LENGTH, width)
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(width, 4, 56, batch_first=True), 2)
        self.head = nn.Linear(width, VOCABULARY)

    def forward(self, features: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids) + self.positions(torch.arange(ids.shape[1]))
        mask = nn.Transformer.generate_square_subsequent_mask(ids.shape[1])
        return self.head(self.decoder(x, self.project(features), tgt_mask=mask, tgt_is_causal=True))


class Translator(nn.Module):
    """``nn.Transformer`` complete: two languages, encoder and decoder."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.source = nn.Embedding(VOCABULARY, width)
        self.target = nn.Embedding(VOCABULARY - 8, width)
        self.positions = nn.Parameter(torch.randn(LENGTH, width) * 0.1)
        self.transformer = nn.Transformer(width, 4, 2, 2, 48, batch_first=True)
        self.generator = nn.Linear(width, VOCABULARY - 8)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        mask = self.transformer.generate_square_subsequent_mask(target.shape[1])
        x = self.source(source) + self.positions[: source.shape[1]]
        y = self.target(target) + self.positions[: target.shape[1]]
        return self.generator(self.transformer(x, y, tgt_mask=mask))


class AttentionWeights(nn.Module):
    """``nn.MultiheadAttention`` alone, between two linear layers; answers with its weights too."""

    def __init__(self, **options: bool) -> None:
        super().__init__()
        self.embed = nn.Linear(6, 32)
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True, **options)
        self.head = nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.relu(self.embed(x))
        mixed, weights = self.attention(x, x, x, need_weights=True)
        return self.head(mixed.mean(1)), weights


class TwoSources(nn.Module):
    """Queries, keys and values of three widths (``kdim``, ``vdim``)."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = nn.Linear(6, 32), nn.Linear(7, 24), nn.Linear(7, 16)
        self.attention = nn.MultiheadAttention(32, 4, kdim=24, vdim=16, batch_first=True)
        self.head = nn.Linear(32, 5)

    def forward(self, x: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        mixed, _ = self.attention(
            self.query(x), torch.relu(self.key(memory)), torch.relu(self.value(memory)), need_weights=False
        )
        return self.head(mixed.mean(1))


class AttentionPooling(nn.Module):
    """Learned queries read a set (Set Transformer, Lee et al. 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 32))
        self.seeds = nn.Parameter(torch.randn(1, 3, 32))
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.norm = nn.LayerNorm(32)
        self.head = nn.Linear(3 * 32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        seeds = self.seeds.expand(x.shape[0], -1, -1)
        return self.head(self.norm(seeds + self.attention(seeds, x, x)[0]).flatten(1))


def ids() -> tuple[torch.Tensor]:
    return (token_ids(LENGTH, VOCABULARY),)


def vectors() -> tuple[torch.Tensor]:
    return (normal(2, LENGTH, 6),)


def features_and_ids() -> tuple[torch.Tensor, torch.Tensor]:
    return normal(2, 7, 12), token_ids(LENGTH, VOCABULARY)


def sentences() -> tuple[torch.Tensor, torch.Tensor]:
    return token_ids(LENGTH, VOCABULARY), token_ids(LENGTH - 3, VOCABULARY - 8, seed=1)


def vectors_and_memory() -> tuple[torch.Tensor, torch.Tensor]:
    return normal(2, LENGTH, 6), normal(2, 9, 7, seed=1)


ARCHITECTURES = [
    Architecture(
        "encoder-post-norm", "nn.TransformerEncoder, post-norm", Encoder, ids, groups=5, whole={"head": OUTPUT}
    ),
    Architecture(
        "encoder-pre-norm",
        "nn.TransformerEncoder, pre-norm, GELU",
        lambda: Encoder(norm_first=True, activation="gelu"),
        ids,
        groups=5,
        whole={"head": OUTPUT},
    ),
    Architecture(
        "encoder-class-token",
        "class token, final norm, pre-norm",
        ClassToken,
        vectors,
        groups=5,
        whole={"head": OUTPUT},
    ),
    Architecture(
        "encoder-sequence-first",
        "batch_first=False, sinusoids, padding mask",
        SequenceFirst,
        ids,
        groups=5,
        whole={"head": OUTPUT},
    ),
    Architecture(
        "decoder-cross-attention",
        "nn.TransformerDecoder",
        Captioner,
        features_and_ids,
        groups=7,
        whole={"head": OUTPUT},
    ),
    Architecture(
        "transformer-complete", "nn.Transformer", Translator, sentences, groups=11, whole={"generator": OUTPUT}
    ),
    Architecture(
        "attention-weights",
        "nn.MultiheadAttention with need_weights",
        AttentionWeights,
        vectors,
        groups=3,
        whole={"head": OUTPUT},
    ),
    Architecture(
        "attention-two-sources",
        "nn.MultiheadAttention with kdim and vdim",
        TwoSources,
        vectors_and_memory,
        groups=5,
        whole={"head": OUTPUT},
    ),
    Architecture(
        "attention-bias-kv",
        "nn.MultiheadAttention with add_bias_kv",
        lambda: AttentionWeights(add_bias_kv=True, add_zero_attn=True),
        vectors,
        groups=3,
        whole={"head": OUTPUT},
    ),
    Architecture(
        "attention-pooling",
        "learned queries, cross attention",
        AttentionPooling,
        vectors,
        groups=3,
        whole={"head": OUTPUT},
    ),
]
