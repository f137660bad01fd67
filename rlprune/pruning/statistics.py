"""Second moments of what a layer reads: all that least squares and the order of channels need."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import torch

from rlprune.pruning.coefficients import Coefficients

RIDGE = 1e-4
DOUBLE_COLUMNS = 1024
BLOCK_COLUMNS = 512
CHUNKS = 16
SMALLEST_MEAN = 1e-6
ROUNDING = 16
HELD_OUT_ROWS = 256
"""Of each layer, about: enough to tell a refit that does harm from one that helps."""
HELD_OUT_DTYPE = torch.float32


def stored_dtype(columns: int) -> torch.dtype:
    """Precision in which a matrix of this size is kept.

    The ridge is 1e-4 of the mean diagonal, or more where rounding moves eigenvalues by more than that: where large
    inputs are nearly alike. So large matrices lose nothing that counts.
    """
    return torch.float64 if columns <= DOUBLE_COLUMNS else torch.float32


def matrix_bytes(columns: int, groups: int = 1) -> int:
    """Memory of the statistics of a layer with so many columns in each group, rows held out counted."""
    return groups * columns * (columns * stored_dtype(columns).itemsize + HELD_OUT_ROWS * HELD_OUT_DTYPE.itemsize)


def submatrix(matrix: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Rows and columns of ``[..., n, n]``; a view where they are consecutive."""
    start, count = int(columns[0]) if len(columns) else 0, len(columns)
    if torch.equal(columns, torch.arange(start, start + count)):
        return matrix[..., start : start + count, start : start + count]
    return matrix[..., columns[:, None], columns]


def diagonal_blocks(matrix: torch.Tensor, size: int) -> torch.Tensor:
    """Blocks on the diagonal of ``[groups, channels * size, channels * size]``: ``[groups, channels, size, size]``."""
    channels = matrix.shape[-1] // size
    blocks = matrix.unflatten(2, (channels, size)).unflatten(1, (channels, size))
    diagonal: torch.Tensor = blocks.diagonal(dim1=1, dim2=3)
    return diagonal.permute(0, 3, 1, 2)


class LayerStatistics:
    """A = X^T X / s + ridge I of one layer, gathered batch by batch.

    The scale s, which least squares does not see, makes the mean of the diagonals 1. A is kept for each group of a
    grouped convolution on its own, in float64, or in float32 where it is large. The ridge never falls below what
    rounding can do to the largest eigenvalue, so A is positive definite whatever the inputs are.

    Args:
        coefficients: of the dense layer.
        ridge: relative to the mean of each group's diagonal.

    Attributes:
        matrix: A, ``[groups, columns, columns]``, after :meth:`finish`.
        rows: what was added.
        held_out: rows of samples that A does not know, ``[groups, rows, columns]``, after :meth:`finish`.
    """

    def __init__(self, coefficients: Coefficients, ridge: float = RIDGE) -> None:
        self.coefficients = coefficients
        self.ridge = ridge
        columns = coefficients.columns
        self.matrix = torch.zeros(coefficients.groups, columns, columns, dtype=stored_dtype(columns))
        self.rows = 0
        self.held_out = torch.zeros(coefficients.groups, 0, columns, dtype=HELD_OUT_DTYPE)
        self._held: list[torch.Tensor] = []

    @property
    def bytes(self) -> int:
        return sum(tensor.numel() * tensor.itemsize for tensor in (self.matrix, self.held_out))

    def hold_out(self, rows: torch.Tensor) -> None:
        """Keep input rows, as for :meth:`add`, for judging what was fitted to the others."""
        self._held.append(self._with_constant(rows.to("cpu", HELD_OUT_DTYPE)).transpose(0, 1))

    def _with_constant(self, rows: torch.Tensor) -> torch.Tensor:
        if self.coefficients.bias is None:
            return rows
        return torch.cat([rows.new_ones(*rows.shape[:2], 1), rows], dim=2)

    def add(self, rows: torch.Tensor) -> None:
        """Add input rows ``[n, groups, inputs * kernel]`` (see :func:`rlprune.pruning.sampling.sample_rows`)."""
        rows = self._with_constant(rows.to("cpu", self.matrix.dtype))
        for total, part in zip(self.matrix, rows.unbind(1), strict=True):
            for start in range(0, len(total), BLOCK_COLUMNS):  # the lower triangle is enough
                stop = start + BLOCK_COLUMNS
                total[start:stop, :stop].addmm_(part[:, start:stop].T, part[:, :stop])
        self.rows += len(rows)

    @property
    def finite(self) -> bool:
        return bool(self.matrix.diagonal(dim1=1, dim2=2).isfinite().all())

    def finish(self) -> LayerStatistics:
        """Turn the sum into A; nothing can be added afterwards."""
        for total in self.matrix:
            for start in range(0, len(total), BLOCK_COLUMNS):
                stop = start + BLOCK_COLUMNS
                total[:start, start:stop] = total[start:stop, :start].T
        limits = torch.finfo(self.matrix.dtype)
        scale = float(self.matrix.diagonal(dim1=1, dim2=2).double().mean())
        self.matrix *= 1 / scale if scale > limits.tiny / limits.eps else 0.0  # below it, only rounding errors are left
        for total in self.matrix:
            diagonal, largest = total.diagonal(), float(torch.linalg.vector_norm(total, dtype=torch.float64))
            diagonal += max(self.ridge * max(float(diagonal.mean()), SMALLEST_MEAN), ROUNDING * limits.eps * largest)
        self.held_out = torch.cat([self.held_out, *self._held], dim=1)
        self._held = []
        return self

    @cached_property
    def energy(self) -> float:
        """Squared output error, summed over outputs, with no input but the constant one; in units of s."""
        first = len(self.coefficients.constant)
        weight = self.coefficients.theta(dtype=self.matrix.dtype)[:, :, first:]
        energy = ((weight @ self.matrix[:, first:, first:]) * weight).sum(dtype=torch.float64)
        if first:
            mean = weight @ self.matrix[:, first:, :1]
            energy -= (mean.square() / self.matrix[:, :1, :1]).sum(dtype=torch.float64)
        return max(float(energy), 1e-12)

    def inverse(self) -> torch.Tensor:
        """A^-1, in A's precision, ``[groups, columns, columns]``."""
        return torch.cholesky_inverse(torch.linalg.cholesky(self.matrix.double())).to(self.matrix.dtype)

    def columns_of(self, slots: torch.Tensor) -> torch.Tensor:
        """Columns of the channels that stand at ``slots`` (``[repeats, width]``), channel by channel."""
        return self.coefficients.columns_of(slots.T.flatten())

    def contribution(self, slots: torch.Tensor) -> torch.Tensor:
        """Energy each channel sends to the layer's output, as a share of that output's, ``float64 [width]``."""
        columns = self.columns_of(slots)
        size = len(columns) // slots.shape[1]
        blocks = diagonal_blocks(submatrix(self.matrix, columns), size).double()
        return energies(self.coefficients.theta(columns), blocks) / self.energy

    def permuted(self, coefficients: Coefficients, inputs: torch.Tensor, groups: torch.Tensor) -> LayerStatistics:
        """Statistics of a layer whose input positions and groups are ``inputs`` and ``groups`` of this one."""
        other = LayerStatistics.__new__(LayerStatistics)
        other.coefficients, other.ridge, other.rows = coefficients, self.ridge, self.rows
        columns = torch.cat([coefficients.constant, coefficients.columns_of(inputs)])
        other.matrix = self.matrix[groups[:, None, None], columns[:, None], columns]
        other.held_out = self.held_out[groups[:, None], :, columns].movedim(1, 2)
        return other


class ChannelMoments:
    """Mean and second moments of each channel by itself, of a layer whose whole matrix is too large.

    Args:
        coefficients: of the dense layer.
        slots: group name -> where its channels stand on the input side (``[repeats, width]``).

    Attributes:
        mean: of each input and kernel element, ``float64 [groups, inputs * kernel]``, after :meth:`finish`.
    """

    def __init__(self, coefficients: Coefficients, slots: Mapping[str, torch.Tensor]) -> None:
        self.coefficients = coefficients
        self._columns = {name: coefficients.weight_columns_of(item.T.flatten()) for name, item in slots.items()}
        self._widths = {name: item.shape[1] for name, item in slots.items()}
        self.mean = torch.zeros(coefficients.groups, coefficients.weight_columns, dtype=torch.float64)
        self._blocks: dict[str, torch.Tensor] = {}
        self.rows = 0

    @property
    def bytes(self) -> int:
        return sum(tensor.numel() * tensor.itemsize for tensor in (self.mean, *self._blocks.values()))

    def hold_out(self, rows: torch.Tensor) -> None:
        """Nothing is fitted that could do harm: these rows are left out."""

    def add(self, rows: torch.Tensor) -> None:
        """Add input rows ``[n, groups, inputs * kernel]``."""
        rows = rows.to("cpu")
        self.mean += rows.sum(0, dtype=torch.float64)
        for name, columns in self._columns.items():
            mine = rows[:, :, columns].unflatten(2, (self._widths[name], -1)).permute(1, 2, 3, 0)
            self._blocks[name] = self._blocks.get(name, 0) + (mine @ mine.mT).double()
        self.rows += len(rows)

    @property
    def finite(self) -> bool:
        return all(bool(tensor.isfinite().all()) for tensor in (self.mean, *self._blocks.values()))

    def finish(self) -> ChannelMoments:
        """Turn sums into means; the blocks are taken around the mean where a bias can make up for it."""
        self.mean /= max(self.rows, 1)
        for name, columns in self._columns.items():
            self._blocks[name] /= max(self.rows, 1)
            if self.coefficients.bias is not None:
                mean = self.mean[:, columns].unflatten(1, (self._widths[name], -1))
                self._blocks[name] -= mean[..., None] * mean[..., None, :]
        return self

    def contribution(self, name: str) -> torch.Tensor:
        """Energy each channel of a group sends to the output, as a share of what all send, ``float64 [width]``."""
        width = self._widths[name]
        step = max(1, width // CHUNKS)  # the weight may be too large for a second copy in float64
        parts = zip(self._columns[name].view(width, -1).split(step), self._blocks[name].split(step, 1), strict=True)
        weight = self.coefficients.matrix
        energy = torch.cat([energies(weight[:, :, part].to("cpu", torch.float64), blocks) for part, blocks in parts])
        return energy / energy.sum().clamp_min(1e-12)


def energies(weight: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
    """tr(W_c A_cc W_c^T) of each channel, summed over groups; weight ``[groups, outputs, channels * size]``."""
    channels, size = blocks.shape[1:3]
    mine = weight.reshape(len(weight), -1, channels, size).permute(0, 2, 3, 1)
    return ((mine @ mine.mT) * blocks).sum((0, 2, 3))
