"""Blocks: modules that a network can do without, and what it costs without them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlprune.arrays import BoolArray, FloatArray
from rlprune.errors import PlanError, unknown_name
from rlprune.networks.network import Network


@dataclass(frozen=True)
class Block:
    """A module whose answer has the channels and the shape of what it is given.

    Attributes:
        name: of the module.
        layers: names of :attr:`Network.layers` inside, products of activations among them.
        groups: names of the groups that stand nowhere else; they vanish with the block.
        takes: position or keyword of the argument that is passed on where the block is dropped.
        answers: length of the tuple that it answers with, its first entry counts; None where it answers with a tensor.
    """

    name: str
    layers: tuple[str, ...]
    groups: tuple[str, ...]
    takes: int | str = 0
    answers: int | None = None


class Blocks(tuple[Block, ...]):
    """The blocks of a network that can be dropped, one by one or together, in forward order; none lies in another.

    Attributes:
        refused: name -> why a module that keeps the shape of its input is not among them.
    """

    refused: Mapping[str, str]

    def __new__(cls, blocks: Iterable[Block] = (), refused: Mapping[str, str] | None = None) -> Blocks:
        made = super().__new__(cls, blocks)
        made.refused = dict(refused or {})
        return made

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(block.name for block in self)

    def named(self, names: Collection[str]) -> tuple[Block, ...]:
        """The blocks of these names, in forward order.

        Raises:
            PlanError: a name is that of no block, or of a module that cannot be dropped.
        """
        for name in names:
            if name in self.refused:
                raise PlanError(
                    f"Only blocks that the network runs without can be dropped; {name!r} is none: "
                    f"{self.refused[name]}. `rlprune inspect` lists those that can."
                )
            if name not in self.names:
                raise PlanError(unknown_name("block", name, self.names))
        return tuple(block for block in self if block.name in names)


def is_inside(name: str, module: str) -> bool:
    """Whether a layer, module or ``state_dict`` key of this name belongs to a module; a module lies inside itself."""
    return name == module or name.startswith((f"{module}.", f"{module}:"))


def vanishing_layers(network: Network, blocks: Blocks) -> BoolArray:
    """Which of ``network.layers`` each block takes with it, ``[B, L]``."""
    return np.array(
        [[layer.name in set(block.layers) for layer in network.layers] for block in blocks], dtype=np.bool_
    ).reshape(len(blocks), len(network.layers))


def vanishing_groups(network: Network, blocks: Blocks) -> BoolArray:
    """Which of ``network.groups`` each block takes with it, ``[B, G]``."""
    return np.array(
        [[group.name in set(block.groups) for group in network.groups] for block in blocks], dtype=np.bool_
    ).reshape(len(blocks), len(network.groups))


def macs_without(network: Network, blocks: Blocks, widths: npt.ArrayLike, kept: npt.ArrayLike) -> FloatArray:
    """Multiply-adds of one sample, ``[N]``, at ``widths`` (``[N, G]``) without the blocks that are not ``kept``.

    Args:
        kept: ``[N, B]``, 0 or False where a block is dropped.
    """
    of_layers = network.layer_macs(widths)
    return np.asarray(of_layers.sum(axis=1)) - _lost(of_layers @ vanishing_layers(network, blocks).T, kept)


def params_without(network: Network, blocks: Blocks, widths: npt.ArrayLike, kept: npt.ArrayLike) -> FloatArray:
    """Parameters, ``[N]``; arguments as for :func:`macs_without`.

    Parameters of a block that belong to no layer go with it too.
    """
    vanishing = vanishing_layers(network, blocks).T
    dense = network.layer_params(network.dense_widths)[0] @ vanishing
    others = _held(network, blocks) - dense
    return np.asarray(network.params(widths)) - _lost(network.layer_params(widths) @ vanishing + others, kept)


def _lost(of_blocks: FloatArray, kept: npt.ArrayLike) -> FloatArray:
    dropped = ~np.atleast_2d(np.asarray(kept, dtype=np.bool_))
    return np.asarray((of_blocks * dropped).sum(axis=1))


def _held(network: Network, blocks: Blocks) -> FloatArray:
    """Parameters of each block in the dense network, ``[B]``."""
    modules = (network.model.get_submodule(block.name) for block in blocks)
    return np.array([sum(tensor.numel() for tensor in module.parameters()) for module in modules], dtype=np.float64)
