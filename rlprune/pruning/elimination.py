"""Backward elimination of channels with compensation: Optimal Brain Surgeon on whole channels.

Again and again the channel goes whose removal hurts the consumers least *after* their remaining weights were refitted
by least squares: its cost is tr(W_c (H_cc)^-1 W_c^T), H = A^-1. Then H and W of what is left are updated by block
elimination. (Hassibi and Stork 1993; for structures as in ZipLM, Kurtic et al., NeurIPS 2023.)

Costs need W only as K = W^T W, so the number of outputs does not matter. With b = H_p:, y = H_pp^-1 b and
p = K_p: - K_pp y / 2, removing channel p means H <- H - b^T y and K <- K - p^T y - y^T p. As in a pivoted Cholesky
factorisation, these updates are put off for a panel of channels: only the diagonal blocks are kept up to date, a row is
brought up to date when it is needed, and the rest follows in a few large products (LAPACK's ``pstrf``; Lucas 2004).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from rlprune.pruning.statistics import diagonal_blocks

PANEL_COLUMNS = 128


@dataclass(frozen=True, eq=False)
class Consumers:
    """What elimination needs to know of layers whose channels have one size; the matrices are overwritten.

    Attributes:
        inverse: H of the group's inputs, channel by channel, ``[n, channels * size, channels * size]``.
        gram: W^T W divided by the energy of the layer's output, of the same shape and precision.
        size: inputs of one channel, kernel elements counted.
        owners: which layer each of the n matrices belongs to, counted through all sizes; the groups of a grouped
            convolution have one each.
    """

    inverse: torch.Tensor
    gram: torch.Tensor
    size: int
    owners: Sequence[int]


@dataclass(frozen=True, eq=False)
class Elimination:
    """What an elimination found: the order of the columns, and what each one's loss costs.

    Attributes:
        order: channels, most important first, ``int64 [width]``.
        errors: for each consumer, and then each row of fixed costs, the squared error that remains with the first k
            channels of the order, k = 0 ... width, ``float64 [consumers, width + 1]``.
    """

    order: torch.Tensor
    errors: torch.Tensor


def eliminate(
    consumers: Sequence[Consumers], fixed: torch.Tensor | None = None, order: torch.Tensor | None = None
) -> Elimination:
    """Remove all channels, one after the other.

    Args:
        consumers: those whose compensation is known.
        fixed: costs that do not depend on what else was removed, ``float64 [rows, width]``.
        order: channels, most important first, where they are not to be chosen here.
    """
    width = consumers[0].inverse.shape[1] // consumers[0].size if fixed is None else fixed.shape[1]
    fixed = torch.zeros(0, width, dtype=torch.float64) if fixed is None else fixed
    stacks = [_Stack(alike) for alike in consumers]
    layers = 1 + max((owner for alike in consumers for owner in alike.owners), default=-1)
    places = torch.arange(width)  # the channel at each place; those that are left come first
    removed: list[int] = []
    costs: list[torch.Tensor] = []
    asked = None if order is None else order.flip(0).tolist()
    while len(removed) < width:
        active = width - len(removed)
        panel = min(active, max(1, PANEL_COLUMNS // max((stack.size for stack in stacks), default=1)))
        gone = torch.zeros(active, dtype=torch.bool)
        for stack in stacks:
            stack.open(active, panel)
        for _ in range(panel):
            if asked is None:
                total = fixed[:, places[:active]].sum(0) + sum(stack.costs.sum(0) for stack in stacks)
                place = int(total.masked_fill(gone, torch.inf).argmin())
            else:
                place = int((places[:active] == asked[len(removed)]).nonzero())
            channel = int(places[place])
            cost = torch.zeros(layers + len(fixed), dtype=torch.float64)
            cost[layers:] = fixed[:, channel]
            for stack in stacks:
                cost.index_add_(0, stack.owners, stack.costs[:, place].double().clamp_min(0))
                stack.remove(place)
            costs.append(cost)
            removed.append(channel)
            gone[place] = True
        tail = torch.arange(active - panel, active)
        moved, holes = tail[~gone[active - panel :]], gone[: active - panel].nonzero().flatten()
        places[holes] = places[moved]
        for stack in stacks:
            stack.close(moved, holes)
    errors = torch.stack([torch.zeros_like(costs[0]), *costs]).cumsum(0).flip(0).T
    return Elimination(torch.tensor(removed[::-1], dtype=torch.int64), errors)


class _Stack:
    """Consumers with channels of one size: H and K of what is left, and updates that were put off."""

    def __init__(self, consumers: Consumers) -> None:
        self.inverse, self.gram, self.size = consumers.inverse, consumers.gram, consumers.size
        self.dtype = consumers.inverse.dtype
        self.owners = torch.tensor(consumers.owners)

    def open(self, active: int, panel: int) -> None:
        """Begin a panel of removals among the first ``active`` channels."""
        self.active, self.end, self.filled = active, active * self.size, 0
        shape = (len(self.inverse), panel * self.size, self.end)
        self.b, self.y, self.p = (torch.empty(shape, dtype=self.dtype) for _ in range(3))
        self.inverse_blocks, self.gram_blocks = (
            diagonal_blocks(matrix[:, : self.end, : self.end], self.size).clone()
            for matrix in (self.inverse, self.gram)
        )
        self._update_costs()

    def _update_costs(self) -> None:
        if self.size == 1:
            self.costs = (self.gram_blocks / self.inverse_blocks).flatten(1)
        else:
            self.costs = (torch.linalg.inv(self.inverse_blocks) * self.gram_blocks).sum((2, 3))

    def remove(self, place: int) -> None:
        """Take out the channel at ``place`` and bring the diagonal blocks and costs of the others up to date."""
        columns, done = slice(place * self.size, (place + 1) * self.size), slice(0, self.filled)
        b, y, p = self.b[:, done], self.y[:, done], self.p[:, done]
        row = torch.baddbmm(self.inverse[:, columns, : self.end], b[:, :, columns].mT, y, alpha=-1)
        weights = torch.baddbmm(self.gram[:, columns, : self.end], p[:, :, columns].mT, y, alpha=-1)
        weights.baddbmm_(y[:, :, columns].mT, p, alpha=-1)
        step = torch.linalg.inv(row[:, :, columns].double()).to(self.dtype) @ row
        half = torch.baddbmm(weights, weights[:, :, columns], step, alpha=-0.5)
        self._note(row, step, half)
        row, step, half = (x.unflatten(2, (self.active, self.size)).transpose(1, 2) for x in (row, step, half))
        self.inverse_blocks -= row.mT @ step
        change = half.mT @ step
        self.gram_blocks -= change + change.mT
        self.inverse_blocks[:, place] = torch.eye(self.size, dtype=self.dtype)
        self.gram_blocks[:, place] = 0
        self._update_costs()

    def _note(self, row: torch.Tensor, step: torch.Tensor, half: torch.Tensor) -> None:
        rows = slice(self.filled, self.filled + self.size)
        self.b[:, rows], self.y[:, rows], self.p[:, rows] = row, step, half
        self.filled += self.size

    def close(self, moved: torch.Tensor, holes: torch.Tensor) -> None:
        """Put the channels at ``moved`` into ``holes`` and bring all that is left up to date."""
        end = self.end - self.filled
        for matrix in (self.inverse, self.gram):
            rows = matrix.unflatten(1, (-1, self.size))[..., : self.end]
            rows[:, holes] = rows[:, moved]
            columns = matrix[:, :end].unflatten(2, (-1, self.size))
            columns[:, :, holes] = columns[:, :, moved]
        for waiting in (self.b, self.y, self.p):
            columns = waiting.unflatten(2, (-1, self.size))
            columns[:, :, holes] = columns[:, :, moved]
        left = slice(0, end)
        for number in range(len(self.inverse)):
            b, y, p = (waiting[number, :, left] for waiting in (self.b, self.y, self.p))
            self.inverse[number, left, left].addmm_(b.T, y, alpha=-1)
            self.gram[number, left, left].addmm_(p.T, y, alpha=-1).addmm_(y.T, p, alpha=-1)
