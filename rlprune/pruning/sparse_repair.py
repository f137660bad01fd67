"""Least squares for weights that were removed one by one: what remains of each output row makes up for what is gone.

For a row theta with inputs X, A = X^T X / n + ridge I, a support S and removed entries R that hold a fixed value f (0,
or the mean of what was removed), the row that changes the layer's output least is

    theta'_S = theta_S + A_SS^-1 A_SR (theta_R - f),    equally    theta'_S = theta_S - B_SR B_RR^-1 (theta_R - f)

with B = A^-1: the second is the optimal brain surgeon of many weights at once (Hassibi and Stork 1993; Frantar and
Alistarh, SparseGPT, arXiv:2301.00774, who approximate it to share work between rows). Here every row has its own
support and is solved exactly, in float64, in the form that solves the smaller system. The bias, the coefficient of the
constant input, always remains, and the ridge pulls towards the dense weights.

Cost: for each row a Cholesky factor of min(|S|, |R|) columns, most at density 0.5. There, on one core: a convolution of
64 channels and 3x3 (64 rows of 576 columns) 0.3 s, 64 rows of 784 columns 1 s, a row of 4608 columns 1.5 s.

:func:`rough` comes close with a few products of all rows at once: conjugate gradients (Hestenes and Stiefel 1952) on
A_SS x = A_SR (theta_R - f) from x = 0, each step of which lowers the output error. The first steps win most, because
what inputs have in common, such as their mean, makes a few eigenvalues of A large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from rlprune.pruning.coefficients import Coefficients
from rlprune.pruning.statistics import LayerStatistics

Refit = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float], torch.Tensor]
"""Dense rows and their supports ``[groups, outputs, columns]``, A ``[groups, columns, columns]``, fill -> new rows."""

ROUGH_STEPS = 4
SMALLEST = 1e-30
BATCH_ELEMENTS = 2**25
"""Of the systems that are solved at once: 256 MiB of float64."""


def sparse_repaired(
    statistics: LayerStatistics, mask: torch.Tensor, fill: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight and bias of a layer of which only the entries in ``mask`` remain free.

    Args:
        statistics: of what the layer reads, with its dense coefficients, finished.
        mask: ``bool``, of the weight's shape as the layer stores it; True where an entry remains.
        fill: what the removed entries hold.

    Returns:
        The weight and the bias as the layer stores them; the same values as before where nothing was removed.
    """
    coefficients = statistics.coefficients
    kept = columns_kept(coefficients, mask)
    return coefficients.stored(exact(coefficients.theta(), kept, statistics.matrix, fill))


def exact(theta: torch.Tensor, kept: torch.Tensor, matrix: torch.Tensor, fill: float) -> torch.Tensor:
    """:func:`refit` of every group of a layer; see :data:`Refit`."""
    groups = zip(theta, kept, matrix, strict=True)
    return torch.stack([refit(rows, free, each.double().contiguous(), fill) for rows, free, each in groups])


def rough(
    theta: torch.Tensor, kept: torch.Tensor, matrix: torch.Tensor, fill: float, steps: int = ROUGH_STEPS
) -> torch.Tensor:
    """About what :func:`exact` gives, by a few steps of conjugate gradients in float32."""
    lost = torch.where(kept, 0.0, theta - fill)
    unit = lost.abs().max().clamp_min(SMALLEST)  # float32 holds the squares of nothing else
    matrix = matrix.float()
    scale = kept / matrix.diagonal(dim1=1, dim2=2)[:, None]
    left = (lost / unit).float() @ matrix  # only its kept entries count
    answer, direction, before = torch.zeros_like(left), torch.zeros_like(left), torch.ones(1)
    for _ in range(steps):
        scaled = left * scale
        size = _dots(left, scaled)
        direction = scaled + size / before * direction
        image = direction @ matrix
        step = size / _dots(direction, image)
        answer, left, before = answer + step * direction, left - step * image, size
    return torch.where(kept, theta + unit * answer, fill)


def _dots(rows: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Products of rows, ``[..., 1]``; never below a number by which one can divide."""
    products: torch.Tensor = torch.linalg.vecdot(rows, others)[..., None]
    return products.clamp_min(SMALLEST)


def refit(theta: torch.Tensor, kept: torch.Tensor, matrix: torch.Tensor, fill: float = 0.0) -> torch.Tensor:
    """Rows with their removed entries at ``fill`` and the others refitted.

    Args:
        theta: dense rows, ``float64 [outputs, columns]``.
        kept: their supports, ``bool [outputs, columns]``.
        matrix: A, positive definite, ``float64 [columns, columns]``.
    """
    change = torch.where(kept, 0.0, fill - theta)
    by_removed = int((~kept).sum()) < int(kept.sum())
    system = torch.cholesky_inverse(torch.linalg.cholesky(matrix)) if by_removed else matrix
    solved = ~kept if by_removed else kept
    # Either what is removed is forced to its change, or what remains answers to it.
    wanted = change if by_removed else -change @ matrix
    answer = torch.zeros_like(theta)
    for rows in _batches(solved.sum(1)):
        answer[rows] = _solve(system, solved[rows], wanted[rows])
    return torch.where(kept, theta + (answer @ system if by_removed else answer), torch.full_like(theta, fill))


def columns_kept(coefficients: Coefficients, mask: torch.Tensor) -> torch.Tensor:
    """The mask as the coefficients are laid out, ``bool [groups, outputs, columns]``; a bias always remains."""
    laid_out = Coefficients(
        mask, None, out_dim=coefficients.out_dim, in_dim=coefficients.in_dim, groups=coefficients.groups
    ).matrix.cpu()
    constant = laid_out.new_ones(*laid_out.shape[:2], len(coefficients.constant))
    return torch.cat([constant, laid_out], dim=2)


def _batches(sizes: torch.Tensor) -> Iterator[torch.Tensor]:
    """Rows with something to solve, those of like size together, as many as fit."""
    order = sizes.argsort()
    order = order[sizes[order] > 0]
    while len(order):
        largest = int(sizes[order[-1]])
        count = max(1, BATCH_ELEMENTS // largest**2)
        yield order[-count:]
        order = order[:-count]


def _solve(system: torch.Tensor, members: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """x with x zero outside ``members`` and (system x) equal to ``wanted`` within, row by row; all ``[rows, columns]``.

    Rows with fewer members than the largest are filled up with equations 1 x = 0.
    """
    size = int(members.sum(1).max())
    columns = members.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :size]
    real = members.gather(1, columns)
    blocks = system[columns[:, :, None], columns[:, None, :]]
    blocks = torch.where(real[:, :, None] & real[:, None, :], blocks, torch.eye(size, dtype=system.dtype))
    right = torch.where(real, wanted.gather(1, columns), 0.0)
    solved = torch.cholesky_solve(right[:, :, None], torch.linalg.cholesky(blocks))[:, :, 0]
    return torch.zeros_like(wanted).scatter(1, columns, torch.where(real, solved, 0.0))
