"""Least squares: what is left of a layer's input makes the layer's old output as well as it can.

For a layer with inputs X (rows are sampled patches), coefficients theta, and A = X^T X / n + ridge I, keeping the
inputs S and removing R gives theta' = argmin ||X_S theta'^T - X theta^T||^2 + ridge (||theta' - theta_S||^2 + ...),
that is theta'_S^T = theta_S^T + A_SS^-1 A_SR theta_R^T. The ridge pulls towards the dense weights. The bias is the
coefficient of a constant input, so it is counted once. Each group of a grouped convolution is a problem of its own.

With the inputs in order of importance and A = L L^T, this is theta_S^T + L_SS^-T (L_RS)^T theta_R^T for the leading
block of one factor: every width costs one triangular solve. Channel selection by reconstruction: He et al., ICCV 2017.
"""

from __future__ import annotations

from typing import Protocol

import torch

from rlprune.pruning.coefficients import Coefficients
from rlprune.pruning.statistics import LayerStatistics


class Solver(Protocol):
    """Gives the coefficients of one layer for any of the input sets it can lose."""

    coefficients: Coefficients
    """Dense ones."""

    @property
    def bytes(self) -> int: ...

    def solve(self, kept: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Weight and bias for the kept input positions (``int64 [k]``, ascending), as the layer stores them.

        None: as it was, with the other inputs cut off.
        """


class PrefixSolver:
    """Refitted coefficients for the first k inputs of one order, for every k.

    Args:
        statistics: of the layer; not needed afterwards.
        order: ``int64 [inputs]``; the layer's input positions, always-kept ones first, then by importance.
    """

    def __init__(self, statistics: LayerStatistics, order: torch.Tensor) -> None:
        self.coefficients = statistics.coefficients
        self._rank = order.argsort()
        self._columns = torch.cat([self.coefficients.constant, self.coefficients.columns_of(order)])
        matrix = statistics.matrix[:, self._columns[:, None], self._columns].double()
        self._factor: torch.Tensor = torch.linalg.cholesky(matrix).to(statistics.matrix.dtype)

    @property
    def bytes(self) -> int:
        return self._factor.numel() * self._factor.itemsize

    def theta(self, inputs: int) -> torch.Tensor:
        """theta' of the first ``inputs`` inputs in their order, ``[groups, outputs, columns]``."""
        k = len(self.coefficients.constant) + inputs * self.coefficients.kernel
        theta = self.coefficients.theta(self._columns)
        if k == theta.shape[2]:
            return theta
        lost = self._factor[:, k:, :k].mT @ theta[:, :, k:].mT.to(self._factor.dtype)
        step: torch.Tensor = torch.linalg.solve_triangular(self._factor[:, :k, :k].mT, lost, upper=True)
        return theta[:, :, :k] + step.mT

    def solve(self, kept: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """See :class:`Solver`; ``kept`` are leading inputs of the order."""
        columns = torch.cat([self.coefficients.constant, self.coefficients.columns_of(self._rank[kept])])
        return self.coefficients.stored(self.theta(len(kept))[:, :, columns])


class SubsetSolver:
    """Refitted coefficients for any set of inputs, by one direct solve for each."""

    def __init__(self, statistics: LayerStatistics) -> None:
        self.statistics = statistics
        self.coefficients = statistics.coefficients

    @property
    def bytes(self) -> int:
        return self.statistics.bytes

    def theta(self, kept: torch.Tensor) -> torch.Tensor:
        """theta' of the kept inputs, ``[groups, outputs, columns]``."""
        columns = torch.cat([self.coefficients.constant, self.coefficients.columns_of(kept)])
        theta = self.coefficients.theta()
        left_out = torch.ones(theta.shape[2], dtype=torch.bool).index_fill_(0, columns, False)
        if not left_out.any():
            return theta
        matrix = self.statistics.matrix[:, columns]
        lost = matrix[:, :, left_out].double() @ theta[:, :, left_out].mT
        step = torch.cholesky_solve(lost, torch.linalg.cholesky(matrix[:, :, columns].double()))
        return theta[:, :, columns] + step.mT

    def solve(self, kept: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """See :class:`Solver`."""
        return self.coefficients.stored(self.theta(kept))


class MeanSolver:
    """Leaves the weight and adds to the bias what the removed inputs gave on average.

    Args:
        coefficients: of the layer, with a bias.
        mean: of each input and kernel element, ``float64 [groups, inputs * kernel]``.
    """

    def __init__(self, coefficients: Coefficients, mean: torch.Tensor) -> None:
        self.coefficients = coefficients
        self.mean = mean

    @property
    def bytes(self) -> int:
        return self.mean.numel() * self.mean.itemsize

    def solve(self, kept: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """See :class:`Solver`."""
        bias = self.coefficients.bias
        if bias is None:
            return None, None
        left_out = self.mean.clone()
        left_out[:, self.coefficients.weight_columns_of(kept)] = 0
        weight = self.coefficients.matrix
        lost = weight @ left_out[:, :, None].to(weight)
        return None, bias + lost.flatten()
