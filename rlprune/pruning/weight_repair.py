"""What remains of a weight, refitted for what was removed: sparse least squares for the layers of a plan."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.networks.layers import Layer
from rlprune.pruning.calibration import Statistics, gather, obstacle, too_large
from rlprune.pruning.coefficients import Coefficients
from rlprune.pruning.reconstruction import does_harm
from rlprune.pruning.sparse_repair import ROUGH_STEPS, Refit, columns_kept, exact, rough
from rlprune.pruning.statistics import LayerStatistics, submatrix
from rlprune.pruning.tables import PruningTables
from rlprune.tasks.split import Split

MOST_OPERATIONS = 2e11
"""Of the systems of one layer (rows x columns^3 / 24 at density 0.5): about ten seconds on one core."""


class WeightRepair:
    """Least squares for masked weights; a refit that does harm on samples held out is not used.

    The second moments of what every layer reads are gathered once, within the memory of the tables, where channels
    stand in the order of the tables; a plan with fewer channels uses the part of them that is left.

    Args:
        tables: of the network.
        layers: whose weights may be masked.
        calibration: samples that the moments are taken on.
        seed: of the positions at which inputs are sampled.
        model: in which they are observed; the permuted dense network where none is given.

    Attributes:
        unrepaired: layer -> why its masked weight stays as it is.
    """

    def __init__(
        self,
        tables: PruningTables,
        layers: list[Layer],
        calibration: Split,
        seed: int = 0,
        model: nn.Module | None = None,
    ) -> None:
        self._tables = tables
        self._refit: Refit = exact
        network = tables.network.with_model(model or tables.permuted)
        found: dict[str, Coefficients] = {}
        self.unrepaired: dict[str, str] = {}
        for layer in layers:
            reason = obstacle(layer) or self._too_slow(layer)
            if reason is None:
                found[layer.name] = Coefficients.of(layer, tables.state)
            else:
                self.unrepaired[layer.name] = reason
        self.unrepaired |= (large := too_large(found, tables.moments_limit))
        statistics: dict[str, Statistics] = {
            name: LayerStatistics(item) for name, item in found.items() if name not in large
        }
        self.unrepaired |= gather(network, statistics, calibration, seed, tables.device)
        self._moments = {
            name: item
            for name, item in statistics.items()
            if isinstance(item, LayerStatistics) and name not in self.unrepaired
        }

    def roughly(self, steps: int = ROUGH_STEPS) -> WeightRepair:
        """One that answers nearly the same in a fraction of the time, by so many steps; the moments are shared."""
        other = copy.copy(self)
        other._refit = partial(rough, steps=steps)
        return other

    def _too_slow(self, layer: Layer) -> str | None:
        coefficients = Coefficients.of(layer, self._tables.state)
        operations = coefficients.outputs * coefficients.groups * coefficients.columns**3 / 24
        if operations <= MOST_OPERATIONS:
            return None
        return f"its {coefficients.outputs} rows of {coefficients.columns} columns would take too long to refit"

    def repaired(
        self,
        layer: Layer,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        mask: torch.Tensor,
        fill: float,
        widths: IntArray,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weight and bias of a layer of which only the entries in ``mask`` remain free.

        Args:
            weight, bias: as the plan has them before anything is removed.
            fill: what removed entries hold.
            widths: channels of every group, ``[G]``.
        """
        filled = torch.where(mask, weight, torch.as_tensor(fill, dtype=weight.dtype))
        moments = self._moments.get(layer.name)
        if moments is None:
            return filled, bias
        sides = layer.tensors[layer.weight or ""]
        groups = self._groups_left(layer, widths)
        whole = moments.coefficients
        own = Coefficients(weight, bias, sides.index("out"), sides.index("in"), len(groups), whole.scales)
        inputs = self._tables.positions(layer.name, "in", widths, whole.inputs)
        columns = torch.cat([whole.constant, whole.columns_of(inputs)])
        left, rows = moments.matrix, moments.held_out[:, :, columns]
        if layer.groups > 1:
            left, rows = left[groups], rows[groups]
        theta = own.theta()
        fitted = self._refit(theta, columns_kept(own, mask), submatrix(left, columns), fill * whole.scales[0])
        if does_harm(rows, theta, fitted - theta, replace(own, weight=filled).theta() - theta):
            return filled, bias
        new_weight, new_bias = own.stored(fitted)
        return new_weight.to(weight.device), None if new_bias is None else new_bias.to(weight.device)

    def _groups_left(self, layer: Layer, widths: IntArray) -> torch.Tensor:
        """Numbers of the groups of a grouped convolution that are left."""
        each = layer.out_width // layer.groups
        left: torch.Tensor = torch.unique(self._tables.positions(layer.name, "out", widths, layer.out_width) // each)
        return left
