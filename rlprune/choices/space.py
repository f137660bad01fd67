"""The decisions that can be taken about one network, and what a row of levels means to its layers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rlprune.arrays import BoolArray, FloatArray, IntArray
from rlprune.choices.choice import FULL_BITS, INT8_BITS, KINDS, Choice, Int8Where, Kind, Unit
from rlprune.choices.scope import Decisions
from rlprune.errors import ConfigError
from rlprune.networks.network import Network
from rlprune.networks.tensors import tensor_named
from rlprune.pruning.blocks.blocks import (
    Block,
    Blocks,
    macs_without,
    params_without,
    vanishing_groups,
    vanishing_layers,
)
from rlprune.pruning.blocks.droppable import find_blocks
from rlprune.pruning.quantization import storable_layers
from rlprune.support.patterns import matches

FEWEST_ENTRIES = 64
"""Weights of fewer entries stay as they are: there is nothing to win."""


@dataclass(frozen=True)
class _Named:
    """Layers that compute in int8 wherever they may."""

    names: frozenset[str]

    def chosen(self, widths: IntArray, permitted: BoolArray, present: BoolArray) -> BoolArray:
        return permitted


class Space:
    """All choices about one network, in the order in which an episode takes them.

    Args:
        network: with the widths that are allowed.
        decisions: what may be decided; channels where nothing is said.
        int8: which layers compute in int8 where their weights have at most 8 bits, by name or by a rule; the others
            only store them so.
        blocks: those that may be dropped, where they are known already.

    Attributes:
        choices: K of them, ordered by layer, then by kind in the order of ``KINDS``.
        units: the steps of an episode; each takes the choices about one layer.
        kinds: those that are decided here, in the order of ``KINDS``.
        full: the row that changes nothing, ``int64 [K]``.
        blocks: those of the choices on depth, in their order.

    Raises:
        ConfigError: nothing can be decided, or ``exclude`` matches nothing.
    """

    def __init__(
        self,
        network: Network,
        decisions: Decisions | None = None,
        *,
        int8: Sequence[str] | Int8Where = (),
        blocks: Blocks | None = None,
    ) -> None:
        self.network = network
        self.decisions = decisions or Decisions()
        self.int8: Int8Where
        self.int8 = _Named(frozenset(int8)) if isinstance(int8, Sequence) else int8
        self.kinds = tuple(kind for kind in KINDS if kind in self.decisions.kinds)
        offered = find_blocks(network) if blocks is None and "depth" in self.kinds else blocks or Blocks()
        self._offered = offered.names
        allowed = [block for block in offered if not self.decisions.excludes("depth", block.name)]
        self.blocks = Blocks(allowed, offered.refused)
        self._position = {layer.name: index for index, layer in enumerate(network.layers)}
        self._order([choice for kind in self.kinds for choice in self._of_kind(kind)])
        self._check()
        self._index()

    @classmethod
    def of(cls, subject: Network | Space) -> Space:
        """A network's channels, or the space itself."""
        return cls(subject) if isinstance(subject, Network) else subject

    def on(self, network: Network, int8: Sequence[str] | Int8Where | None = None) -> Space:
        """The same decisions where other widths are allowed, or other layers compute in int8."""
        return Space(network, self.decisions, int8=self.int8 if int8 is None else int8, blocks=self.blocks)

    def fixing(self, places: Sequence[int]) -> Space:
        """The same space in which some choices have but their full level."""
        other = copy.copy(self)
        other.choices = tuple(
            replace(choice, levels=(choice.full,)) if place in set(places) else choice
            for place, choice in enumerate(self.choices)
        )
        return other

    def means_the_same(self, other: Space) -> bool:
        """Whether a row of levels does the same to the network in both; allowed levels may differ."""
        mine, theirs = ([(c.kind, c.name) for c in space.choices] for space in (self, other))
        return mine == theirs and self._same_int8(other) and self.decisions.rule == other.decisions.rule

    def _same_int8(self, other: Space) -> bool:
        return self.int8 is other.int8 or self.int8 == other.int8 or not (self.int8.names or other.int8.names)

    @property
    def layered(self) -> bool:
        """Whether anything but channels is decided."""
        return self.kinds != ("channels",)

    def _of_kind(self, kind: Kind) -> Iterator[Choice]:
        makers: dict[Kind, Callable[[], Iterator[Choice]]] = {
            "depth": lambda: (Choice(block.name, "depth", (0, 1), block.layers[0]) for block in self.blocks),
            "channels": lambda: (Choice.of_group(group) for group in self.network.groups),
            "weights": lambda: self._of_layers("weights", self.decisions.levels_of_weight()),
            "bits": lambda: self._of_layers("bits", tuple(sorted({*self.decisions.bits, FULL_BITS}))),
        }
        return (choice for choice in makers[kind]() if not self.decisions.excludes(kind, choice.name))

    def _of_layers(self, kind: Kind, levels: tuple[int, ...]) -> Iterator[Choice]:
        storable = storable_layers(self.network)
        group = self.decisions.rule.group if kind == "weights" else None
        for layer in self.network.layers:
            if layer.name not in storable:
                continue
            if tensor_named(self.network.model, storable[layer.name].key).numel() < FEWEST_ENTRIES:
                continue
            if group is None or layer.in_width >= group[1]:
                yield Choice(layer.name, kind, levels, layer.name)

    def _order(self, choices: Sequence[Choice]) -> None:
        """Choices by layer, then by kind; groups that start in one layer stay apart and in their order."""
        order = sorted(choices, key=lambda choice: self._position[choice.unit.partition("#")[0]])
        units: dict[str, list[Choice]] = {}
        for choice in order:
            units.setdefault(choice.unit, []).append(choice)
        self.choices: tuple[Choice, ...] = tuple(choice for unit in units.values() for choice in unit)
        place = {(choice.kind, choice.name): index for index, choice in enumerate(self.choices)}
        self.units = tuple(
            Unit(name, {choice.kind: place[(choice.kind, choice.name)] for choice in own})
            for name, own in units.items()
        )

    def _check(self) -> None:
        for kind in self.kinds:
            least = 1 if kind == "channels" else 2
            if not any(choice.kind == kind and len(choice.levels) >= least for choice in self.choices):
                raise ConfigError(
                    f"A network must have something to decide of every kind; this one has nothing of the kind {kind!r} "
                    "with two levels. Leave it out of --decide; a policy, which decides what it has learned, needs "
                    "another network."
                )
        known = [*self._position, *self._offered]
        for text in self.decisions.exclude:
            pattern = text.partition(":")[2]
            if not any(matches(name, pattern) for name in known):
                raise ConfigError(
                    f"--exclude reads kind:pattern and matches a layer or block; {text!r} matches none. `rlprune "
                    "inspect` lists them."
                )

    def _index(self) -> None:
        self.full = np.array([choice.full for choice in self.choices], dtype=np.int64)
        self.full.setflags(write=False)
        self._columns = {
            kind: np.array([i for i, c in enumerate(self.choices) if c.kind == kind], dtype=np.int64) for kind in KINDS
        }
        self._layers = {
            kind: np.array([self._position[self.choices[i].name] for i in self._columns[kind]], dtype=np.int64)
            for kind in ("weights", "bits")
        }
        self.inside = vanishing_layers(self.network, self.blocks)
        self._groups_inside = vanishing_groups(self.network, self.blocks)
        self._moot = np.array(
            [[self._is_moot(choice, block) for choice in self.choices] for block in self.blocks], dtype=np.int64
        ).reshape(len(self.blocks), len(self.choices))

    @staticmethod
    def _is_moot(choice: Choice, block: Block) -> bool:
        """Whether a choice does nothing once the block is dropped."""
        inside = block.groups if choice.kind == "channels" else block.layers
        return choice.kind != "depth" and choice.name in inside

    def as_matrix(self, levels: npt.ArrayLike) -> IntArray:
        """``levels`` as ``int64 [N, K]``.

        Raises:
            ConfigError: another number of columns.
        """
        matrix = np.atleast_2d(np.asarray(levels, dtype=np.int64))
        if matrix.ndim != 2 or matrix.shape[1] != len(self.choices):
            raise ConfigError(
                f"A plan has one level for each of the {len(self.choices)} choices; shape {matrix.shape} came."
            )
        return matrix

    def canonical(self, levels: IntArray) -> IntArray:
        """What plans really do, ``[N, K]``: choices inside a dropped block do nothing, and count as full."""
        if not self.blocks:
            return levels
        moot = (~self.kept(levels)).astype(np.int64) @ self._moot > 0
        return np.where(moot, self.full, levels)

    def widths(self, levels: IntArray) -> IntArray:
        """Channels of every group, ``[N, K] -> [N, G]``."""
        if "channels" in self.kinds:
            return levels[:, self._columns["channels"]]
        return np.repeat(self.network.dense_widths[None], len(levels), axis=0)

    def effective_widths(self, widths: IntArray, kept: BoolArray) -> IntArray:
        """Widths ``[N, G]``, smallest inside blocks that are not kept ``[N, B]``: these must count for nothing."""
        smallest = np.array([group.widths[0] for group in self.network.groups], dtype=np.int64)
        return np.where(~kept @ self._groups_inside, smallest, widths)

    def kept(self, levels: IntArray) -> BoolArray:
        """Whether each block stays, ``[N, K] -> [N, B]``."""
        return np.asarray(levels[:, self._columns["depth"]] > 0)

    def present(self, levels: IntArray) -> BoolArray:
        """Whether each layer of the network is left, ``[N, K] -> [N, L]``."""
        return np.asarray((~self.kept(levels)).astype(np.int64) @ self.inside.astype(np.int64) == 0)

    def macs(self, levels: IntArray) -> FloatArray:
        """Multiply-adds of one sample, ``[N, K] -> [N]``."""
        return macs_without(self.network, self.blocks, self.widths(levels), self.kept(levels))

    def params(self, levels: IntArray) -> FloatArray:
        """Parameters of the whole network, zeros among them, ``[N, K] -> [N]``."""
        return params_without(self.network, self.blocks, self.widths(levels), self.kept(levels))

    def density(self, levels: IntArray) -> FloatArray:
        """Share of the entries of each layer's weight that remain, ``[N, K] -> [N, L]``."""
        found = np.ones((len(levels), len(self.network.layers)))
        found[:, self._layers["weights"]] = levels[:, self._columns["weights"]] / 100
        return found

    def bits(self, levels: IntArray) -> IntArray:
        """Bits of an entry of each layer's weight, ``[N, K] -> [N, L]``."""
        found = np.full((len(levels), len(self.network.layers)), FULL_BITS, dtype=np.int64)
        found[:, self._layers["bits"]] = levels[:, self._columns["bits"]]
        return found

    def dropped(self, row: IntArray) -> tuple[str, ...]:
        """Names of the blocks that a plan ``[K]`` drops."""
        return tuple(block.name for block, kept in zip(self.blocks, self.kept(row[None])[0], strict=True) if not kept)

    def computed_in_int8(self, row: IntArray) -> tuple[str, ...]:
        """Names of the layers that a plan ``[K]`` computes in int8."""
        computed = self.in_int8(row[None])[0]
        return tuple(layer.name for layer, so in zip(self.network.layers, computed, strict=True) if so)

    def permitted_in_int8(self, levels: IntArray) -> BoolArray:
        """Whether each layer may compute in int8, ``[N, K] -> [N, L]``: it is left, and has at most 8 bits."""
        if not self.int8.names or "bits" not in self.kinds:
            return np.zeros((len(levels), len(self.network.layers)), dtype=bool)
        candidates = np.array([layer.name in self.int8.names for layer in self.network.layers])
        return np.asarray((self.bits(levels) <= INT8_BITS) & self.present(levels) & candidates)

    def in_int8(self, levels: IntArray) -> BoolArray:
        """Whether each layer computes in int8, ``[N, K] -> [N, L]``."""
        permitted = self.permitted_in_int8(levels)
        if not permitted.any():
            return permitted
        widths = self.effective_widths(self.widths(levels), self.kept(levels))
        return self.int8.chosen(widths, permitted, self.present(levels))

    def named(self, row: IntArray) -> Mapping[str, Mapping[Kind, int]]:
        """Name -> kind -> level of a plan ``[K]``, in forward order."""
        found: dict[str, dict[Kind, int]] = {}
        for choice, level in zip(self.choices, row, strict=True):
            found.setdefault(choice.name, {})[choice.kind] = int(level)
        return found
