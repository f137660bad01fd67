"""Cuts tensors. The only file that does."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from rlprune.networks.attention import SlimAttention
from rlprune.networks.layers import Side
from rlprune.networks.record import NetworkRecord
from rlprune.networks.tensors import named_tensors

Channels = Mapping[str, torch.Tensor]
Cuts = dict[str, dict[int, torch.Tensor]]


def leading_channels(network: NetworkRecord, widths: npt.ArrayLike) -> dict[str, torch.Tensor]:
    """The first channels of every group, as many as ``widths`` (``[G]``) says."""
    row = network.as_matrix(widths)[0]
    return {group.name: torch.arange(int(width)) for group, width in zip(network.groups, row, strict=True)}


def axis_sources(network: NetworkRecord, channels: Channels) -> dict[tuple[str, Side], torch.Tensor]:
    """For every layer side that changes, which of its dense positions it keeps, in order.

    ``channels`` gives the kept channels of each group; a group that is not named keeps all. Where they are not
    ascending, the layer's channels are permuted, and every other member of the group with them.
    """
    axes: dict[tuple[str, Side], list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]] = {}
    for group in network.groups:
        kept = channels.get(group.name)
        if kept is None:
            continue
        for member in group.weighted:
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


def tensor_cuts(network: NetworkRecord, channels: Channels) -> Cuts:
    """``state_dict`` key -> {dimension: kept indices} for every tensor that changes."""
    sources = axis_sources(network, channels)
    cuts: Cuts = {}
    for layer in network.layers:
        for key, sides in layer.tensors.items():
            dims = {
                dim: sources[(layer.name, side)]
                for dim, side in enumerate(sides)
                if side is not None and (layer.name, side) in sources
            }
            if dims:
                cuts[key] = dims
    return cuts


def cut(tensor: torch.Tensor, dims: Mapping[int, torch.Tensor]) -> torch.Tensor:
    """A contiguous copy of ``tensor`` with only the given indices of each dimension."""
    for dim, kept in dims.items():
        tensor = tensor.index_select(dim, kept.to(tensor.device))
    return tensor.contiguous()


class Shell:
    """A network into which tensors of other sizes can be put, again and again.

    Args:
        module: a copy of the network's model. It is changed in place.
        network: says which attributes of its modules follow the widths.
    """

    def __init__(self, module: nn.Module, network: NetworkRecord) -> None:
        self.module = module
        self._network = network
        self._modules = dict(module.named_modules(remove_duplicate=False))
        self._places: dict[str, list[str]] = {}
        for alias, key in network.aliases.items():
            self._places.setdefault(key, [key]).append(alias)

    def fill(self, tensors: Mapping[str, torch.Tensor], widths: npt.ArrayLike, *, trainable: bool = False) -> nn.Module:
        """Put in ``tensors`` (``state_dict`` key -> tensor, stored as it is) and return the module.

        Args:
            widths: ``[G]``, of the plan that the tensors belong to.
            trainable: whether parameters ask for gradients again where those of the network's model did.
        """
        for key, tensor in tensors.items():
            value: nn.Parameter | torch.Tensor | None = None
            for place in self._places.get(key, (key,)):
                owner, _, name = place.rpartition(".")
                module = self._modules[owner]
                if value is None:
                    value = nn.Parameter(tensor, requires_grad=False) if name in module._parameters else tensor
                self._put(module, name, value)
                self._slim(owner)
        for (owner, attribute, entry), size in self._network.sizes(widths).items():
            if owner not in self._modules:
                continue  # its block was dropped
            held = getattr(self._modules[owner], attribute)
            changed = size if entry is None else type(held)([*held[:entry], size, *held[entry + 1 :]])
            setattr(self._modules[owner], attribute, changed)
        if trainable:
            for key, parameter in self.module.named_parameters():
                parameter.requires_grad_(key in self._network.trainable)
        return self.module

    def _put(self, module: nn.Module, name: str, value: nn.Parameter | torch.Tensor) -> None:
        if isinstance(module, nn.RNNBase):
            setattr(module, name, value)  # it keeps a list of its weights beside them
        elif isinstance(value, nn.Parameter):
            module._parameters[name] = value
        else:
            module._buffers[name] = value

    def _slim(self, owner: str) -> None:
        """Torch's attention takes no other sizes: it becomes ours once one of its tensors is cut."""
        for name in (owner, owner.rpartition(".")[0]):
            module = self._modules[name]
            if type(module) is nn.MultiheadAttention:
                module.__class__ = SlimAttention
                module._qkv_same_embed_dim = False  # keeps torch's fused layer away, which knows no other sizes
                self._unnest(name)

    def _unnest(self, name: str) -> None:
        """Nested tensors exist for the fused layer only."""
        while name:
            name = name.rpartition(".")[0]
            if isinstance(encoder := self._modules[name], nn.TransformerEncoder):
                encoder.use_nested_tensor = False


def prune(network: NetworkRecord, channels: Channels) -> nn.Module:
    """A plain, physically smaller copy of the dense network that keeps only ``channels``.

    Raises:
        NetworkError: there is no group of that name.
    """
    for name in channels:
        network.group_index(name)
    state = dict(named_tensors(network.model))
    cuts = {key: dims for key, dims in tensor_cuts(network, channels).items() if key in state}
    tensors = {key: cut(state[key], dims) for key, dims in cuts.items()}
    widths = np.array([len(channels[g.name]) if g.name in channels else g.width for g in network.groups])
    replaced = {id(state[key]): state[key] for key in tensors}  # not worth a copy
    shell = Shell(copy.deepcopy(network.model, replaced), network)
    return shell.fill(tensors, widths, trainable=True)
