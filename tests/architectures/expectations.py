"""What a network must say about itself: each function raises AssertionError and says what is wrong."""

from __future__ import annotations

import torch
from torch import nn

from rlprune.networks.groups import PRODUCERS
from rlprune.networks.network import Network
from tests.architectures.architecture import Architecture


def check_expectations(network: Network, architecture: Architecture) -> None:
    """The number of groups and what stays whole are as a person said."""
    if architecture.groups is not None:
        names = [f"{group.name} ({group.width})" for group in network.groups]
        found = f"{', '.join(names)}; left whole: {dict(network.left_whole)}"
        assert len(names) == architecture.groups, f"{architecture.groups} groups are expected; found are {found}"
        surprising = {name: why for name, why in network.left_whole.items() if name not in architecture.whole}
        assert not surprising, f"these layers need not stay whole: {surprising}"
    for name, reason in architecture.whole.items():
        given = network.left_whole.get(name)
        assert given is not None, f"{name} must stay whole ({reason})"
        assert reason in given, f"{name} must stay whole because {reason!r}; the reason given is {given!r}"


def check_every_layer_is_explained(network: Network) -> None:
    """Every weight that makes channels stands in a group or is left whole with a reason."""
    norms = {name for name, module in network.model.named_modules() if isinstance(module, nn.LayerNorm)}
    carried = {key for layer in network.layers if layer.kind not in PRODUCERS for key in layer.tensors}
    explained = {name for group in network.groups for name in group.producers} | set(network.left_whole)
    assert "" not in explained, "a layer without a name cannot be spoken of"
    for key, parameter in network.model.named_parameters():
        module = key.rpartition(".")[0]
        if parameter.dim() > 1 and key not in carried and module not in norms:
            known = {key, module} & explained or any(name.startswith(f"{module}.") for name in explained)
            assert known, f"{key} stands in no group, and nothing says why"


def check_groups_are_consistent(network: Network) -> None:
    """Names are unique, slots lie inside the layers, and no position belongs to two groups or to one twice."""
    names = [group.name for group in network.groups]
    assert len(set(names)) == len(names), f"two groups have one name: {names}"
    sizes: dict[tuple[str, str], int] = {}
    for layer in network.layers:
        of_sides = {"out": layer.out_width, "in": layer.in_width, "repeated": layer.repeated}
        sizes |= {(layer.name, side): size for side, size in of_sides.items()}
    taken: dict[tuple[str, str], list[torch.Tensor]] = {}
    for group in network.groups:
        assert group.widths[-1] == group.width, f"{group.name} does not allow its dense width"
        for member in group.members:
            place = (member.layer, member.side)
            assert member.slots.shape[1] == group.width, f"{place} holds {member.slots.shape[1]} of {group.width}"
            taken.setdefault(place, []).append(member.slots.flatten())
    for place, parts in taken.items():
        slots = torch.cat(parts)
        assert int(slots.max()) < sizes[place], f"{place} has {sizes[place]} positions; slot {int(slots.max())} came"
        assert len(slots.unique()) == len(slots), f"a position of {place} is claimed twice"
