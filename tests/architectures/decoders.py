"""Blocks of present language models, by hand: rotary positions, shared key heads, gates, experts, states."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.architectures.architecture import Architecture
from tests.architectures.attention import Block
from tests.architectures.examples import OUTPUT, SOFTMAX, normal, token_ids

VOCABULARY, LENGTH, WIDTH = 50, 10, 32


class RMSNorm(nn.Module):
    """Root mean square norm, by hand."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        variance = x.float().pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(variance + 1e-6)).to(x.dtype)


def rotate_half(x: torch.Tensor) -> torch.Tensor:
    x1, x2 = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return torch.cat((-x2, x1), dim=-1)


class GroupedQueryAttention(nn.Module):
    """Rotary positions; several query heads share one key and value head (LLaMA)."""

    def __init__(self, heads: int = 4, shared: int = 2) -> None:
        super().__init__()
        self.num_heads, self.num_key_value_heads, self.head_dim = heads, shared, WIDTH // heads
        self.q_proj = nn.Linear(WIDTH, heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(WIDTH, shared * self.head_dim, bias=False)
        self.v_proj = nn.Linear(WIDTH, shared * self.head_dim, bias=False)
        self.o_proj = nn.Linear(heads * self.head_dim, WIDTH, bias=False)
        angles = torch.arange(LENGTH)[:, None] / 1e4 ** (torch.arange(0, self.head_dim, 2) / self.head_dim)
        self.register_buffer("cos", torch.cat([angles, angles], -1).cos(), persistent=False)
        self.register_buffer("sin", torch.cat([angles, angles], -1).sin(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, _ = x.shape
        q = self.q_proj(x).view(batch, length, self.num_heads, self.head_dim).transpose(1, 2)
        k = self.k_proj(x).view(batch, length, self.num_key_value_heads, self.head_dim).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, self.num_key_value_heads, self.head_dim).transpose(1, 2)
        cos, sin = self.cos[:length], self.sin[:length]
        q, k = q * cos + rotate_half(q) * sin, k * cos + rotate_half(k) * sin
        k, v = (t.repeat_interleave(self.num_heads // self.num_key_value_heads, dim=1) for t in (k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))


class SwiGLU(nn.Module):
    """A gate on the hidden units (Shazeer 2020)."""

    def __init__(self, hidden: int = 40) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(WIDTH, hidden, bias=False), nn.Linear(WIDTH, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Experts(nn.Module):
    """Every expert runs on the tokens whose router chose it (Switch Transformer, Fedus et al. 2022)."""

    def __init__(self, count: int = 3) -> None:
        super().__init__()
        self.router = nn.Linear(WIDTH, count)
        self.experts = nn.ModuleList(SwiGLU(24) for _ in range(count))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.reshape(-1, x.shape[-1])
        gates, chosen = self.router(flat).softmax(-1).max(-1)
        out = torch.zeros_like(flat)
        for number, expert in enumerate(self.experts):
            rows = (chosen == number).nonzero(as_tuple=True)[0]
            out.index_add_(0, rows, expert(flat[rows]) * gates[rows, None])
        return out.view_as(x)


class StateSpace(nn.Module):
    """A selective state space, scanned step by step (Mamba, Gu and Dao 2023)."""

    def __init__(self, inner: int = 48, states: int = 6, rank: int = 4) -> None:
        super().__init__()
        self.in_proj = nn.Linear(WIDTH, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, 3, groups=inner, padding=2)
        self.dt_rank, self.d_state = rank, states
        self.x_proj, self.dt_proj = nn.Linear(inner, rank + 2 * states, bias=False), nn.Linear(rank, inner)
        self.A_log = nn.Parameter(torch.log(torch.arange(1.0, states + 1).repeat(inner, 1)))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, gate = self.in_proj(x).chunk(2, dim=-1)
        x = F.silu(self.conv1d(x.transpose(1, 2))[..., : x.shape[1]].transpose(1, 2))
        step, b, c = self.x_proj(x).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        step = F.softplus(self.dt_proj(step))
        decay = torch.exp(step.unsqueeze(-1) * -torch.exp(self.A_log))
        driven = step.unsqueeze(-1) * b.unsqueeze(2) * x.unsqueeze(-1)
        state, outputs = torch.zeros_like(driven[:, 0]), []
        for t in range(x.shape[1]):
            state = decay[:, t] * state + driven[:, t]
            outputs.append((state * c[:, t].unsqueeze(1)).sum(-1))
        return self.out_proj((torch.stack(outputs, dim=1) + x * self.D) * F.silu(gate))


class Layer(nn.Module):
    """A mixer of tokens and an MLP, each behind an RMS norm and beside a shortcut."""

    def __init__(self, mixer: nn.Module, mlp: nn.Module, norm: type[nn.Module]) -> None:
        super().__init__()
        self.input_norm, self.post_norm = norm(WIDTH), norm(WIDTH)
        self.mixer, self.mlp = mixer, mlp

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.mixer(self.input_norm(x))
        return x + self.mlp(self.post_norm(x))


class LanguageModel(nn.Module):
    """Embedding, two layers, norm, output layer of its own."""

    def __init__(self, mixer: type[nn.Module], mlp: type[nn.Module], norm: type[nn.Module] = RMSNorm) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList(Layer(mixer(), mlp(), norm) for _ in range(2))
        self.norm, self.lm_head = norm(WIDTH), nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(self.norm(x))


class Alibi(nn.Module):
    """Slopes instead of positions, fused qkv with heads outermost (BLOOM), the MLP beside the attention."""

    def __init__(self, heads: int = 4) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.num_heads, self.head_dim = heads, WIDTH // heads
        self.query_key_value, self.dense = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 56), nn.Linear(56, WIDTH)
        self.register_buffer("slopes", 2.0 ** -torch.arange(1.0, heads + 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, _ = x.shape
        normed = self.norm(x)
        fused = self.query_key_value(normed).view(batch, length, self.num_heads, 3, self.head_dim)
        q, k, v = (fused[..., part, :].transpose(1, 2) for part in range(3))
        places = torch.arange(length)
        bias = self.slopes[:, None, None] * (places[None, :] - places[:, None]).clamp(max=0)
        weights = (q @ k.mT * self.head_dim**-0.5 + bias).softmax(-1)
        mixed = (weights @ v).permute(0, 2, 1, 3).reshape(batch, length, self.num_heads * self.head_dim)
        return x + self.dense(mixed) + self.down(F.gelu(self.up(normed)))


class ParallelBlocks(nn.Module):
    """Two of them, read at the last token."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.blocks = nn.Sequential(Alibi(), Alibi())
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.embedding(ids))[:, -1])


class Conformer(nn.Module):
    """Attention and a gated depthwise convolution along time (Gulati et al. 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(20, WIDTH)
        self.attention, self.norm1 = nn.MultiheadAttention(WIDTH, 4, batch_first=True), nn.LayerNorm(WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.conv = nn.Sequential(
            nn.Conv1d(WIDTH, 2 * WIDTH, 1), nn.GLU(dim=1),
            nn.Conv1d(WIDTH, WIDTH, 5, padding=2, groups=WIDTH), nn.BatchNorm1d(WIDTH), nn.SiLU(),
            nn.Conv1d(WIDTH, WIDTH, 1),
        )  # fmt: skip
        self.feed = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 64), nn.SiLU(), nn.Linear(64, WIDTH))
        self.head = nn.Linear(WIDTH, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.project(x)
        normed = self.norm1(x)
        x = x + self.attention(normed, normed, normed, need_weights=False)[0]
        x = x + self.conv(self.norm2(x).transpose(1, 2)).transpose(1, 2)
        return self.head(x + 0.5 * self.feed(x)).log_softmax(-1)


class Mixer(nn.Module):
    """An MLP across tokens, then one across channels (Tolstikhin et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Linear(6, WIDTH), nn.LayerNorm(WIDTH)
        self.token_mlp = nn.Sequential(nn.Linear(LENGTH, 24), nn.GELU(), nn.Linear(24, LENGTH))
        self.channel_block = Block(nn.Identity())
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        x = x + self.token_mlp(self.norm(x).transpose(1, 2)).transpose(1, 2)
        return self.head(self.channel_block(x).mean(1))


def ids() -> tuple[torch.Tensor]:
    return (token_ids(LENGTH, VOCABULARY),)


ARCHITECTURES = [
    Architecture(
        "llama-block",
        "rotary positions, shared key heads, RMSNorm by hand, SwiGLU",
        lambda: LanguageModel(GroupedQueryAttention, SwiGLU),
        ids,
        groups=5,
        whole={"lm_head": OUTPUT},
    ),
    Architecture(
        "llama-block-nn-rmsnorm",
        "nn.RMSNorm",
        lambda: LanguageModel(GroupedQueryAttention, SwiGLU, nn.RMSNorm),
        ids,
        groups=5,
        whole={"lm_head": OUTPUT},
    ),
    Architecture(
        "experts-switched",
        "each token's expert is looked up",
        lambda: LanguageModel(GroupedQueryAttention, Experts),
        ids,
        groups=9,
        whole={"layers.0.mlp.router": SOFTMAX, "layers.1.mlp.router": SOFTMAX, "lm_head": OUTPUT},
    ),
    Architecture(
        "state-space",
        "Mamba, scanned",
        lambda: LanguageModel(StateSpace, SwiGLU),
        ids,
        groups=9,
        whole={"lm_head": OUTPUT},
    ),
    Architecture(
        "parallel-alibi",
        "fused qkv with heads outermost, ALiBi (BLOOM)",
        ParallelBlocks,
        ids,
        groups=5,
        whole={"head": OUTPUT},
    ),
    Architecture(
        "conformer",
        "attention, GLU, depthwise Conv1d",
        Conformer,
        lambda: (normal(2, 12, 20),),
        groups=4,
        whole={"head": SOFTMAX},
    ),
    Architecture(
        "mixer",
        "MLP across tokens",
        Mixer,
        lambda: (normal(2, LENGTH, 6),),
        groups=3,
        whole={"token_mlp.2": "cannot be removed", "head": OUTPUT},
    ),
]
