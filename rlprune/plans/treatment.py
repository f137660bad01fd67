"""What a plan does to the tensors that are left: masks on weights, then fewer bits.

The order in which a plan is applied: blocks are dropped, channels are cut and repaired by least squares, entries of the
weights that are left are removed, what remains is rounded to its bits. BatchNorm is re-estimated last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from rlprune.arrays import FloatArray, IntArray
from rlprune.choices.choice import FULL_BITS
from rlprune.choices.space import Space
from rlprune.delivery.compact.file import Stored, treated
from rlprune.networks.layers import Layer, Side
from rlprune.pruning.cache import RecentlyUsed
from rlprune.pruning.quantization import fake_quantized, scaled_dim
from rlprune.pruning.tables import PruningTables
from rlprune.pruning.weight_repair import WeightRepair
from rlprune.pruning.weights import WeightRule, lost_energy, mask_of_density, mean_of_removed

CACHE_BYTES = 2**27
Pair = tuple[torch.Tensor, torch.Tensor | None]
"""A weight and its bias."""
Refitted = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]
"""A weight and its bias before they are rounded, and the mask of the weight."""


def treated_layers(space: Space) -> list[tuple[int, Layer]]:
    """Layers whose weights may be pruned or quantised, with their numbers in the network."""
    names = {choice.name for choice in space.choices if choice.kind in ("weights", "bits")}
    return [(index, layer) for index, layer in enumerate(space.network.layers) if layer.name in names]


@dataclass(frozen=True)
class WeightTreatment:
    """What happens to one weight after it was cut.

    Attributes:
        density: share of its entries that remain.
        bits: of an entry.
    """

    density: float = 1.0
    bits: int = FULL_BITS

    def mask(self, layer: Layer, weight: torch.Tensor, rule: WeightRule) -> torch.Tensor | None:
        """Which entries remain; None: all."""
        if self.density == 1:
            return None
        return mask_of_density(weight, rule.density or self.density, rule, side_of(layer, "in") or 0)

    def stored(self, layer: Layer, weight: torch.Tensor, rule: WeightRule) -> Stored:
        """How the weight is stored."""
        return self.stored_with(self.mask(layer, weight, rule), layer, rule)

    def stored_with(self, mask: torch.Tensor | None, layer: Layer, rule: WeightRule) -> Stored:
        """:meth:`stored`, of a mask that is known."""
        return Stored(self.bits, scaled_dim(layer), mask, rule.replacement == "mean")

    def applied(self, layer: Layer, weight: torch.Tensor, rule: WeightRule) -> torch.Tensor:
        """The weight as it computes, without repair."""
        return weight if self == WeightTreatment() else treated(weight, self.stored(layer, weight, rule))


def side_of(layer: Layer, side: Side) -> int | None:
    """The dimension of a layer's weight that holds channels of a side."""
    sides = layer.tensors[layer.weight or ""]
    return sides.index(side) if side in sides else None


class PlanTensors:
    """The tensors of any plan of a space; what was computed lately is kept.

    Args:
        repair: refits what remains of masked weights; None leaves it as it was.
    """

    def __init__(self, tables: PruningTables, space: Space, repair: WeightRepair | None = None) -> None:
        self._tables, self._space, self._repair = tables, space, repair
        self._layers = treated_layers(space)
        self._known: RecentlyUsed[Pair] = RecentlyUsed(CACHE_BYTES)
        self._refits: RecentlyUsed[Refitted] = RecentlyUsed(CACHE_BYTES)

    def __call__(self, row: IntArray) -> dict[str, torch.Tensor]:
        """``state_dict`` key -> tensor of a plan ``[K]``; those that no choice changes are left out."""
        widths = self._space.widths(row[None])[0]
        tensors = self._tables.tensors(widths)
        for layer, treatment in self.treatments(row):
            pair = self._untreated(layer, tensors)
            place = (layer.name, self._tables.kept_of(layer.name, widths), treatment)
            make = partial(self._treated, layer, pair, treatment, widths)
            made = pair if treatment == WeightTreatment() else self._known.get(place, make)
            tensors[layer.weight or ""] = made[0]
            if layer.bias is not None and made[1] is not None:
                tensors[layer.bias] = made[1]
        return tensors

    @property
    def bytes(self) -> int:
        """What is kept; at most twice ``CACHE_BYTES``."""
        return self._known.bytes + self._refits.bytes

    def _untreated(self, layer: Layer, tensors: Mapping[str, torch.Tensor]) -> Pair:
        keys = (layer.weight or "", layer.bias)
        weight, bias = (None if key is None else tensors.get(key, self._tables.state[key]) for key in keys)
        assert weight is not None  # layers without one are not treated
        return weight, bias

    def _treated(self, layer: Layer, pair: Pair, treatment: WeightTreatment, widths: IntArray) -> Pair:
        if treatment.density == 1:  # nothing to refit; to keep its views would keep the tables' tensors alive
            return treated(pair[0], treatment.stored(layer, pair[0], self._space.decisions.rule)), pair[1]
        place = (layer.name, self._tables.kept_of(layer.name, widths), treatment.density)
        weight, bias, mask = self._refits.get(place, partial(self._refitted, layer, pair, treatment, widths))
        return treated(weight, treatment.stored_with(mask, layer, self._space.decisions.rule)), bias

    def _refitted(self, layer: Layer, pair: Pair, treatment: WeightTreatment, widths: IntArray) -> Refitted:
        rule = self._space.decisions.rule
        mask = treatment.mask(layer, pair[0], rule)
        if mask is None or self._repair is None:
            return *pair, mask
        fill = mean_of_removed(pair[0], mask) if rule.replacement == "mean" else 0.0
        return *self._repair.repaired(layer, *pair, mask, fill, widths), mask

    def treatments(self, row: IntArray) -> list[tuple[Layer, WeightTreatment]]:
        """What happens to the weight of each layer that may be treated, whether it is or not."""
        density, bits = self._space.density(row[None])[0], self._space.bits(row[None])[0]
        return [(layer, WeightTreatment(float(density[i]), int(bits[i]))) for i, layer in self._layers]

    def stored(self, row: IntArray, state: Mapping[str, torch.Tensor]) -> dict[str, Stored]:
        """How the weights of a delivered network are stored: ``state_dict`` key, every name of it -> bits and mask."""
        rule, found = self._space.decisions.rule, {}
        tensors = self._tables.tensors(self._space.widths(row[None])[0])
        for layer, treatment in self.treatments(row):
            key = layer.weight or ""
            if key in state and treatment != WeightTreatment():
                found[key] = treatment.stored(layer, self._untreated(layer, tensors)[0], rule)
        aliases = self._space.network.aliases.items()
        return found | {alias: found[key] for alias, key in aliases if key in found and alias in state}

    def curve(self, name: str, kind: str, levels: IntArray) -> FloatArray:
        """Share of a weight's energy that each level of a choice loses, for ``levels`` ``[n]``; an idea of its harm."""
        layer = next(layer for _, layer in self._layers if layer.name == name)
        weight = self._tables.state[layer.weight or ""]
        if kind == "weights":
            rule, into = self._space.decisions.rule, side_of(layer, "in") or 0
            densities = [1.0 if level == 100 else rule.density or level / 100 for level in levels]
            return lost_energy(weight, densities, rule=rule, in_dim=into)
        energy = float(weight.double().square().sum()) or 1.0
        rounded = [fake_quantized(weight, int(bits), scaled_dim(layer)) for bits in levels]
        return np.array([float((weight - each).double().square().sum()) / energy for each in rounded])
