"""The network into which a search puts one plan after the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.choices.space import Space
from rlprune.pruning import batchnorm
from rlprune.pruning.blocks.depth import BlockSwitch
from rlprune.pruning.quantization import Int8Inputs
from rlprune.pruning.tables import PruningTables


class SearchNetwork:
    """The dense network at first, with BatchNorms that take a share of each batch's own statistics.

    Args:
        share, keep: see :mod:`rlprune.pruning.batchnorm`.
    """

    def __init__(self, tables: PruningTables, space: Space, share: float, keep: Collection[str] = ()) -> None:
        self._space, self._shell = space, tables.shell()
        self._switch = BlockSwitch(self._shell.module, space.blocks)
        self._rounding = Int8Inputs(self._shell.module, sorted(space.int8.names))
        batchnorm.use_batch_statistics(self._shell.module, share, keep)

    @property
    def module(self) -> nn.Module:
        """The network with the plan that was put in last."""
        return self._shell.module

    def put(self, row: IntArray, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
        """The network of a plan ``[K]`` with its tensors (``state_dict`` key -> tensor)."""
        self._shell.fill(tensors, self._space.widths(row[None])[0])
        self._switch.only(self._space.dropped(row))
        self._rounding.follow(self._space.computed_in_int8(row))
        return self.module
