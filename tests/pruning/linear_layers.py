"""Every kind of layer that is linear in its inputs, and its design matrix by brute force."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.func import functional_call

from rlprune.networks.layers import Layer, Sides
from rlprune.networks.listening import Reading, listen
from rlprune.pruning.coefficients import Coefficients
from rlprune.pruning.sampling import sample_rows
from rlprune.pruning.statistics import LayerStatistics


class Conv1D(nn.Module):
    """A linear layer that stores its weight as ``[in, out]``, as GPT-2's does."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) / inputs**0.5)
        self.bias = nn.Parameter(torch.randn(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight)
        return flat.view(*x.shape[:-1], -1)


@dataclass(frozen=True)
class Case:
    """A module, the shape of one sample, and how its layer is described."""

    module: nn.Module
    shape: tuple[int, ...]
    kind: str = "conv"
    sides: Sides = ("out", "in")
    groups: int = 1
    key: str = "weight"
    bias: str = "bias"

    @property
    def layer(self) -> Layer:
        state = dict(self.module.named_parameters())
        weight, matrix = state[self.key], self.kind == "linear"
        sides = self.sides + (None,) * (weight.dim() - 2)
        bias = self.bias if state.get(self.bias) is not None else None
        out, into = (weight.shape[sides.index(side)] for side in ("out", "in"))
        stride = () if matrix else tuple(self.module.stride)  # type: ignore[arg-type]
        tensors: dict[str, Sides] = {self.key: sides} | ({bias: ("out",)} if bias else {})
        kernel = () if matrix else tuple(weight.shape[2:])
        return Layer(
            "layer", self.kind, 1.0, kernel, stride, out, into, 1.0, 1.0, 1.0, tensors, self.key, bias, self.groups
        )

    @property
    def coefficients(self) -> Coefficients:
        return Coefficients.of(self.layer, {k: v.detach() for k, v in self.module.named_parameters()})

    def inputs(self, count: int, seed: int = 0) -> torch.Tensor:
        """Samples whose channels depend on each other."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(count, *self.shape, generator=generator)
        return x + 0.8 * x.roll(1, -1 if self.kind == "linear" else 1) + 0.3

    def readings(self, inputs: torch.Tensor) -> list[Reading]:
        found: list[Reading] = []
        listen(self.module.eval(), [self.layer], (inputs,), found.append)
        return found

    def rows(self, inputs: torch.Tensor, share: float = 1.0, seed: int = 0) -> torch.Tensor:
        """``[rows, groups, inputs * kernel]``."""
        generator = torch.Generator().manual_seed(seed)
        parts = [p for r in self.readings(inputs) for p in sample_rows(r, self.layer.kernel, share, generator)]
        return torch.cat(parts)

    def statistics(self, rows: torch.Tensor, ridge: float = 1e-4) -> LayerStatistics:
        statistics = LayerStatistics(self.coefficients, ridge)
        statistics.add(rows)
        return statistics.finish()

    def design(self, inputs: torch.Tensor) -> torch.Tensor:
        """The same rows in any order, from the module's answers to weights that are 1 in one place and 0 elsewhere."""
        coefficients = self.coefficients
        state = {key: torch.zeros_like(value) for key, value in self.module.named_parameters()}
        groups = []
        for group in range(coefficients.groups):
            columns = []
            for column in range(coefficients.weight_columns):
                one = torch.zeros(coefficients.groups, coefficients.outputs, coefficients.columns)
                one[group, 0, len(coefficients.constant) + column] = 1
                weight, _ = coefficients.stored(one)
                with torch.no_grad():
                    answer = functional_call(self.module, state | {self.key: weight}, (inputs,))
                place = group * coefficients.outputs
                outputs = answer[..., place] if self.kind == "linear" else answer[:, place]
                columns.append(outputs.flatten())
            groups.append(torch.stack(columns, dim=1))
        return torch.stack(groups, dim=1)


def _cases() -> dict[str, Case]:
    return {
        "conv3x3": Case(nn.Conv2d(6, 5, 3, padding=1, bias=False), (6, 9, 9)),
        "strided, biased": Case(nn.Conv2d(6, 5, 3, stride=2, padding=1), (6, 9, 9)),
        "dilated, reflected": Case(nn.Conv2d(6, 5, 3, padding=2, dilation=2, padding_mode="reflect"), (6, 9, 9)),
        "circular": Case(nn.Conv2d(6, 5, 3, padding=1, padding_mode="circular"), (6, 5, 7)),
        "same, 2x4": Case(nn.Conv2d(6, 5, (2, 4), padding="same"), (6, 9, 9)),
        "1-d": Case(nn.Conv1d(6, 5, 3, padding=1), (6, 20)),
        "3-d": Case(nn.Conv3d(6, 5, 2), (6, 4, 4, 4)),
        "grouped": Case(nn.Conv2d(12, 10, 3, padding=1, groups=2), (12, 7, 6), groups=2),
        "grouped, strided, 1-d": Case(nn.Conv1d(18, 6, 3, stride=2, groups=3, bias=False), (18, 15), groups=3),
        "transposed": Case(nn.ConvTranspose2d(6, 5, 3, padding=1), (6, 5, 4), "transposed", ("in", "out")),
        "transposed, strided": Case(
            nn.ConvTranspose2d(6, 5, (3, 2), stride=(2, 3), padding=1, output_padding=(1, 0), bias=False),
            (6, 5, 4), "transposed", ("in", "out"),
        ),
        "transposed, dilated, 1-d": Case(
            nn.ConvTranspose1d(6, 5, 3, stride=2, dilation=3, padding=2), (6, 9), "transposed", ("in", "out")
        ),
        "transposed, 3-d": Case(nn.ConvTranspose3d(6, 5, 2, stride=2), (6, 3, 2, 3), "transposed", ("in", "out")),
        "linear": Case(nn.Linear(6, 5), (6,), "linear"),
        "linear on sequences": Case(nn.Linear(6, 5, bias=False), (7, 6), "linear"),
        "stored transposed": Case(Conv1D(6, 5), (7, 6), "linear", ("in", "out")),
    }  # fmt: skip


with torch.random.fork_rng(devices=[]):  # weights that do not depend on which tests were collected before
    torch.manual_seed(0)
    CASES = _cases()
