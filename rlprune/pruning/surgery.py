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
    sizes = {("out", x.name): x.out_width for x in network.layers} | {("in", x.name): x.in_width for x in network.layers}
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


def assign(module: nn.Module, tensors: Mapping[str, torch.Tensor], *, trainable: bool = False) -> None:
    """Put tensors of other sizes into the layers of ``module`` and correct the sizes the layers repeat.

    Args:
        tensors: ``state_dict`` key -> tensor; it is stored as it is, not copied.
        trainable: whether the new parameters require gradients.
    """
    modules = dict(module.named_modules())
    for key, tensor in tensors.items():
        layer_name, _, tensor_name = key.rpartition(".")
        layer = modules[layer_name]
        if tensor_name in layer._parameters:
            layer._parameters[tensor_name] = nn.Parameter(tensor, requires_grad=trainable)
        else:
            layer._buffers[tensor_name] = tensor
        kind = _layout(layer)
        for dim, side in enumerate(kind.get(tensor_name, ())):
            if side is not None:
                for attribute in _repeats(layer, side):
                    setattr(layer, attribute, tensor.shape[dim])


def _layout(layer: nn.Module) -> Mapping[str, tuple[Side | None, ...]]:
    """Tensor layout of a layer, or nothing for layers of no known kind."""
    kind = kind_of(layer)
    return kind.tensors if kind else {}


def _repeats(layer: nn.Module, side: Side) -> list[str]:
    kind = kind_of(layer)
    return [attribute for attribute, of in kind.attributes.items() if of == side] if kind else []


def prune(network: Network, channels: Channels) -> nn.Module:
    """A plain, physically smaller copy of the dense network that keeps only ``channels``."""
    state = network.model.state_dict()
    pruned = copy.deepcopy(network.model)
    with torch.no_grad():
        assign(pruned, {key: cut(state[key], dims) for key, dims in tensor_cuts(network, channels).items()}, trainable=True)
    return pruned.requires_grad_(True)
