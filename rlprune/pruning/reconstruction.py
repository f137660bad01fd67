"""Least squares: what is left of a layer's input makes the layer's old output as well as it can.

For a layer with inputs X (rows are sampled patches), coefficients theta, and A = X^T X / n + ridge I, keeping the
inputs S and removing R gives theta' = argmin ||X_S theta'^T - X theta^T||^2 + ridge (||theta' - theta_S||^2 + ...),
that is theta'_S^T = theta_S^T + A_SS^-1 A_SR theta_R^T. The ridge pulls towards the dense weights. The bias is the
coefficient of a constant input, so it is counted once. Each group of a grouped convolution is a problem of its own.

With the inputs in order of importance and A = L L^T, this is theta_S^T + L_SS^-T (L_RS)^T theta_R^T for the leading
block of one factor: every width costs one triangular solve. Channel selection by reconstruction: He et al., ICCV 2017.

What was fitted is judged on rows that were held out: where it leaves a larger error there than a plain cut, the layer
is cut and not refitted. With Z = X L^-T and M = L^T theta^T the error of the first k columns is that of Z_k: M_k:, and
of the plain cut X_k: theta_k:^T, so one factor judges all widths.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from typing import Protocol

import torch

from rlprune.pruning.coefficients import Coefficients
from rlprune.pruning.statistics import LayerStatistics

OUTPUTS_AT_ONCE = 4096
SLIGHT = 1e-4
"""Of the energy of a layer's answers: a difference that does not count."""


class Solver(Protocol):
    """Gives the coefficients of one layer for any of the input sets it can lose."""

    coefficients: Coefficients
    """Dense ones."""

    @property
    def bytes(self) -> int: ...

    def helps(self, kept: torch.Tensor) -> bool:
        """Whether a refit for these kept input positions is used: it does no harm on the rows held out."""
        ...

    def solve(self, kept: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Weight and bias for the kept input positions (``int64 [k]``, ascending), as the layer stores them.

        None: as it was, with the other inputs cut off; both where a refit does harm on the rows held out.
        """


class PrefixSolver:
    """Refitted coefficients for the first k inputs of one order, for every k.

    Args:
        statistics: of the layer; not needed afterwards.
        order: ``int64 [inputs]``; the layer's input positions, always-kept ones first, then by importance.
        counts: numbers of inputs that plans keep, each of which is judged by itself; others by the next smaller one.
    """

    def __init__(self, statistics: LayerStatistics, order: torch.Tensor, counts: Sequence[int] = ()) -> None:
        self.coefficients = statistics.coefficients
        self._rank = order.argsort()
        self._columns = torch.cat([self.coefficients.constant, self.coefficients.columns_of(order)])
        matrix = statistics.matrix[:, self._columns[:, None], self._columns].double()
        self._factor: torch.Tensor = torch.linalg.cholesky(matrix).to(statistics.matrix.dtype)
        self._counts = sorted(set(counts))
        self._harmful = self._find_harmful(statistics.held_out[:, :, self._columns].to(self._factor.dtype))

    def _find_harmful(self, rows: torch.Tensor) -> list[int]:
        """At which counts the refit is further from the dense layer's answers to ``rows`` than the plain cut."""
        ends = [len(self.coefficients.constant) + count * self.coefficients.kernel for count in self._counts]
        edges = [*ends, len(self._columns)]
        theta = self.coefficients.theta(self._columns, rows.dtype)
        white = torch.linalg.solve_triangular(self._factor, rows.mT, upper=False).mT
        refit, cut = torch.zeros(2, len(ends), dtype=torch.float64)
        energy = 0.0
        for some in theta.split(OUTPUTS_AT_ONCE, dim=1):
            energy += float((rows @ some.mT).square().sum())
            for errors, inputs, weights in ((refit, white, self._factor.mT @ some.mT), (cut, rows, some.mT)):
                lost = rows.new_zeros(*rows.shape[:2], some.shape[1])
                for place in reversed(range(len(ends))):
                    part = slice(ends[place], edges[place + 1])
                    lost = lost.baddbmm(inputs[:, :, part], weights[:, part])
                    errors[place] += lost.square().sum()
        harm = refit > cut + SLIGHT * energy
        return [count for count, harmful in zip(self._counts, harm.tolist(), strict=True) if harmful]

    def helps(self, kept: torch.Tensor) -> bool:
        """See :class:`Solver`."""
        place = bisect_right(self._counts, len(kept)) - 1
        return not self._counts or self._counts[max(place, 0)] not in self._harmful

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

    def leave(self, counts: Collection[int]) -> None:
        """Use no refit for these numbers of inputs."""
        self._harmful = sorted({*self._harmful, *(set(counts) & set(self._counts))})

    def solve(self, kept: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """See :class:`Solver`; ``kept`` are leading inputs of the order."""
        if not self.helps(kept):
            return None, None
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
        fitted = self.theta(kept)
        return self.coefficients.stored(fitted) if self._improves(kept, fitted) else (None, None)

    def helps(self, kept: torch.Tensor) -> bool:
        """See :class:`Solver`; this solves for them."""
        return self._improves(kept, self.theta(kept))

    def _improves(self, kept: torch.Tensor, fitted: torch.Tensor) -> bool:
        columns = torch.cat([self.coefficients.constant, self.coefficients.columns_of(kept)])
        dense = self.coefficients.theta()
        cut = (-dense).index_fill(2, columns, 0)
        refit = cut.index_copy(2, columns, fitted - dense[:, :, columns])
        return not does_harm(self.statistics.held_out, dense, refit, cut)


def does_harm(rows: torch.Tensor, theta: torch.Tensor, refit: torch.Tensor, cut: torch.Tensor) -> bool:
    """Whether a refit changes a layer's answers to rows that were held out by more than a plain cut does.

    Args:
        rows: ``[groups, rows, columns]``.
        theta: of the dense layer, ``[groups, outputs, columns]``.
        refit, cut: what each adds to it.
    """
    energy, by_refit, by_cut = ((rows @ x.to(rows.dtype).mT).square().sum() for x in (theta, refit, cut))
    return bool(by_refit > by_cut + SLIGHT * energy)


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

    def helps(self, kept: torch.Tensor) -> bool:
        """See :class:`Solver`; a mean is never far off."""
        return True

    def solve(self, kept: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """See :class:`Solver`."""
        bias = self.coefficients.bias
        if bias is None:
            return None, None
        left_out = self.mean.clone()
        left_out[:, self.coefficients.weight_columns_of(kept)] = 0
        weight = self.coefficients.matrix
        lost = weight @ left_out[:, :, None].to(weight)
        of_weight, of_bias = self.coefficients.scales
        return None, bias + lost.flatten() * (of_weight / of_bias)
