"""Recommenders: tables of features, and how what is looked up in them is combined."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from tests.architectures.architecture import Architecture
from tests.architectures.examples import ONE, SOFTMAX, normal, token_ids

ROWS = (30, 20, 12)
WIDTH = 16


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers with ReLU between them and behind the last."""
    return nn.Sequential(*(layer for i, o in pairwise(widths) for layer in (nn.Linear(i, o), nn.ReLU())))


def tables(width: int = WIDTH) -> nn.ModuleList:
    return nn.ModuleList(nn.Embedding(rows, width) for rows in ROWS)


def look_up(tables: nn.ModuleList, fields: torch.Tensor) -> list[torch.Tensor]:
    """One vector for each field; ``fields``: ``int64 [batch, len(ROWS)]``."""
    return [table(fields[:, number]) for number, table in enumerate(tables)]


class WideAndDeep(nn.Module):
    """A bag of ids and dense features for an MLP, beside a linear model (Cheng et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(40, WIDTH, mode="mean")
        self.wide = nn.EmbeddingBag(40, 1, mode="sum")
        self.deep = mlp(WIDTH + 5, 32, 24)
        self.head = nn.Linear(24, 1)

    def forward(self, dense: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        deep = self.deep(torch.cat([self.bag(ids), dense], dim=1))
        return torch.sigmoid(self.head(deep) + self.wide(ids)).squeeze(1)


class DLRM(nn.Module):
    """Products of all pairs of vectors, the dense features' among them (Naumov et al. 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.bottom = mlp(5, 24, WIDTH)
        self.tables = nn.ModuleList(nn.EmbeddingBag(rows, WIDTH, mode="sum") for rows in ROWS)
        self.top = nn.Sequential(mlp(WIDTH + 6, 32), nn.Linear(32, 1))

    def forward(self, dense: torch.Tensor, fields: torch.Tensor) -> torch.Tensor:
        x = self.bottom(dense)
        looked_up = [table(fields[:, i : i + 1]) for i, table in enumerate(self.tables)]
        stacked = torch.stack([x, *looked_up], dim=1)
        products = torch.bmm(stacked, stacked.transpose(1, 2))
        row, column = torch.tril_indices(stacked.shape[1], stacked.shape[1], offset=-1)
        return torch.sigmoid(self.top(torch.cat([x, products[:, row, column]], dim=1)))


class DeepFM(nn.Module):
    """Square of the sum less sum of the squares, beside an MLP (Guo et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets = (0, ROWS[0], ROWS[0] + ROWS[1])
        self.linear, self.embedding = nn.Embedding(sum(ROWS), 1), nn.Embedding(sum(ROWS), WIDTH)
        self.bias = nn.Parameter(torch.zeros(1))
        self.embed_output_dim = len(ROWS) * WIDTH
        self.mlp = nn.Sequential(nn.Linear(self.embed_output_dim, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        fields = fields + fields.new_tensor(self.offsets)
        x = self.embedding(fields)
        pairs = 0.5 * (x.sum(dim=1) ** 2 - (x**2).sum(dim=1)).sum(dim=1, keepdim=True)
        deep = self.mlp(self.flattened(x))
        return torch.sigmoid(self.linear(fields).sum(dim=1) + self.bias + pairs + deep).squeeze(1)

    def flattened(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(-1, self.embed_output_dim)


class SizeInCode(DeepFM):
    """A number in the code that no attribute repeats: this width cannot follow."""

    def flattened(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(-1, len(ROWS) * WIDTH)


class CrossNetwork(nn.Module):
    """Layers x0 * w(x) + x beside an MLP; both are read (DCN-V2, Wang et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = tables()
        width = len(ROWS) * WIDTH + 5
        self.cross = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.deep, self.head = mlp(width, 32, 24), nn.Linear(width + 24, 1)

    def forward(self, dense: torch.Tensor, fields: torch.Tensor) -> torch.Tensor:
        x0 = torch.cat([*look_up(self.tables, fields), dense], dim=1)
        x = x0
        for layer in self.cross:
            x = x0 * layer(x) + x
        return torch.sigmoid(self.head(torch.cat([x, self.deep(x0)], dim=1)))


class VectorCrossNetwork(nn.Module):
    """The first version: one vector for each cross layer, as bare parameters (Wang et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(sum(ROWS), WIDTH)
        width = len(ROWS) * WIDTH
        self.weights = nn.ParameterList(nn.Parameter(torch.randn(width) * 0.1) for _ in range(2))
        self.biases = nn.ParameterList(nn.Parameter(torch.randn(width) * 0.1) for _ in range(2))
        self.head = nn.Linear(width, 1)

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        x0 = self.embedding(fields).flatten(1)
        x = x0
        for weight, bias in zip(self.weights, self.biases, strict=True):
            x = x0 * (x @ weight).unsqueeze(1) + bias + x
        return torch.sigmoid(self.head(x))


class NeuralCollaborativeFiltering(nn.Module):
    """A product of vectors beside an MLP of others (He et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.user_product, self.item_product = nn.Embedding(30, WIDTH), nn.Embedding(20, WIDTH)
        self.user_mlp, self.item_mlp = nn.Embedding(30, 24), nn.Embedding(20, 24)
        self.mlp, self.predict = mlp(48, 32, 16), nn.Linear(WIDTH + 16, 1)

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        product = self.user_product(user) * self.item_product(item)
        deep = self.mlp(torch.cat([self.user_mlp(user), self.item_mlp(item)], dim=-1))
        return self.predict(torch.cat([product, deep], dim=-1)).view(-1)


class MatrixFactorization(nn.Module):
    """Two tables, their product, biases: the smallest recommender."""

    def __init__(self) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(30, WIDTH), nn.Embedding(20, WIDTH)
        self.user_bias, self.item_bias = nn.Embedding(30, 1), nn.Embedding(20, 1)

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        return (self.users(user) * self.items(item)).sum(1) + self.user_bias(user)[:, 0] + self.item_bias(item)[:, 0]


class TwoTowers(nn.Module):
    """Users and items apart, of unit length, compared by a dot product."""

    def __init__(self) -> None:
        super().__init__()
        self.user = nn.Sequential(nn.Embedding(30, 24), nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, WIDTH))
        self.item = nn.Sequential(nn.Linear(5, 40), nn.ReLU(), nn.Linear(40, WIDTH))

    def forward(self, user: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        u = nn.functional.normalize(self.user(user), dim=-1)
        v = nn.functional.normalize(self.item(features), dim=-1)
        return (u * v).sum(-1) / 0.1


class InterestNetwork(nn.Module):
    """The history is weighed by a network that compares it with the candidate (DIN, Zhou et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.items = nn.Embedding(40, WIDTH, padding_idx=0)
        self.attention = nn.Sequential(nn.Linear(4 * WIDTH, 24), nn.PReLU(), nn.Linear(24, 1))
        self.mlp = nn.Sequential(nn.Linear(3 * WIDTH, 32), nn.PReLU(32), nn.Linear(32, 1))

    def forward(self, history: torch.Tensor, candidate: torch.Tensor) -> torch.Tensor:
        past, item = self.items(history), self.items(candidate)
        query = item.unsqueeze(1).expand_as(past)
        score = self.attention(torch.cat([query, past, query - past, query * past], dim=-1)).squeeze(-1)
        score = score.masked_fill(history == 0, 0.0)
        interest = torch.bmm(score.unsqueeze(1), past).squeeze(1)
        return torch.sigmoid(self.mlp(torch.cat([interest, item, interest * item], dim=-1)))


class AutoInt(nn.Module):
    """Attention between fields, a shortcut, everything flattened (Song et al. 2019)."""

    def __init__(self, width: int = 24, heads: int = 2) -> None:
        super().__init__()
        self.embedding, self.heads = nn.Embedding(sum(ROWS), WIDTH), heads
        self.query, self.key, self.value, self.shortcut = (nn.Linear(WIDTH, width, bias=False) for _ in range(4))
        self.head = nn.Linear(len(ROWS) * width, 1)

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        x = self.embedding(fields)
        q, k, v = (torch.stack(part(x).chunk(self.heads, dim=2)) for part in (self.query, self.key, self.value))
        weights = torch.einsum("hbik,hbjk->hbij", q, k).softmax(-1)
        mixed = torch.cat(torch.unbind(torch.matmul(weights, v)), dim=-1)
        return torch.sigmoid(self.head(torch.relu(mixed + self.shortcut(x)).flatten(1)))


class MixtureOfExperts(nn.Module):
    """Experts shared by two tasks, each task with a gate of its own (MMoE, Ma et al. 2018)."""

    def __init__(self, experts: int = 3) -> None:
        super().__init__()
        self.tables = tables()
        width = len(ROWS) * WIDTH
        self.experts = nn.ModuleList(mlp(width, 40, 24) for _ in range(experts))
        self.gates = nn.ModuleList(nn.Linear(width, experts) for _ in range(2))
        self.towers = nn.ModuleList(nn.Sequential(mlp(24, 16), nn.Linear(16, 1)) for _ in range(2))

    def forward(self, fields: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = torch.cat(look_up(self.tables, fields), dim=1)
        answers = torch.stack([expert(x) for expert in self.experts], dim=1)
        mixed = [(torch.softmax(gate(x), dim=-1).unsqueeze(-1) * answers).sum(1) for gate in self.gates]
        return tuple(tower(m) for tower, m in zip(self.towers, mixed, strict=True))


class SessionGRU(nn.Module):
    """A GRU reads a session; every item is scored by the table it came from (GRU4Rec, Hidasi et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.items = nn.Embedding(40, WIDTH)
        self.gru, self.project = nn.GRU(WIDTH, 24, batch_first=True), nn.Linear(24, WIDTH)

    def forward(self, session: torch.Tensor) -> torch.Tensor:
        state = self.gru(self.items(session))[1][-1]
        return self.project(state) @ self.items.weight.t()


def fields() -> tuple[torch.Tensor]:
    return (torch.stack([token_ids(1, rows, seed=n).flatten() for n, rows in enumerate(ROWS)], dim=1),)


def dense_and_fields() -> tuple[torch.Tensor, torch.Tensor]:
    return normal(2, 5), fields()[0]


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return token_ids(1, 30).flatten(), token_ids(1, 20, seed=1).flatten()


ARCHITECTURES = [
    Architecture(
        "wide-and-deep",
        "EmbeddingBag, dense features, concat",
        WideAndDeep,
        lambda: (normal(2, 5), token_ids(6, 40)),
        groups=3,
        whole={"head": ONE, "wide": ONE},
    ),
    Architecture(
        "dlrm", "products of pairs: stack, bmm, tril_indices", DLRM, dense_and_fields, groups=3, whole={"top.1": ONE}
    ),
    Architecture("deep-fm", "square of the sum", DeepFM, fields, groups=2, whole={"mlp.3": ONE, "linear": ONE}),
    Architecture(
        "size-in-code",
        "a width that stands in forward",
        SizeInCode,
        fields,
        groups=1,
        whole={"embedding": "the pruned network fails", "mlp.3": ONE, "linear": ONE},
    ),
    Architecture("cross-network", "x0 * w(x) + x", CrossNetwork, dense_and_fields, groups=5, whole={"head": ONE}),
    Architecture(
        "cross-network-vectors",
        "bare vectors, matrix times vector",
        VectorCrossNetwork,
        fields,
        groups=1,
        whole={"head": ONE},
    ),
    Architecture(
        "collaborative-filtering",
        "product beside an MLP (NCF)",
        NeuralCollaborativeFiltering,
        pair,
        groups=5,
        whole={"predict": ONE},
    ),
    Architecture(
        "matrix-factorization",
        "two tables",
        MatrixFactorization,
        pair,
        groups=1,
        whole={"user_bias": ONE, "item_bias": ONE},
    ),
    Architecture(
        "two-towers", "two inputs, dot product", TwoTowers, lambda: (token_ids(1, 30).flatten(), normal(2, 5)), groups=4
    ),
    Architecture(
        "interest-network",
        "attention by an MLP over the history (DIN)",
        InterestNetwork,
        lambda: (torch.tensor([[3, 8, 1, 9, 0, 0], [7, 2, 4, 30, 22, 5]]), torch.tensor([6, 11])),
        groups=3,
        whole={"attention.2": ONE, "mlp.2": ONE},
    ),
    Architecture("auto-int", "heads by chunk and stack", AutoInt, fields, groups=3, whole={"head": ONE}),
    Architecture(
        "mixture-of-experts",
        "softmax gates over stacked experts (MMoE)",
        MixtureOfExperts,
        fields,
        groups=9,
        whole={"gates.0": SOFTMAX, "gates.1": SOFTMAX, "towers.0.1": ONE, "towers.1.1": ONE},
    ),
    Architecture("session-gru", "scores by the table itself", SessionGRU, lambda: (token_ids(7, 40),), groups=2),
]
