"""Recurrent networks: layers, directions, cells in loops, projections, packed sequences."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tests.architectures.architecture import Architecture
from tests.architectures.examples import ONE, OUTPUT, SOFTMAX, normal, token_ids

VOCABULARY, LENGTH, EMBEDDED, HIDDEN = 50, 9, 24, 20


class Tagger(nn.Module):
    """Embedding, a recurrent module, a label for every token."""

    def __init__(self, recurrent: type[nn.RNNBase], **options: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, EMBEDDED)
        self.rnn = recurrent(EMBEDDED, HIDDEN, batch_first=True, **options)
        width = options.get("proj_size", HIDDEN) * (2 if options.get("bidirectional") else 1)
        self.head = nn.Linear(width, 7)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(self.embedding(ids))[0])


class LastState(nn.Module):
    """Time first; what is read are the last hidden states (of both directions, where there are two)."""

    def __init__(self, recurrent: type[nn.RNNBase], **options: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, EMBEDDED)
        self.rnn = recurrent(EMBEDDED, HIDDEN, **options)
        self.hidden = nn.Linear(HIDDEN * (2 if self.rnn.bidirectional else 1), 32)
        self.head = nn.Linear(32, 5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        _, state = self.rnn(self.embedding(ids.t()))
        state = state[0] if isinstance(state, tuple) else state
        last = torch.cat([state[-2], state[-1]], dim=1) if self.rnn.bidirectional else state[-1]
        return self.head(torch.relu(self.hidden(last)))


class GivenState(nn.Module):
    """The first states are zeros that the network makes itself, of ``num_layers`` and ``hidden_size``."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden_size, self.num_layers = HIDDEN, 2
        self.lstm = nn.LSTM(6, HIDDEN, 2, batch_first=True)
        self.fc = nn.Linear(HIDDEN, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h0 = torch.zeros(self.num_layers, x.size(0), self.hidden_size, device=x.device)
        c0 = torch.zeros(self.num_layers, x.size(0), self.hidden_size, device=x.device)
        out, _ = self.lstm(x, (h0, c0))
        return self.fc(out[:, -1, :])


class CellLoop(nn.Module):
    """A cell called once for each step; the state starts from the module's own zeros."""

    def __init__(self, cell: type[nn.RNNCellBase]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, EMBEDDED)
        self.cell = cell(EMBEDDED, HIDDEN)
        self.head = nn.Linear(HIDDEN, 5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        state = None
        for step in self.embedding(ids).unbind(1):
            state = self.cell(step, state)
        return self.head(state[0] if isinstance(state, tuple) else state)


class HandWrittenCell(nn.Module):
    """A GRU by hand: one linear layer for all gates, a learned first state."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs, self.states = nn.Linear(6, 3 * HIDDEN), nn.Linear(HIDDEN, 3 * HIDDEN, bias=False)
        self.start = nn.Parameter(torch.randn(1, HIDDEN))
        self.head = nn.Linear(HIDDEN, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.start.expand(x.shape[0], -1)
        for t in range(x.shape[1]):
            xr, xz, xn = self.inputs(x[:, t]).chunk(3, dim=-1)
            hr, hz, hn = self.states(h).chunk(3, dim=-1)
            r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
            h = (1 - z) * torch.tanh(xn + r * hn) + z * h
        return self.head(h)


class Packed(nn.Module):
    """Sequences of different lengths, packed; the mean of the real steps is read."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, EMBEDDED, padding_idx=0)
        self.lstm = nn.LSTM(EMBEDDED, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, 5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        lengths = (ids != 0).sum(1)
        packed = pack_padded_sequence(self.embedding(ids), lengths.cpu(), batch_first=True, enforce_sorted=False)
        out, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.head(out.sum(1) / lengths[:, None])


class Translator(nn.Module):
    """An LSTM reads, another one writes and attends to what was read (Luong et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(VOCABULARY, EMBEDDED), nn.Embedding(40, EMBEDDED)
        self.encoder = nn.LSTM(EMBEDDED, HIDDEN, batch_first=True)
        self.decoder = nn.LSTM(EMBEDDED, HIDDEN, batch_first=True)
        self.score = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.combine, self.head = nn.Linear(2 * HIDDEN, 32), nn.Linear(32, 40)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        memory, state = self.encoder(self.source(source))
        out, _ = self.decoder(self.target(target), state)
        weights = torch.softmax(torch.bmm(self.score(out), memory.transpose(1, 2)), dim=-1)
        return self.head(torch.tanh(self.combine(torch.cat([torch.bmm(weights, memory), out], dim=-1))))


class AdditiveAttention(nn.Module):
    """A bidirectional GRU whose states are weighed by a small network (Bahdanau et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, EMBEDDED)
        self.rnn = nn.GRU(EMBEDDED, HIDDEN, batch_first=True, bidirectional=True)
        self.project, self.energy = nn.Linear(2 * HIDDEN, 16), nn.Linear(16, 1, bias=False)
        self.head = nn.Linear(2 * HIDDEN, 5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        states, _ = self.rnn(self.embedding(ids))
        weights = torch.softmax(self.energy(torch.tanh(self.project(states))), dim=1)
        return self.head((weights * states).sum(dim=1))


class Speech(nn.Module):
    """Convolutions over time and frequency, then a bidirectional GRU (Deep Speech 2, Amodei et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=(2, 1), padding=1, bias=False), nn.BatchNorm2d(8), nn.Hardtanh(0, 20),
            nn.Conv2d(8, 12, 3, stride=(2, 1), padding=1, bias=False), nn.BatchNorm2d(12), nn.Hardtanh(0, 20),
        )  # fmt: skip
        self.rnn = nn.GRU(12 * 4, HIDDEN, 2, batch_first=True, bidirectional=True)
        self.norm, self.head = nn.LayerNorm(2 * HIDDEN), nn.Linear(2 * HIDDEN, 12)

    def forward(self, spectrogram: torch.Tensor) -> torch.Tensor:
        x = self.conv(spectrogram)
        batch, channels, frequencies, time = x.size()
        x = x.view(batch, channels * frequencies, time).transpose(1, 2)
        return self.head(self.norm(self.rnn(x)[0])).log_softmax(-1)


class ConvLSTM(nn.Module):
    """Gates by a convolution, the state is an image (Shi et al. 2015)."""

    def __init__(self, hidden: int = 12) -> None:
        super().__init__()
        self.hidden_dim = hidden
        self.conv = nn.Conv2d(2 + hidden, 4 * hidden, 3, padding=1)
        self.head = nn.Conv2d(hidden, 1, 1)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        b, steps, _, h, w = frames.shape
        state, cell = frames.new_zeros(b, self.hidden_dim, h, w), frames.new_zeros(b, self.hidden_dim, h, w)
        for t in range(steps):
            gates = self.conv(torch.cat([frames[:, t], state], dim=1))
            i, f, o, g = torch.split(gates, self.hidden_dim, dim=1)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
            state = torch.sigmoid(o) * torch.tanh(cell)
        return self.head(state)


class ResidualStack(nn.Module):
    """LSTM layers apart, with shortcuts and LayerNorm between them."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, HIDDEN)
        self.layers = nn.ModuleList(nn.LSTM(HIDDEN, HIDDEN, batch_first=True) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(HIDDEN) for _ in range(2))
        self.head = nn.Linear(HIDDEN, VOCABULARY)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = x + layer(norm(x))[0]
        return self.head(x)


def ids() -> tuple[torch.Tensor]:
    return (token_ids(LENGTH, VOCABULARY),)


def padded_ids() -> tuple[torch.Tensor]:
    return (torch.tensor([[7, 3, 48, 5, 0, 0], [1, 9, 2, 30, 11, 6]]),)


def sentences() -> tuple[torch.Tensor, torch.Tensor]:
    return token_ids(LENGTH, VOCABULARY), token_ids(LENGTH - 2, 40, seed=1)


def vectors() -> tuple[torch.Tensor]:
    return (normal(2, LENGTH, 6),)


ARCHITECTURES = [
    Architecture("lstm", "one layer, every step read", lambda: Tagger(nn.LSTM), ids, groups=2, whole={"head": OUTPUT}),
    Architecture(
        "lstm-two-layers",
        "time first, last state read",
        lambda: LastState(nn.LSTM, num_layers=2),
        ids,
        groups=3,
        whole={"head": OUTPUT},
    ),
    Architecture(
        "lstm-bidirectional",
        "two layers, two directions",
        lambda: Tagger(nn.LSTM, num_layers=2, bidirectional=True),
        ids,
        groups=2,
        whole={"head": OUTPUT},
    ),
    Architecture(
        "lstm-projected",
        "proj_size",
        lambda: Tagger(nn.LSTM, proj_size=12),
        ids,
        groups=1,
        whole=dict.fromkeys(("rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.weight_hr_l0"), "projected LSTM")
        | {"head": OUTPUT},
    ),
    Architecture("lstm-given-state", "zeros made by the network", GivenState, vectors, groups=1, whole={"fc": OUTPUT}),
    Architecture("lstm-packed", "packed sequences", Packed, padded_ids, groups=2, whole={"head": OUTPUT}),
    Architecture("lstm-residual", "shortcuts around layers", ResidualStack, ids, groups=1, whole={"head": OUTPUT}),
    Architecture("gru", "one layer, time first", lambda: LastState(nn.GRU), ids, groups=3, whole={"head": OUTPUT}),
    Architecture(
        "gru-two-layers", "two layers", lambda: Tagger(nn.GRU, num_layers=2), ids, groups=2, whole={"head": OUTPUT}
    ),
    Architecture(
        "gru-bidirectional",
        "both last states read",
        lambda: LastState(nn.GRU, bidirectional=True),
        ids,
        groups=3,
        whole={"head": OUTPUT},
    ),
    Architecture("rnn", "nn.RNN", lambda: Tagger(nn.RNN), ids, groups=2, whole={"head": OUTPUT}),
    Architecture(
        "lstm-cell", "nn.LSTMCell in a loop", lambda: CellLoop(nn.LSTMCell), ids, groups=2, whole={"head": OUTPUT}
    ),
    Architecture(
        "gru-cell", "nn.GRUCell in a loop", lambda: CellLoop(nn.GRUCell), ids, groups=2, whole={"head": OUTPUT}
    ),
    Architecture(
        "gru-by-hand", "gates by chunk, learned first state", HandWrittenCell, vectors, groups=1, whole={"head": OUTPUT}
    ),
    Architecture(
        "lstm-translator", "attention over LSTM states", Translator, sentences, groups=4, whole={"head": OUTPUT}
    ),
    Architecture(
        "gru-attention",
        "states weighed by a small network",
        AdditiveAttention,
        ids,
        groups=3,
        whole={"energy": ONE, "head": OUTPUT},
    ),
    Architecture(
        "speech", "convolutions, then GRU", Speech, lambda: (normal(2, 1, 16, 11),), groups=3, whole={"head": SOFTMAX}
    ),
    Architecture(
        "conv-lstm", "gates by convolution", ConvLSTM, lambda: (normal(2, 4, 2, 6, 5),), groups=1, whole={"head": ONE}
    ),
]
