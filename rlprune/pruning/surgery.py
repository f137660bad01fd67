"""Cuts tensors. The only file that does."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy.typing as npt
import torch
from torch import nn

from rlprune.layers import Side, kind_of

if TYPE_CHECKING:
    from rlprune.network import Network

Channels = Mapping[str, torch.Tensor]
Cuts = dict[str, dict[int, torch.Tensor]]


def leading_channels(network: Network, widths: npt.ArrayLike) -> dict[str, torch.Tensor]:
    """The first channels of every group, as many as ``widths`` (``[G]``) says."""
    row = network.as_matrix(widths)[0]
    return {group.name: torch.arange(int(width)) for group, width in zip(network.groups, row, strict=True)}


def axis_sources(network: Network, channels: Channels) -> dict[tuple[str, Side], torch.Tensor]:
    """For every layer side that changes, which of its dense positions it keeps, in order.

    ``channels`` gives the kept channels of each group; a group that is not named keeps all. Where they are not
    ascending, the layer's channels are permuted, and every other member of the group with them.
    """
    axes: dict[tuple[str, Side], list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]] = {}
    for group in network.groups:
        kept = channels.get(group.name)
        if kept is None:
            continue
        for member in group.members:
            slot = member.slots[:, : len(kept)].flatten()
            source = member.slots[:, kept].flatten()
            axes.setdefault((member.layer, member.side), []).append((slot, source, member.slots.flatten()))
    sizes = {("out", x.name): x.out_width for x in network.layers} | {
        ("in", x.name): x.in_width for x in network.layers
    }
    sources = {}
    for (layer, side), parts in axes.items():
        owned = torch.cat([everything for _, _, everything in parts])
        free = torch.ones(sizes[(side, layer)], dtype=torch.bool).index_fill_(0, owned, False).nonzero().flatten()
        slots = torch.cat([free, *(slot for slot, _, _ in parts)])
        origin = torch.cat([free, *(source for _, source, _ in parts)])
        sources[(layer, side)] = origin[torch.argsort(slots)]
    return sources


def tensor_cuts(network: Network, channels: Channels) -> Cuts:
    """``state_dict`` key -> {dimension: kept indices} for every tensor that changes."""
    sources = axis_sources(network, channels)
    modules = dict(network.model.named_modules())
    cuts: Cuts = {}
    for layer in {name for name, _ in sources}:
        kind = kind_of(modules[layer])
        if kind is None:
            continue
        for tensor_name, sides in kind.tensors.items():
            if getattr(modules[layer], tensor_name, None) is None:
                continue
            dims = {dim: sources[(layer, side)] for dim, side in enumerate(sides) if side and (layer, side) in sources}
            if dims:
                cuts[f"{layer}.{tensor_name}"] = dims
    return cuts


def cut(tensor: torch.Tensor, dims: Mapping[int, torch.Tensor]) -> torch.Tensor:
    """A contiguous copy of ``tensor`` with only the given indices of each dimension."""
    for dim, kept in dims.items():
        tensor = tensor.index_select(dim, kept.to(tensor.device))
    return tensor.contiguous()


class Shell:
    """A network into which tensors of other sizes can be put, again and again.

    Args:
        module: it is changed in place; the sizes its layers repeat as attributes follow the tensors.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._layers = dict(module.named_modules())
        self._places: dict[str, tuple[nn.Module, str, tuple[tuple[int, str], ...]]] = {}

    def _place(self, key: str) -> tuple[nn.Module, str, tuple[tuple[int, str], ...]]:
        """The layer and tensor name of a ``state_dict`` key, and which dimension each size attribute repeats."""
        if key not in self._places:
            layer_name, _, tensor_name = key.rpartition(".")
            layer = self._layers[layer_name]
            kind = kind_of(layer)
            sizes: tuple[tuple[int, str], ...] = ()
            if kind is not None:
                sides = kind.tensors[tensor_name]
                sizes = tuple((sides.index(side), name) for name, side in kind.attributes.items() if side in sides)
            self._places[key] = (layer, tensor_name, sizes)
        return self._places[key]

    def fill(self, tensors: Mapping[str, torch.Tensor], *, trainable: bool = False) -> nn.Module:
        """Put in ``tensors`` (``state_dict`` key -> tensor, stored as it is) and return the module.

        Args:
            trainable: whether the new parameters require gradients.
        """
        for key, tensor in tensors.items():
            layer, name, sizes = self._place(key)
            if name in layer._parameters:
                layer._parameters[name] = nn.Parameter(tensor, requires_grad=trainable)
            else:
                layer._buffers[name] = tensor
            for dim, attribute in sizes:
                setattr(layer, attribute, tensor.shape[dim])
        return self.module


def prune(network: Network, channels: Channels) -> nn.Module:
    """A plain, physically smaller copy of the dense network that keeps only ``channels``."""
    state = network.model.state_dict()
    tensors = {key: cut(state[key], dims) for key, dims in tensor_cuts(network, channels).items()}
    return Shell(copy.deepcopy(network.model)).fill(tensors).requires_grad_(True)
