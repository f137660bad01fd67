"""Makes networks of plans: quickly, for a search, and as they are delivered."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import nn

from rlprune.arrays import FloatArray, IntArray
from rlprune.choices.choice import FULL_BITS, Choice
from rlprune.choices.space import Space
from rlprune.delivery.delivered import Delivered
from rlprune.plans.treatment import PlanTensors, treated_layers
from rlprune.pruning import batchnorm
from rlprune.pruning.blocks.depth import block_errors, drop_blocks
from rlprune.pruning.quantization import Int8Inputs, WeightPlace, measure_ranges, storable_layers
from rlprune.pruning.tables import PruningTables
from rlprune.pruning.weight_repair import WeightRepair
from rlprune.tasks.batches import batches, even_batches
from rlprune.tasks.split import Split

BATCH = 128


class PlanBuilder:
    """What a row of levels makes of a network. See :mod:`rlprune.plans.treatment` for the order of its decisions.

    Args:
        tables: of the network; they give the repaired weights of its channels.
        space: what may be decided.
        calibration: samples for refitting masked weights, BatchNorm and the ranges of layers in int8.

    Attributes:
        share: of re-estimated statistics in the BatchNorms of delivered networks; see :mod:`rlprune.pruning.batchnorm`.
        tensors: ``state_dict`` key -> tensor of a plan in the search. Masked weights are refitted; roughly where
            channels are decided: then nearly every plan has weights of its own, and a search no time for more.
    """

    def __init__(self, tables: PruningTables, space: Space, calibration: Split) -> None:
        self._tables, self.space, self._calibration = tables, space, calibration
        self.share = 1.0
        self.tensors = PlanTensors(tables, space, self._quick_repair())
        self._latest: tuple[tuple[tuple[str, ...], float], PlanTensors] | None = None

    @cached_property
    def _repair(self) -> WeightRepair | None:
        return self._repair_of(self._tables)

    def _repair_of(self, tables: PruningTables, model: nn.Module | None = None) -> WeightRepair | None:
        if "weights" not in self.space.kinds:
            return None
        layers = [layer for _, layer in treated_layers(self.space)]
        return WeightRepair(tables, layers, self._calibration, model=model)

    def _quick_repair(self) -> WeightRepair | None:
        repair = self._repair
        return repair if repair is None or "channels" not in self.space.kinds else repair.roughly()

    @property
    def dense(self) -> nn.Module:
        """The dense network with its channels in order; not to be changed."""
        return self._tables.permuted

    @property
    def device(self) -> torch.device:
        """Where networks are run."""
        return self._tables.device

    @property
    def channels_last(self) -> bool:
        """Whether networks run with that memory layout."""
        return self._tables.channels_last

    @cached_property
    def shared_norms(self) -> frozenset[str]:
        """Names of BatchNorms that keep their own statistics, in search and delivery."""
        return batchnorm.shared(self.space.network.model, self.space.network.example_inputs)

    def reestimate(self, model: nn.Module, share: float | None = None) -> None:
        """Blend BatchNorm statistics of the calibration samples into those of a network, by :attr:`share`."""
        share = self.share if share is None else share
        batchnorm.reestimate(model, even_batches(self._calibration, BATCH, self.device), share, self.shared_norms)

    def _finished(self, dropped: Sequence[str]) -> PlanTensors:
        """:meth:`finished_tensors`; those of the latest blocks are kept."""
        key = (tuple(dropped), self.share)
        if self._latest is None or self._latest[0] != key:
            self._latest = key, self.finished_tensors(dropped)
        return self._latest[1]

    def finished_tensors(self, dropped: Sequence[str]) -> PlanTensors:
        """Tensors of delivered networks without these blocks.

        Masked weights are refitted exactly, and all repairs are for what layers read without the blocks.
        """
        if dropped and {"channels", "weights"} & set(self.space.kinds):
            short = drop_blocks(self._tables.permuted, self.space.blocks, dropped)
            self.reestimate(short)
            tables = self._tables.reading(short, self._calibration)
            return PlanTensors(tables, self.space, self._repair_of(tables, short))
        if "channels" not in self.space.kinds:
            return self.tensors
        return PlanTensors(self._tables, self.space, self._repair)

    @cached_property
    def _block_errors(self) -> dict[str, float]:
        return block_errors(self.space.network, self.space.blocks, self._calibration)

    def assembled(self, row: IntArray) -> nn.Module:
        """The network of a plan ``[K]`` with the dense network's BatchNorm statistics."""
        dropped = self.space.dropped(row)
        tensors = {key: value.clone().contiguous() for key, value in self._finished(dropped)(row).items()}
        model = self._tables.shell().fill(tensors, self.space.widths(row[None])[0], trainable=True)
        return drop_blocks(model, self.space.blocks, dropped).eval()

    def delivered(self, row: IntArray) -> Delivered:
        """The network of a plan ``[K]`` as it is handed over, BatchNorm re-estimated by :attr:`share`."""
        model = self.assembled(row)
        self.reestimate(model)
        stored = self._finished(self.space.dropped(row)).stored(row, model.state_dict())
        int8 = self.space.computed_in_int8(row)
        if not int8:
            return Delivered(model, stored, narrow=self._narrow(row))
        ranges = measure_ranges(model, int8, batches(self._calibration, BATCH, self.device))
        rounding = Int8Inputs(model, int8)
        rounding.apply(ranges, int8)
        return Delivered(model, stored, ranges, rounding, self._narrow(row))

    def _narrow(self, row: IntArray) -> dict[str, tuple[int, WeightPlace]]:
        """Layers of a plan ``[K]`` that are left and whose weights have few bits, and where these stand."""
        places, present = storable_layers(self.space.network), self.space.present(row[None])[0]
        left = {layer.name for layer, there in zip(self.space.network.layers, present, strict=True) if there}
        return {
            layer.name: (treatment.bits, places[layer.name])
            for layer, treatment in self.tensors.treatments(row)
            if treatment.bits < FULL_BITS and layer.name in left
        }

    def error_curve(self, choice: Choice) -> FloatArray:
        """For each level of a choice, what taking it alone is expected to lose, in [0, 1].

        Channels: energy of the consumers' outputs that cannot be restored. Weights and bits: energy of the weight that
        is lost. Depth: how much the block changes what goes through it.
        """
        levels = np.array(choice.levels, dtype=np.int64)
        if choice.kind == "channels":
            return np.asarray(np.interp(levels, *self._tables.error_curve(choice.name)))
        if choice.kind == "depth":
            return np.array([self._block_errors[choice.name], 0.0])
        return self.tensors.curve(choice.name, choice.kind, levels)
