"""In which order the channels of a group go.

Both measures give one number a channel, larger meaning more important; ``elimination_order`` gives the order itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from rlprune.layers import kind_of

if TYPE_CHECKING:
    from rlprune.network import Group, Network
    from rlprune.pruning.reconstruction import Normal


def l1(network: Network, group: Group) -> torch.Tensor:
    """L1 norm of the weights that produce each channel, ``float64 [width]`` (Li et al., ICLR 2017).

    Each producer's norms are divided by their mean, so that every layer of a residual sum has the same say.
    """
    modules = dict(network.model.named_modules())
    total = torch.zeros(group.width, dtype=torch.float64)
    for member in group.members:
        if member.side != "out" or member.layer not in group.producers:
            continue
        kind = kind_of(modules[member.layer])
        if kind is None:
            continue
        weight = modules[member.layer].get_parameter("weight").detach().double()
        norms = weight.movedim(kind.tensors["weight"].index("out"), 0).flatten(1).abs().sum(1)
        by_channel = norms[member.slots].sum(0)
        total += by_channel / by_channel.mean().clamp_min(1e-12)
    return total


def contribution(normals: Sequence[Normal]) -> torch.Tensor:
    """Energy each channel sends to its consumers, ``float64 [width]``: tr(W_c A_cc W_c^T), summed over consumers.

    Each consumer's energies are divided by the energy of its whole output.
    """
    total = torch.zeros(normals[0].channels, dtype=torch.float64)
    for normal in normals:
        weight = normal.weight.view(normal.outputs, normal.channels, normal.size)
        blocks = normal.blocks()
        total += torch.einsum("ocs,cst,oct->c", weight, blocks, weight) / normal.energy
    return total


def elimination_order(normals: Sequence[Normal]) -> torch.Tensor:
    """Channels, most important first, by backward elimination with compensation, ``int64 [width]``.

    Again and again the channel goes whose removal hurts the consumers least *after* the remaining weights were
    refitted by least squares; its cost is tr(W_c [(A^-1)_cc]^-1 W_c^T), and the inverse and the weights are updated by
    block elimination. Structured Optimal Brain Surgeon (Hassibi and Stork 1993; as in ZipLM, Kurtic et al., NeurIPS
    2023). The orders of all widths are nested by construction.
    """
    channels = normals[0].channels
    states = [_Elimination(normal) for normal in normals]
    alive = torch.ones(channels, dtype=torch.bool)
    removed: list[int] = []
    for _ in range(channels - 1):
        cost = torch.stack([state.costs() for state in states]).sum(0)
        cost[~alive] = torch.inf
        worst = int(cost.argmin())
        alive[worst] = False
        removed.append(worst)
        for state in states:
            state.remove(worst)
    removed.append(int(alive.nonzero()))
    return torch.tensor(removed[::-1], dtype=torch.int64)


class _Elimination:
    """Inverse normal matrix and refitted weights of one consumer while channels leave."""

    def __init__(self, normal: Normal) -> None:
        self.channels, self.size, self.outputs = normal.channels, normal.size, normal.outputs
        self.inverse = torch.cholesky_inverse(torch.linalg.cholesky(normal.matrix))[normal.offset :, normal.offset :]
        self.weight = normal.weight.clone()
        self.energy = normal.energy
        self.gone = torch.zeros(self.channels, dtype=torch.bool)

    def costs(self) -> torch.Tensor:
        shape = (self.channels, self.size, self.channels, self.size)
        blocks = torch.diagonal(self.inverse.view(shape), dim1=0, dim2=2).permute(2, 0, 1).clone()
        blocks[self.gone] = torch.eye(self.size, dtype=torch.float64)
        weight = self.weight.view(self.outputs, self.channels, self.size)
        solved = torch.linalg.solve(blocks, weight.permute(1, 2, 0))
        cost: torch.Tensor = (weight.permute(1, 2, 0) * solved).sum((1, 2))
        return cost / self.energy

    def remove(self, channel: int) -> None:
        rows = slice(channel * self.size, (channel + 1) * self.size)
        block = self.inverse[rows, rows]
        column = self.inverse[:, rows]
        step = torch.linalg.solve(block, column.T)
        self.weight -= self.weight[:, rows] @ step
        self.inverse = self.inverse - column @ step
        self.inverse[rows, :] = 0
        self.inverse[:, rows] = 0
        self.weight[:, rows] = 0
        self.gone[channel] = True
