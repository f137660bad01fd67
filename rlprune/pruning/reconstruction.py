"""Least squares: what is left of a layer's input makes the layer's old output as well as it can.

For a layer with inputs X (rows are sampled patches), weights and bias theta, and A = X^T X / n + ridge I, keeping the
inputs S gives theta' = argmin ||X_S theta'^T - X theta^T||^2 + ridge ||theta' - theta||^2, that is
A_SS theta'^T = A_S: theta^T. The bias is the coefficient of a constant input, so it is counted once.

With the inputs in order of importance and A = L L^T, the right-hand side of the first k inputs is a prefix of
Z = L^T theta^T, and their factor is the leading block of L: every width costs one triangular solve, and the squared
error that remains is ||Z[k:]||^2, which never rises with k. Channel selection by reconstruction: He et al., ICCV 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from rlprune.layers import Convolution

RIDGE = 1e-4


def can_reconstruct(module: nn.Module) -> bool:
    """True for layers that are linear in their input channels: ungrouped convolutions and linear layers."""
    return isinstance(module, nn.Linear) or (isinstance(module, Convolution) and module.groups == 1)


def kernel_size(module: nn.Module) -> int:
    """Weights that join one input to one output channel."""
    weight = module.get_parameter("weight")
    return int(weight[0, 0].numel())


def sample_rows(module: nn.Module, inputs: torch.Tensor, per_sample: int, generator: torch.Generator) -> torch.Tensor:
    """Input patches of a layer at random positions, ``[batch * per_sample, in * kernel]``.

    Args:
        module: a convolution of any dimension, kernel, stride, dilation and padding, or a linear layer.
        inputs: what the layer was called with.
        per_sample: positions drawn for each sample of the batch (fewer where the layer has fewer).
    """
    if isinstance(module, nn.Linear):
        rows = inputs.reshape(inputs.shape[0], -1, inputs.shape[-1])
        count = min(per_sample, rows.shape[1])
        chosen = torch.rand(rows.shape[:2], generator=generator).argsort(1)[:, :count]
        chosen = chosen.to(inputs.device)
        return rows.gather(1, chosen[..., None].expand(-1, -1, rows.shape[-1])).flatten(0, 1)
    if not isinstance(module, Convolution):
        raise TypeError(f"{type(module).__name__} is not linear in its input channels.")
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    patches = functional.pad(inputs, module._reversed_padding_repeated_twice, mode=mode)
    dims = len(module.kernel_size)
    for dim in range(dims):
        span = (module.kernel_size[dim] - 1) * module.dilation[dim] + 1
        patches = patches.unfold(2 + dim, span, module.stride[dim])[..., :: module.dilation[dim]]
    spatial = patches.shape[2 : 2 + dims]
    positions = int(torch.tensor(spatial).prod())
    count = min(per_sample, positions)
    chosen = torch.rand((inputs.shape[0], positions), generator=generator).argsort(1)[:, :count].flatten()
    sample = torch.arange(inputs.shape[0]).repeat_interleave(count)
    where = torch.unravel_index(chosen, spatial)
    patches = patches.movedim(1, 1 + dims)
    return patches[(sample, *where)].flatten(1)


@dataclass(frozen=True, eq=False)
class Normal:
    """The normal matrix of one consumer, its inputs from one group last and channel by channel.

    Attributes:
        matrix: ``float64 [offset + channels * size]`` squared; the first ``offset`` inputs are always kept.
        weight: ``float64 [outputs, channels * size]``.
        energy: squared output error that remains when only the first ``offset`` inputs are kept and refitted.
    """

    matrix: torch.Tensor
    weight: torch.Tensor
    offset: int
    channels: int
    size: int
    energy: float

    @property
    def outputs(self) -> int:
        return int(self.weight.shape[0])

    def blocks(self) -> torch.Tensor:
        """Diagonal blocks of the group's inputs, ``[channels, size, size]``."""
        inner = self.matrix[self.offset :, self.offset :].view(self.channels, self.size, self.channels, self.size)
        return torch.diagonal(inner, dim1=0, dim2=2).permute(2, 0, 1)


class LayerStatistics:
    """A = X^T X of one layer, gathered batch by batch, and everything least squares needs from it.

    Args:
        module: the dense layer.
        ridge: relative to the mean of A's diagonal.
    """

    def __init__(self, module: nn.Module, ridge: float = RIDGE) -> None:
        self.module = module
        self.kernel = kernel_size(module)
        self.ridge = ridge
        weight = module.get_parameter("weight").detach().double().cpu()
        self.weight = weight.flatten(1)
        bias = module.bias
        self.has_bias = isinstance(bias, torch.Tensor)
        constant = (
            bias.detach().double().cpu()[:, None]
            if isinstance(bias, torch.Tensor)
            else weight.new_zeros(len(weight), 0)
        )
        self.theta = torch.cat([constant, self.weight], dim=1)
        self._sum = torch.zeros(self.theta.shape[1], self.theta.shape[1], dtype=torch.float64)
        self.rows = 0

    def add(self, rows: torch.Tensor) -> None:
        """Add input patches ``[n, in * kernel]``."""
        rows = rows.double()
        if self.has_bias:
            rows = torch.cat([rows.new_ones(len(rows), 1), rows], dim=1)
        self._sum.addmm_(rows.T, rows)
        self.rows += len(rows)

    def matrix(self) -> torch.Tensor:
        """A with its ridge, ``float64 [D, D]``."""
        a = self._sum / max(self.rows, 1)
        scale = float(a.diagonal().mean()) or 1.0
        return a + self.ridge * scale * torch.eye(len(a), dtype=torch.float64)

    def inputs_of(self, positions: torch.Tensor) -> torch.Tensor:
        """Columns of theta that belong to these input positions, in their order."""
        columns = positions[:, None] * self.kernel + torch.arange(self.kernel)
        return columns.flatten() + int(self.has_bias)

    def constant(self) -> torch.Tensor:
        """The column of the bias, if there is one."""
        return torch.arange(int(self.has_bias))

    def split(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Fitted ``[outputs, columns]`` as a weight of the layer's shape and a bias, in the layer's own precision."""
        kept = theta[:, int(self.has_bias) :]
        dense = self.module.get_parameter("weight")
        weight = kept.reshape(len(kept), -1, *dense.shape[2:]).to(dense.dtype).contiguous()
        return weight, (theta[:, 0].to(dense.dtype).contiguous() if self.has_bias else None)

    def permuted(self, module: nn.Module, inputs: torch.Tensor) -> LayerStatistics:
        """Statistics of ``module``, whose input positions are ``inputs`` of this layer."""
        other = LayerStatistics(module, self.ridge)
        columns = torch.cat([self.constant(), self.inputs_of(inputs)])
        other._sum, other.rows = self._sum[columns][:, columns], self.rows
        return other

    def normal(self, slots: torch.Tensor) -> Normal:
        """View for choosing among the channels of one group, which stand at ``slots`` (``[repeats, width]``)."""
        mine = self.inputs_of(slots.T.flatten())
        others = torch.ones(self.theta.shape[1], dtype=torch.bool).index_fill_(0, mine, False).nonzero().flatten()
        order = torch.cat([others, mine])
        matrix = self.matrix()[order][:, order]
        factor = torch.linalg.cholesky(matrix)
        lost = factor.T @ self.theta[:, order].T
        energy = max(float(lost[len(others) :].square().sum()), 1e-12)
        size = self.kernel * slots.shape[0]
        return Normal(matrix, self.theta[:, mine].clone(), len(others), slots.shape[1], size, energy)


class PrefixSolver:
    """Refitted weights of one layer for the first k inputs of one order, for every k.

    Args:
        statistics: of the layer.
        order: ``int64 [inputs]``; the layer's input positions, always-kept ones first, then by importance.
    """

    def __init__(self, statistics: LayerStatistics, order: torch.Tensor) -> None:
        self.statistics = statistics
        self.order = order
        columns = torch.cat([statistics.constant(), statistics.inputs_of(order)])
        self.theta = statistics.theta[:, columns]
        self._factor = torch.linalg.cholesky(statistics.matrix()[columns][:, columns])
        self._target = self._factor.T @ self.theta.T
        self._tail = self._target.square().sum(1).flip(0).cumsum(0).flip(0)

    def _columns(self, inputs: int) -> int:
        return int(self.statistics.has_bias) + inputs * self.statistics.kernel

    @property
    def energy(self) -> float:
        """Squared output error that remains with no input but the constant one."""
        return self.error(0)

    def error(self, inputs: int) -> float:
        """Squared output error (mean over rows, summed over outputs) that remains with the first ``inputs`` inputs."""
        k = self._columns(inputs)
        return float(self._tail[k]) if k < len(self._tail) else 0.0

    def solve(self, inputs: int) -> torch.Tensor:
        """theta' of the first ``inputs`` inputs, ``float64 [outputs, columns]``; the dense theta where all are kept."""
        k = self._columns(inputs)
        if k == self.theta.shape[1]:
            return self.theta
        solved: torch.Tensor = torch.linalg.solve_triangular(self._factor[:k, :k].T, self._target[:k], upper=True)
        return solved.T


def solve_subset(statistics: LayerStatistics, kept: torch.Tensor) -> torch.Tensor:
    """theta' for any set of kept input positions (``int64 [k]``), by one direct solve."""
    columns = torch.cat([statistics.constant(), statistics.inputs_of(kept)])
    if len(columns) == statistics.theta.shape[1]:
        return statistics.theta[:, columns]
    matrix = statistics.matrix()[columns]
    theta: torch.Tensor = torch.cholesky_solve(matrix @ statistics.theta.T, torch.linalg.cholesky(matrix[:, columns]))
    return theta.T
