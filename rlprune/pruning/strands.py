"""Layers of a recurrent module need equal widths, not equal units: each is put in an order of its own beforehand.

A group holds the hidden units of all layers and directions of a module, unit 0 of each with unit 0 of the others. To
permute the units of one layer, with all that reads them, changes nothing that the network computes. So the least
important units of each come last, and a plan removes those.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import nn

from rlprune.networks import surgery
from rlprune.networks.couplings import Member
from rlprune.networks.groups import Group
from rlprune.networks.inputs import Inputs, call, tensors_in
from rlprune.networks.network import Network

TOLERANCE = 1e-4
Strand = tuple[int, int]
"""Number of a layer, and its direction."""


def strands_of(group: Group, model: nn.Module) -> list[Group]:
    """The layers and directions of the only recurrent module in a group, as groups of their own; none where it has
    one, or where it cannot be told whose units another layer reads."""
    modules = {name for m in group.members if (name := _recurrent(m, model))}
    if len(modules) != 1:
        return []
    name = modules.pop()
    module = model.get_submodule(name)
    assert isinstance(module, nn.RNNBase)
    directions = 2 if module.bidirectional else 1
    found: dict[Strand, list[Member]] = defaultdict(list)
    for member in group.members:
        for row, slots in enumerate(member.slots):
            strand = _strand(member, row, name, module.num_layers, directions)
            if strand is None:
                return []
            found[strand].append(replace(member, slots=slots[None]))
    if len(found) < 2:
        return []
    return [
        replace(group, name=f"{group.name}:{layer}.{direction}", members=tuple(_together(members)))
        for (layer, direction), members in sorted(found.items())
    ]


def _together(members: list[Member]) -> list[Member]:
    """One member for each layer side."""
    rows: dict[tuple[str, str], list[Member]] = defaultdict(list)
    for member in members:
        rows[(member.layer, member.side)].append(member)
    return [replace(same[0], slots=torch.cat([m.slots for m in same])) for same in rows.values()]


def _recurrent(member: Member, model: nn.Module) -> str | None:
    """The recurrent module of a layer, named by a weight of it."""
    name, _, weight = member.layer.rpartition(".")
    inside = weight.startswith("weight_") and isinstance(model.get_submodule(name), nn.RNNBase)
    return name if inside else None


def _strand(member: Member, row: int, module: str, layers: int, directions: int) -> Strand | None:
    """Whose units a row of a member's slots holds."""
    owner, _, weight = member.layer.rpartition(".")
    if owner != module:
        return layers - 1, row % directions
    _, kind, place = weight.split("_")[:3]
    layer, direction = int(place.removeprefix("l")), int(weight.endswith("_reverse"))
    if member.side == "out" or kind == "hh":
        return layer, direction
    return None if layer == 0 else (layer - 1, row % directions)


def aligned(
    network: Network, inputs: Inputs, ranked: Callable[[Network], Mapping[str, torch.Tensor]]
) -> Network:  # fmt: skip
    """The same network with the units of every recurrent layer in an order of its own; itself where there is none.

    Args:
        inputs: a few samples, on which both must answer alike.
        ranked: group name -> its channels, most important first, for every group of a network.
    """
    parts = [part for group in network.groups for part in strands_of(group, network.model)]
    if not parts:
        return network
    split = copy.copy(network)
    split.groups = tuple(parts)
    result = network.with_model(surgery.prune(split, ranked(split)).eval())
    for key, parameter in result.model.named_parameters():
        parameter.requires_grad_(network.model.get_parameter(key).requires_grad)
    return result if _alike(network, result, inputs) else network


def _alike(left: Network, right: Network, inputs: Inputs) -> bool:
    with torch.no_grad():
        answers = [list(tensors_in(each.outputs(call(each.model, inputs)))) for each in (left, right)]
    return all(
        float((a - b).abs().max()) <= TOLERANCE * float(a.abs().max())
        for a, b in zip(*answers, strict=True)
        if a.is_floating_point() and a.numel()
    )
