"""Keeps the groups whose pruning was shown to be right, and tries to save the others."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.networks.checking import verification
from rlprune.networks.groups import Group
from rlprune.networks.inputs import call, map_tensors
from rlprune.networks.layers import Layer
from rlprune.networks.record import Attribute, NetworkRecord

MOST_GUESSES = 4
SIZE_WORDS = ("head", "dim", "size", "channel", "feature", "width", "hidden", "inner", "embed", "split", "group")
MOST_WORK_IN_DOUBLE = 5e8
"""Multiply-adds a sample; larger networks are checked in float32, to a tolerance that its rounding allows."""


def sound(network: NetworkRecord) -> tuple[NetworkRecord, dict[str, str]]:
    """The network with those of its groups that can be pruned, alone and together, and why the others cannot.

    Groups that change attributes which were only guessed to be widths, because of their value, are checked alone first;
    where that fails, these attributes are tried as constants.

    Returns:
        The network, and group name -> reason.
    """
    work = sum(x.macs_per_pair * x.out_width * max(x.in_width, 1) * x.repeated for x in network.layers)
    probe = (_in_double_precision(network) if work <= MOST_WORK_IN_DOUBLE else None) or network
    probe = probe.with_model(telling_weights(probe.model))
    alone = _check_guesses(probe, network.groups, one_of_a_kind=work > MOST_WORK_IN_DOUBLE)
    groups, reasons = _sound(probe, tuple(group for group in network.groups if group.name not in alone))
    return replace(network, groups=groups, attributes=probe.attributes), reasons | alone


def _in_double_precision(network: NetworkRecord) -> NetworkRecord | None:
    """The network in float64, where errors of rounding and of pruning are far apart; None where it does not run so."""
    double = replace(
        network,
        model=copy.deepcopy(network.model).double(),
        example_inputs=map_tensors(lambda x: x.double() if x.is_floating_point() else x, network.example_inputs),
    )
    try:
        with torch.no_grad():
            call(double.model, double.example_inputs)
    except Exception:
        return None
    return double


def telling_weights(model: nn.Module, seed: int = 0) -> nn.Module:
    """A copy with noise on its weights: layers that start at zero, or attention that is uniform, hide every mistake."""
    generator = torch.Generator().manual_seed(seed)
    told = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in told.parameters():
            if parameter.is_floating_point() and parameter.numel() > 1:
                inputs = parameter[0].numel()
                scale = 1.5 / math.sqrt(inputs) if parameter.dim() > 1 else 0.3
                noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
                parameter.add_(noise.to(parameter.device), alpha=scale)
    return told


def _check_guesses(network: NetworkRecord, groups: Sequence[Group], one_of_a_kind: bool) -> dict[str, str]:
    """Check groups that change guessed attributes alone; of groups that change like attributes maybe only the first.

    Returns:
        Why some cannot be pruned.
    """
    reasons: dict[str, str] = {}
    rejected: dict[object, set[str]] = {}
    for group in groups:
        guesses = [a for a in network.attributes if not a.certain and group.name in a.slopes]
        names = {(type(network.model.get_submodule(a.module)).__name__, a.name) for a in guesses}
        kind = (group.width, frozenset(names))
        if not guesses:
            continue
        if one_of_a_kind and kind in rejected:
            wrong = [a for a in guesses if a.name in rejected[kind]]
            network.attributes = tuple(a for a in network.attributes if a not in wrong)
            continue
        if (reason := _with_best_guesses(network, group)) is not None:
            reasons[group.name] = reason
        rejected[kind] = {a.name for a in guesses if a not in network.attributes}
    return reasons


def _sound(network: NetworkRecord, groups: tuple[Group, ...]) -> tuple[tuple[Group, ...], dict[str, str]]:
    reasons: dict[str, str] = {}
    while groups and (problem := verification.disagreement(network, groups)) is not None:
        kept = []
        for group in groups:
            reason = _with_best_guesses(network, group)
            if reason is None:
                kept.append(group)
            else:
                reasons[group.name] = reason
        if len(kept) == len(groups):
            kept = _compatible(network, groups)
            reasons |= {group.name: f"with the others, {problem}" for group in groups if group not in kept}
            return tuple(kept), reasons
        groups = tuple(kept)
    return groups, reasons


def _compatible(network: NetworkRecord, groups: tuple[Group, ...]) -> list[Group]:
    """As many of these groups, in their order, as can be pruned together."""
    kept: list[Group] = []
    for group in groups:
        if verification.disagreement(network, (*kept, group)) is None:
            kept.append(group)
    return kept


def _with_best_guesses(network: NetworkRecord, group: Group) -> str | None:
    """Why this group cannot be pruned alone, or None; what was guessed wrongly about attributes is taken back."""
    guesses = [a for a in network.attributes if not a.certain and group.name in a.slopes]
    first: str | None = None
    for rejected in _subsets(guesses):
        everything = network.attributes
        network.attributes = tuple(a for a in everything if a not in rejected)
        reason = verification.disagreement(network, (group,))
        if reason is None:
            return None
        first = first or reason
        network.attributes = everything
    return first


def _subsets(guesses: Sequence[Attribute]) -> Iterator[list[Attribute]]:
    """Which guesses to take back: those whose name is not that of a size, none, all, then as few as possible."""
    yield [guess for guess in guesses if not any(word in guess.name for word in SIZE_WORDS)]
    yield []
    yield list(guesses)
    sizes = range(1, len(guesses)) if len(guesses) <= MOST_GUESSES else (1,)
    for size in sizes:
        yield from (list(some) for some in itertools.combinations(guesses, size))


def ties_of(layers: Sequence[Layer], groups: Sequence[Group]) -> list[tuple[IntArray, IntArray]]:
    """Channels to join so that sizes the code reads off another tensor stay right, as ``c // num_heads`` does.

    Two groups that fail are tied, position by position, where one fills a whole side of a layer and the other is as
    wide and stands on its other side.
    """
    sizes = {
        (layer.name, side): n for layer in layers for side, n in (("out", layer.out_width), ("in", layer.in_width))
    }
    return [
        (outer.roots[row], inner.roots)
        for inner in groups
        for member in inner.members
        if member.slots.numel() == sizes.get((member.layer, member.side))
        for outer in groups
        if outer is not inner
        and outer.width == member.slots.numel()
        and any(m.layer == member.layer and m.side != member.side for m in outer.members)
        for row in member.slots.numpy()
    ]
