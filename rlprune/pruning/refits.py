"""Refitted weights of the layers that read groups, solved once for each set of widths that is asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import torch

from rlprune.networks import layout
from rlprune.networks.layers import Side
from rlprune.pruning.axes import LayerAxis
from rlprune.pruning.cache import RecentlyUsed
from rlprune.pruning.calibration import Statistics
from rlprune.pruning.reconstruction import MeanSolver, PrefixSolver, Solver
from rlprune.pruning.statistics import LayerStatistics

Repair = tuple[torch.Tensor | None, torch.Tensor | None]
"""Weight (all output rows) and bias; None where it stays as it is."""


class Refits:
    """Looks refitted weights up; what was solved lately is kept.

    Args:
        solvers: layer name -> what solves it.
        axes: sides of the layers in the permuted network.
        device: where the weights are needed.
        channels_last: the layout they are needed in.
        limit: bytes that may be kept.
    """

    def __init__(
        self,
        solvers: Mapping[str, Solver],
        axes: Mapping[tuple[str, Side], LayerAxis],
        device: torch.device,
        channels_last: bool,
        limit: float,
    ) -> None:
        self._solvers, self._axes = dict(solvers), axes
        self._device, self._channels_last = device, channels_last
        self._lately: RecentlyUsed[Repair] = RecentlyUsed(limit)

    def __contains__(self, layer: str) -> bool:
        return layer in self._solvers

    @property
    def bytes(self) -> int:
        """Memory of factors and of what is kept."""
        return sum(solver.bytes for solver in self._solvers.values()) + self._lately.bytes

    @property
    def of_one_group(self) -> set[str]:
        """Layers that read one group and are refitted by least squares."""
        return {name for name, solver in self._solvers.items() if isinstance(solver, PrefixSolver)}

    def empty_statistics(self) -> dict[str, Statistics]:
        """Statistics, to be filled, for every layer that is refitted by least squares."""
        exact = ((name, item) for name, item in self._solvers.items() if not isinstance(item, MeanSolver))
        return {name: LayerStatistics(item.coefficients) for name, item in exact}

    def of(self, layer: str, widths: tuple[int, ...]) -> Repair:
        """Weight and bias of a layer whose input groups have ``widths``."""

        def solve() -> Repair:
            axis = self._axes[(layer, "in")]
            kept = axis.kept(widths)
            if len(kept) == axis.size:
                return None, None
            weight, bias = self._solvers[layer].solve(kept)
            if weight is not None and self._channels_last:
                weight = layout.as_channels_last(weight)
            return tuple(None if x is None else x.to(self._device) for x in (weight, bias))  # type: ignore[return-value]

        return self._lately.get((layer, widths), solve)

    def with_solvers(self, solvers: Mapping[str, Solver]) -> Refits:
        """A copy with these solvers, of which nothing was asked yet."""
        return Refits(solvers, self._axes, self._device, self._channels_last, self._lately.limit)

    def fresh(self) -> Refits:
        """A copy of which nothing was asked yet."""
        return self.with_solvers(self._solvers)

    def without(self, layers: Collection[str]) -> Refits:
        """A copy in which these layers are not refitted."""
        return self.with_solvers({name: item for name, item in self._solvers.items() if name not in layers})

    def replacing(self, solvers: Mapping[str, Solver]) -> Refits:
        """A copy in which these layers are solved otherwise."""
        return self.with_solvers({**self._solvers, **solvers})

    def leave(self, layer: str, widths: Iterable[int]) -> None:
        """Cut a layer that reads one group at these widths of the group, and do not refit it there."""
        solver, axis = self._solvers[layer], self._axes[(layer, "in")]
        assert isinstance(solver, PrefixSolver)
        solver.leave([len(axis.kept((width,))) for width in widths])
