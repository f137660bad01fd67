"""Attention as people write it by hand: how heads are split off, and what is done to them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.architectures.architecture import Architecture
from tests.architectures.examples import OUTPUT, TABLE, normal, token_ids

VOCABULARY, LENGTH, WIDTH, HEADS = 50, 10, 32, 4


class SeparateAttention(nn.Module):
    """Three linear layers, ``view`` and ``transpose`` (The Annotated Transformer)."""

    def __init__(self, width: int = WIDTH, heads: int = HEADS) -> None:
        super().__init__()
        self.n_heads, self.d_k = heads, width // heads
        self.q_proj, self.k_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.v_proj, self.out_proj = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, _ = x.shape
        q, k, v = (
            project(x).view(batch, length, self.n_heads, self.d_k).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        weights = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(self.d_k), dim=-1)
        return self.out_proj((weights @ v).transpose(1, 2).contiguous().view(batch, length, self.n_heads * self.d_k))


class PackedAttention(nn.Module):
    """One linear layer for all three, ``reshape(B, N, 3, H, D)`` (timm)."""

    def __init__(self, width: int = WIDTH, heads: int = HEADS) -> None:
        super().__init__()
        self.num_heads, self.head_dim = heads, width // heads
        self.scale = self.head_dim**-0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, _ = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        weights = ((q * self.scale) @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(batch, tokens, -1))


class InputSizedAttention(PackedAttention):
    """Sizes of heads and of the result are read off the input, as DeiT, DINO and torchvision's Swin do."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, n, c = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        weights = (qkv[0] @ qkv[1].transpose(-2, -1) * self.scale).softmax(dim=-1)
        return self.proj((weights @ qkv[2]).transpose(1, 2).reshape(b, n, c))


class CausalAttention(nn.Module):
    """One linear layer that is split in three, a mask as buffer (nanoGPT)."""

    def __init__(self, width: int = WIDTH, heads: int = HEADS) -> None:
        super().__init__()
        self.n_head, self.n_embd = heads, width
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.register_buffer("bias", torch.tril(torch.ones(LENGTH, LENGTH)).view(1, 1, LENGTH, LENGTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, _ = x.size()
        q, k, v = self.c_attn(x).split(self.n_embd, dim=2)
        k = k.view(b, t, self.n_head, self.n_embd // self.n_head).transpose(1, 2)
        q = q.view(b, t, self.n_head, self.n_embd // self.n_head).transpose(1, 2)
        v = v.view(b, t, self.n_head, self.n_embd // self.n_head).transpose(1, 2)
        weights = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        weights = F.softmax(weights.masked_fill(self.bias[:, :, :t, :t] == 0, float("-inf")), dim=-1)
        return self.c_proj((weights @ v).transpose(1, 2).contiguous().view(b, t, self.n_embd))


class EinsumAttention(nn.Module):
    """Projections stored per head, as bare parameters; ``einsum`` throughout."""

    def __init__(self, width: int = WIDTH, heads: int = HEADS) -> None:
        super().__init__()
        each = width // heads
        self.scale = each**-0.5
        self.query, self.key, self.value = (
            nn.Parameter(torch.randn(heads, width, each) * width**-0.5) for _ in range(3)
        )
        self.output = nn.Parameter(torch.randn(heads, each, width) * width**-0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (torch.einsum("btc,hcd->bhtd", x, weight) for weight in (self.query, self.key, self.value))
        weights = torch.einsum("bhid,bhjd->bhij", q * self.scale, k).softmax(-1)
        return torch.einsum("bhid,hdc->bic", torch.einsum("bhij,bhjd->bhid", weights, v), self.output)


class ChunkedAttention(nn.Module):
    """``chunk`` in three, ``F.scaled_dot_product_attention``."""

    def __init__(self, width: int = WIDTH, heads: int = HEADS, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width), nn.Dropout(0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.to_qkv(x).chunk(3, dim=-1))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.to_out(mixed.transpose(1, 2).flatten(2))


class LinearAttention(nn.Module):
    """Attention without softmax: elu + 1 as feature map (Katharopoulos et al. 2020)."""

    def __init__(self, width: int = WIDTH, heads: int = HEADS) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.merge = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, _ = x.shape
        q, k, v = (
            project(x).view(batch, length, self.heads, -1).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        q, k = F.elu(q) + 1, F.elu(k) + 1
        state = torch.einsum("bhnd,bhne->bhde", k, v)
        normal = 1 / (torch.einsum("bhnd,bhd->bhn", q, k.sum(2)) + 1e-6)
        mixed = torch.einsum("bhnd,bhde,bhn->bhne", q, state, normal)
        return self.merge(mixed.transpose(1, 2).reshape(batch, length, -1))


class RelativeAttention(nn.Module):
    """A learned bias for each head and distance, no scaling (T5, Raffel et al. 2020)."""

    def __init__(self, width: int = WIDTH, heads: int = HEADS) -> None:
        super().__init__()
        self.n_heads, self.inner_dim = heads, width
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.relative_attention_bias = nn.Embedding(2 * LENGTH - 1, heads)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, _ = x.shape
        q, k, v = (
            project(x).view(batch, length, self.n_heads, self.inner_dim // self.n_heads).transpose(1, 2)
            for project in (self.q, self.k, self.v)
        )
        places = torch.arange(length)
        bias = self.relative_attention_bias(places[None] - places[:, None] + LENGTH - 1).permute(2, 0, 1)
        weights = (q @ k.transpose(-1, -2) + bias).softmax(-1)
        return self.o((weights @ v).transpose(1, 2).reshape(batch, length, self.inner_dim))


class Block(nn.Module):
    """Pre-norm attention and a two-layer MLP, each beside a shortcut."""

    def __init__(self, attention: nn.Module, width: int = WIDTH, hidden: int = 48) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = attention
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class TextClassifier(nn.Module):
    """Embedding, positions, two blocks of the given attention, mean over the tokens."""

    def __init__(self, attention: type[nn.Module]) -> None:
        super().__init__()
        self.embedding, self.positions = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(Block(attention()), Block(attention()))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        return self.head(self.norm(self.blocks(x)).mean(dim=1))


class TiedLanguageModel(nn.Module):
    """The embedding is the output layer too (nanoGPT)."""

    def __init__(self) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.ModuleList(Block(CausalAttention()) for _ in range(2))
        self.norm = nn.LayerNorm(WIDTH)
        self.lm_head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.lm_head(self.norm(x))


class SharedLayers(nn.Module):
    """One block called three times, a factored embedding (ALBERT, Lan et al. 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 16)
        self.widen = nn.Linear(16, WIDTH)
        self.block = Block(PackedAttention())
        self.pooler, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.widen(self.embedding(ids))
        for _ in range(3):
            x = self.block(x)
        return self.head(torch.tanh(self.pooler(x[:, 0])))


class Perceiver(nn.Module):
    """Learned latents read the inputs, then each other (Jaegle et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(6, WIDTH))
        self.embed = nn.Linear(7, 24)
        self.norm_latents, self.norm_inputs = nn.LayerNorm(WIDTH), nn.LayerNorm(24)
        self.to_q, self.to_kv = nn.Linear(WIDTH, 16, bias=False), nn.Linear(24, 32, bias=False)
        self.to_out = nn.Linear(16, WIDTH)
        self.block = Block(ChunkedAttention())
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm_inputs(self.embed(x))
        latents = self.latents.unsqueeze(0).repeat(x.shape[0], 1, 1)
        q = self.to_q(self.norm_latents(latents))
        k, v = self.to_kv(x).chunk(2, dim=-1)
        weights = torch.softmax(torch.bmm(q, k.transpose(1, 2)) * 0.25, dim=-1)
        latents = latents + self.to_out(torch.bmm(weights, v))
        return self.head(self.block(latents).mean(1))


def ids() -> tuple[torch.Tensor]:
    return (token_ids(LENGTH, VOCABULARY),)


def classifier(name: str, pattern: str, attention: type[nn.Module], groups: int = 5) -> Architecture:
    return Architecture(name, pattern, lambda: TextClassifier(attention), ids, groups=groups, whole={"head": OUTPUT})


ARCHITECTURES = [
    classifier("attention-separate", "q, k, v apart; view and transpose", SeparateAttention),
    classifier("attention-packed", "qkv packed; reshape(B, N, 3, H, D), unbind", PackedAttention),
    Architecture(
        "attention-input-sized",
        "c // num_heads, reshape(b, n, c)",
        lambda: TextClassifier(InputSizedAttention),
        ids,
    ),
    classifier("attention-einsum", "bare parameters per head, einsum", EinsumAttention, groups=7),
    classifier("attention-chunked", "chunk, scaled_dot_product_attention", ChunkedAttention),
    classifier("attention-linear", "feature map instead of softmax", LinearAttention),
    classifier("attention-relative", "a table of biases per head (T5)", RelativeAttention),
    Architecture(
        "language-model-tied",
        "output layer is the embedding; split, causal mask",
        TiedLanguageModel,
        ids,
        groups=5,
        whole={"lm_head": TABLE},
    ),
    Architecture(
        "shared-layers", "one block called three times (ALBERT)", SharedLayers, ids, groups=5, whole={"head": OUTPUT}
    ),
    Architecture(
        "perceiver",
        "bare latents, cross attention, one head",
        Perceiver,
        lambda: (normal(2, 9, 7),),
        groups=5,
        whole={"head": OUTPUT},
    ),
]
