"""Sides of layers: which groups share one, and which of its positions a plan leaves."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rlprune.networks.layers import Side
from rlprune.networks.network import Network


@dataclass(frozen=True, eq=False)
class LayerAxis:
    """One side of a layer in the permuted network, where every plan keeps leading channels.

    Attributes:
        groups: numbers of the groups that stand on it.
        slots: where, for each of them (``int64 [repeats, width]``).
        size: positions of the dense layer.
    """

    groups: tuple[int, ...]
    slots: tuple[torch.Tensor, ...]
    size: int

    def widths(self, row: tuple[int, ...]) -> tuple[int, ...]:
        """Those of its groups, from the widths of all groups."""
        return tuple(row[group] for group in self.groups)

    def kept(self, widths: tuple[int, ...]) -> torch.Tensor:
        """Positions that are left, ascending, where its groups have ``widths``."""
        removed = torch.zeros(self.size, dtype=torch.bool)
        for slots, width in zip(self.slots, widths, strict=True):
            removed[slots[:, width:].flatten()] = True
        return (~removed).nonzero().flatten()

    def by_importance(self) -> torch.Tensor:
        """All positions: those of no group, then channel by channel; for an axis with one group."""
        mine = self.slots[0].T.flatten()
        others = torch.ones(self.size, dtype=torch.bool).index_fill_(0, mine, False).nonzero().flatten()
        return torch.cat([others, mine])


def find_axes(network: Network) -> dict[tuple[str, Side], LayerAxis]:
    """(layer name, side) -> its groups, for every side that a group stands on."""
    parts: dict[tuple[str, Side], list[tuple[int, torch.Tensor]]] = {}
    for index, group in enumerate(network.groups):
        for member in group.weighted:
            parts.setdefault((member.layer, member.side), []).append((index, member.slots))
    sizes = {layer.name: {"out": layer.out_width, "in": layer.in_width} for layer in network.layers}
    return {
        (name, side): LayerAxis(tuple(i for i, _ in owned), tuple(s for _, s in owned), sizes[name][side])
        for (name, side), owned in parts.items()
    }
