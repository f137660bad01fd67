"""Finds the blocks of a network, whatever its code looks like.

Modules are watched while the network runs. What answers with the shape that it was given is a candidate; it stays one
where that holds at other widths too, and where the network really runs without it. No name and no class counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.errors import first_line
from rlprune.networks import surgery
from rlprune.networks.checking.verification import differ, telling_inputs
from rlprune.networks.inputs import call, tensors_in
from rlprune.networks.network import Network
from rlprune.pruning.blocks.blocks import Block, Blocks, is_inside
from rlprune.pruning.blocks.depth import BlockSwitch, skipped
from rlprune.pruning.blocks.nesting import outermost
from rlprune.pruning.blocks.watching import watch

DRAWS = 2


def find_blocks(network: Network) -> Blocks:
    """The modules of a network that can be dropped, each alone and all together, at any widths.

    A block is called once; it holds a layer that multiplies; its first tensor argument and its (first) answer hold the
    same channels. Lists and chains of blocks give way to what they hold, and parts of a block to it. The network is run
    without each block and without all of them, at dense and at the smallest widths; what fails, or answers with other
    shapes or with NaN, is refused.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        return _Finder(network).find()


class _Finder:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.inputs = telling_inputs(network, seed=0)
        self.seen = watch(network.model, self.inputs)
        self.shapes = [tensor.shape for tensor in self._outputs(network.model)]
        self.refused: dict[str, str] = {}
        self.smallest = surgery.prune(network, _leading(network, _smallest(network))).eval()
        self.shuffled = surgery.prune(network, _shuffled(network)).eval()

    def find(self) -> Blocks:
        candidates = self._candidates()
        self._refuse_other_channels(candidates)
        chosen = self._running_alone(candidates)
        blocks = self._together([candidates[name] for name in chosen])
        return Blocks(blocks, self._told([block.name for block in blocks]))

    def _told(self, offered: Sequence[str]) -> dict[str, str]:
        """The refused modules in forward order, without parts of blocks, and parts refused for the same reason."""
        told: dict[str, str] = {}
        for name in (name for name in self.seen if name in self.refused):
            outer = [*offered, *(other for other, why in told.items() if why == self.refused[name])]
            if not any(is_inside(name, other) for other in outer):
                told[name] = self.refused[name]
        return told

    def _running_alone(self, candidates: Mapping[str, Block]) -> list[str]:
        """Outermost candidates without which the network runs; where one fails, its parts are tried."""
        tried: set[str] = set()
        while True:
            chosen = self._outermost(candidates)
            if tried.issuperset(chosen):
                return chosen
            for name in chosen:
                reason = None if name in tried else self._wrong_without(candidates[name])
                if reason is not None:
                    self.refused[name] = reason
            tried.update(chosen)

    def _outermost(self, candidates: Mapping[str, Block]) -> list[str]:
        left = {name: self.seen[name][0] for name in candidates if name not in self.refused}
        return outermost(left, self.network.model)

    def _candidates(self) -> dict[str, Block]:
        """Modules that multiply and keep the shape of what they are given; some are refused already."""
        found = {}
        for name, calls in self.seen.items():
            layers = [layer for layer in self.network.layers if is_inside(layer.name, name)]
            if not calls[0].keeps_shape or not any(layer.macs_per_pair for layer in layers):
                continue
            if len(calls) > 1:
                self.refused[name] = f"it is called {len(calls)} times"
            elif shared := self._shared_with(name):
                self.refused[name] = f"it shares {shared}"
            groups = tuple(g.name for g in self.network.groups if all(is_inside(m.layer, name) for m in g.members))
            place = calls[0]
            found[name] = Block(name, tuple(layer.name for layer in layers), groups, place.takes, place.answers)
        return found

    def _shared_with(self, name: str) -> str | None:
        """A tensor that stands inside and outside of a module."""
        for alias, key in self.network.aliases.items():
            if is_inside(alias, name) != is_inside(key, name):
                own, other = (alias, key) if is_inside(alias, name) else (key, alias)
                return f"{own} with {other}"
        return None

    def _refuse_other_channels(self, candidates: Mapping[str, Block]) -> None:
        """Refuse what answers with other shapes than it is given at some widths."""
        reason = "its input and its output are different channels, which may get different widths"
        for widths in _telling_widths(self.network):
            try:
                seen = watch(surgery.prune(self.network, _leading(self.network, widths)).eval(), self.inputs)
            except Exception:
                continue  # no plan may have these widths either: finalists and applied plans are checked
            for name in candidates:
                if not seen[name][0].keeps_shape:
                    self.refused.setdefault(name, reason)

    def _outputs(self, model: nn.Module) -> list[torch.Tensor]:
        return list(tensors_in(self.network.outputs(call(model, self.inputs))))

    def _wrong_without(self, block: Block) -> str | None:
        """Why the network is wrong without one block.

        Shuffled channels must give what the dense network gives: else the block changes their order.
        """
        switch = BlockSwitch(self.network.model, Blocks([block]))
        try:
            switch.only([block.name])
            wanted = self._outputs(self.network.model)
            with skipped(self.shuffled, [block]):
                got = self._outputs(self.shuffled)
        except Exception as error:
            return f"without it the network fails: {first_line(error)}"
        finally:
            switch.only([])
        if (reason := self._bad(wanted) or self._fails_without([block])) is not None:
            return reason
        if any(left.is_floating_point() and differ(left, right) for left, right in zip(got, wanted, strict=True)):
            return "its output does not hold the channels of its input in their order"
        return None

    def _fails_without(self, blocks: Sequence[Block]) -> str | None:
        """Why the network does not run without these blocks, dense or at its smallest widths."""
        for model in (self.network.model, self.smallest):
            try:
                with skipped(model, blocks):
                    reason = self._bad(self._outputs(model))
            except Exception as error:
                return f"without it the network fails: {first_line(error)}"
            if reason is not None:
                return reason
        return None

    def _bad(self, outputs: Sequence[torch.Tensor]) -> str | None:
        if [tensor.shape for tensor in outputs] != self.shapes:
            return "without it the network's outputs have another shape"
        if any(tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()) for tensor in outputs):
            return "without it the network's outputs are not finite"
        return None

    def _together(self, blocks: Sequence[Block]) -> list[Block]:
        """As many of these blocks, in their order, as can be dropped together."""
        if self._fails_without(blocks) is None:
            return list(blocks)
        kept: list[Block] = []
        for block in blocks:
            if (reason := self._fails_without([*kept, block])) is None:
                kept.append(block)
            else:
                self.refused[block.name] = f"{reason}, together with {', '.join(each.name for each in kept)}"
        return kept


def _leading(network: Network, widths: IntArray) -> dict[str, torch.Tensor]:
    return surgery.leading_channels(network, widths)


def _smallest(network: Network) -> IntArray:
    return np.array([group.widths[0] for group in network.groups], dtype=np.int64)


def _shuffled(network: Network) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {group.name: torch.randperm(group.width, generator=generator) for group in network.groups}


def _telling_widths(network: Network) -> Iterator[IntArray]:
    """Widths that tell any two groups apart, each at its smallest or whole; then some at random.

    Groups are numbered in binary; in the n-th widths, those with digit n are cut. Two groups differ in some digit.
    """
    numbers = np.arange(1, len(network.groups) + 1)
    for digit in range(math.ceil(math.log2(len(numbers) + 1))):
        yield np.where(numbers >> digit & 1, _smallest(network), network.dense_widths)
    generator = np.random.default_rng(0)
    for _ in range(DRAWS):
        yield np.array([generator.choice(group.widths) for group in network.groups], dtype=np.int64)
