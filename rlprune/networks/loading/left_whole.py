"""Why layers that stand in no group are left whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from rlprune.networks.groups import PRODUCERS, Group
from rlprune.networks.layers import LabelledLayer
from rlprune.networks.loading.discovery import Discovery
from rlprune.networks.tracing.tracer import decides


def explained(known: Mapping[str, str], groups: Sequence[Group], found: Discovery, model: nn.Module) -> dict[str, str]:
    """Layer name -> why its output channels are not pruned: what is known, and a reason for every other producer.

    Args:
        known: reasons that were found already; those of layers in a group are left out.
        groups: what is pruned.
    """
    grouped = {member.layer for group in groups for member in group.members if member.side == "out"}
    reasons = {name: why for name, why in known.items() if name not in grouped}
    for item in found.layers:
        if item.layer.kind in PRODUCERS and item.layer.name not in grouped:
            reasons.setdefault(item.layer.name, _why_whole(item, found))
    reasons |= {name: why for name, why in _tied(found).items() if name not in grouped | reasons.keys()}
    held = {key for item in found.layers for key in item.layer.tensors}
    for key, _ in model.named_parameters():
        why = None if key in held else _why_no_layer(key, found)
        if why is not None:
            module = key.rpartition(".")[0]
            reasons.setdefault(key if not module or module in grouped else module, why)
    return reasons


def _why_whole(item: LabelledLayer, found: Discovery) -> str:
    """Why no channel of a layer's output can go."""
    label = item.labels["out"]
    if label is None:
        return "it has one channel only"
    fixed = found.trace.atoms.fixed(found.roots)
    roots = found.roots[label].tolist()
    return next((fixed[root] for root in roots if root in fixed), "its channels accompany ones that stay")


def _tied(found: Discovery) -> dict[str, str]:
    """Modules that multiply with the weight of an earlier layer, and why no channel that they give can go."""
    names = {(key.rpartition(".")[0], first): first.rpartition(".")[0] for key, first in found.trace.aliases.items()}
    fixed = found.trace.atoms.fixed(found.roots)
    reasons = {}
    for product in found.trace.products:
        first = names.get((product.module, product.weight or ""))
        roots = [] if first is None or product.out is None else found.roots[product.out[product.out >= 0]].tolist()
        why = next((fixed[root] for root in roots if root in fixed), None)
        if why is not None:
            reasons[product.module] = f"its weight is that of {first}, and {why}"
    return reasons


def _why_no_layer(key: str, found: Discovery) -> str | None:
    """Why a parameter belongs to no layer, if that needs to be said."""
    if key not in found.trace.first_use:
        return "it is not used with the example inputs"
    opaque = (name for name in found.opaque if not name or key.startswith(f"{name}."))
    return next(map(decides, opaque), None)
