"""In which order the channels of a group go, and what each width costs the layers that read them.

Three measures. ``elimination`` removes the channel whose loss hurts least after refitting, again and again (see
:mod:`rlprune.pruning.elimination`). ``contribution`` sorts by the energy a channel sends to its consumers. ``l1`` sorts
by the weights that produce a channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from rlprune.arrays import FloatArray
from rlprune.networks.tensors import tensor_named
from rlprune.pruning.elimination import Consumers, eliminate
from rlprune.pruning.statistics import ChannelMoments, LayerStatistics, stored_dtype, submatrix

if TYPE_CHECKING:
    from rlprune.networks.couplings import Member
    from rlprune.networks.groups import Group
    from rlprune.networks.network import Network

IMPORTANCES = ("elimination", "contribution", "l1")
GIB = 2**30


def l1(network: Network, group: Group) -> torch.Tensor:
    """L1 norm of the weights that produce each channel, ``float64 [width]`` (Li et al., ICLR 2017).

    Each producer's norms are divided by their mean, so that every layer of a residual sum has the same say.
    """
    layers = {layer.name: layer for layer in network.layers}
    total = torch.zeros(group.width, dtype=torch.float64)
    for member in group.members:
        if member.side != "out" or member.layer not in group.producers:
            continue
        layer = layers[member.layer]
        if layer.weight is None:
            continue
        weight = tensor_named(network.model, layer.weight).detach().to("cpu", torch.float64)
        norms = weight.movedim(layer.tensors[layer.weight].index("out"), 0).flatten(1).abs().sum(1)
        by_channel = norms[member.slots].sum(0)
        total += by_channel / by_channel.mean().clamp_min(1e-12)
    return total


def by_l1(network: Network) -> dict[str, torch.Tensor]:
    """Group name -> its channels, those of the largest :func:`l1` norm first."""
    return {group.name: l1(network, group).argsort(descending=True, stable=True) for group in network.groups}


@dataclass(frozen=True, eq=False)
class Ranking:
    """Channels of one group.

    Attributes:
        order: most important first, ``int64 [width]``.
        curve: share of the consumers' output energy that cannot be restored with the first k, k = 0 ... width.
        approximate: why some consumers were judged without what compensation could restore, or None.
    """

    order: torch.Tensor
    curve: FloatArray
    approximate: str | None


class Ranker:
    """Ranks the channels of one group after the other.

    Args:
        network: the dense network.
        statistics: layer name -> what was gathered.
        measure: one of :data:`IMPORTANCES`.
        memory: bytes that the ranking of one group may take.
    """

    def __init__(
        self, network: Network, statistics: Mapping[str, LayerStatistics | ChannelMoments], measure: str, memory: float
    ) -> None:
        self.network = network
        self.statistics = statistics
        self.measure = measure
        self.memory = memory
        self._readers: dict[str, list[Member]] = {
            group.name: [m for m in group.members if m.side == "in" and m.layer in statistics]
            for group in network.groups
        }
        self._inverses: dict[tuple[str, str], torch.Tensor] = {}

    def rank(self, group: Group) -> Ranking:
        """Order and error curve of one group."""
        readers = self._readers[group.name]
        if not readers:
            norms = l1(self.network, group)
            order = norms.argsort(descending=True, stable=True)
            return Ranking(order, _curve(_remaining(norms[order])[None]), None)
        plain, reason = self._unaffordable(readers)
        fixed = [self._contribution(group.name, m) for m in readers if m.layer in plain]
        rows = torch.stack([costs / costs.sum().clamp_min(1e-12) for costs in fixed]) if fixed else None
        consumers = self._consumers(group.name, [m for m in readers if m.layer not in plain])
        found = eliminate(consumers, rows, self._asked_order(group, readers))
        return Ranking(found.order, _curve(found.errors), reason)

    def _asked_order(self, group: Group, readers: list[Member]) -> torch.Tensor | None:
        """The order by a measure that needs no elimination."""
        if self.measure == "elimination":
            return None
        if self.measure == "l1":
            scores = l1(self.network, group)
        else:
            scores = torch.stack([self._contribution(group.name, m) for m in readers]).sum(0)
        return scores.argsort(descending=True, stable=True)

    def _contribution(self, group: str, member: Member) -> torch.Tensor:
        statistics = self.statistics[member.layer]
        if isinstance(statistics, LayerStatistics):
            return statistics.contribution(member.slots)
        return statistics.contribution(group)

    def _unaffordable(self, readers: list[Member]) -> tuple[set[str], str | None]:
        """Consumers that are judged by their contributions, the largest first, and why."""
        plain = {m.layer for m in readers if isinstance(self.statistics[m.layer], ChannelMoments)}
        why = "their statistics are too large"
        left = sorted((m for m in readers if m.layer not in plain), key=self._columns)
        wanted = self._bytes(left)
        while left and self._bytes(left) > self.memory:
            plain.add(left.pop().layer)
            why = f"ranking with all of them would take {wanted / GIB:.2g} GiB"
        if not plain:
            return plain, None
        return plain, f"{len(plain)} of its {len(readers)} consumers count without compensation ({why})"

    def _columns(self, member: Member) -> int:
        return member.slots.numel() * self.statistics[member.layer].coefficients.kernel

    def _bytes(self, members: list[Member]) -> int:
        """Two matrices for each consumer, and two more while an inverse is made."""
        lasting = passing = 0
        for member in members:
            coefficients = self.statistics[member.layer].coefficients
            itemsize = stored_dtype(coefficients.columns).itemsize
            lasting += 2 * itemsize * coefficients.groups * self._columns(member) ** 2
            passing = max(passing, 2 * 8 * coefficients.groups * coefficients.columns**2)
        return lasting + passing

    def _consumers(self, group: str, members: list[Member]) -> list[Consumers]:
        """What elimination needs; consumers with channels of one size are put together."""
        alike: dict[tuple[int, torch.dtype], list[int]] = {}
        for index, member in enumerate(members):
            coefficients = self.statistics[member.layer].coefficients
            size = member.slots.shape[0] * coefficients.kernel
            alike.setdefault((size, stored_dtype(coefficients.columns)), []).append(index)
        found = []
        for (size, dtype), indices in alike.items():
            owners = [i for i in indices for _ in range(self.statistics[members[i].layer].coefficients.groups)]
            matrices = self._stacked(group, [members[i] for i in indices], len(owners), dtype)
            found.append(Consumers(*matrices, size, owners))
        return found

    def _stacked(
        self, group: str, members: list[Member], count: int, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if len(members) == 1:
            return self._matrices(group, members[0])
        columns = self._columns(members[0])
        inverse, gram = (torch.empty(count, columns, columns, dtype=dtype) for _ in range(2))
        start = 0
        for member in members:
            parts = self._matrices(group, member)
            stop = start + len(parts[0])
            inverse[start:stop], gram[start:stop] = parts
            start = stop
        return inverse, gram

    def _matrices(self, group: str, member: Member) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the group's columns: A^-1, and W^T W divided by the energy of the layer's output."""
        statistics = self.statistics[member.layer]
        assert isinstance(statistics, LayerStatistics)
        inverse = self._inverse(group, member, statistics)
        theta = statistics.coefficients.theta(statistics.columns_of(member.slots), inverse.dtype)
        return inverse, (theta.mT @ theta).div_(statistics.energy)

    def _inverse(self, group: str, member: Member, statistics: LayerStatistics) -> torch.Tensor:
        """The group's part of A^-1; made once for all groups that a layer reads."""
        if (group, member.layer) not in self._inverses:
            inverse = statistics.inverse()
            parts = {
                name: submatrix(inverse, statistics.columns_of(m.slots))
                for name, members in self._readers.items() for m in members if m.layer == member.layer
            }  # fmt: skip
            alone = len(parts) == 1
            for name, part in parts.items():
                self._inverses[(name, member.layer)] = part if alone else part.clone()
        return self._inverses.pop((group, member.layer))


def _remaining(costs: torch.Tensor) -> torch.Tensor:
    """Share of the costs that is not among the first k, k = 0 ... n."""
    return 1 - torch.cat([costs.new_zeros(1), costs.cumsum(0)]) / costs.sum().clamp_min(1e-12)


def _curve(errors: torch.Tensor) -> FloatArray:
    return np.asarray(errors.mean(0).clamp(0.0, 1.0).numpy())
