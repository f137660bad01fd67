"""Shows that pruning a set of groups is right, instead of assuming it because forward runs.

A pruned network must equal the dense one whose *consumers* ignore the removed channels. That holds for any operation
that treats channels apart, and fails wherever indices are mapped wrongly or an operation mixes channels.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from rlprune import tracing
from rlprune.layers import kind_of
from rlprune.pruning import surgery

if TYPE_CHECKING:
    from rlprune.network import Group, Network

TOLERANCE = 1e-3


def disagreement(network: Network, groups: Sequence[Group], seed: int = 0) -> str | None:
    """Why pruning half of each of ``groups`` at random gives a wrong network, or None where it is right."""
    generator = torch.Generator().manual_seed(seed)
    channels = {}
    for group in groups:
        kept = torch.randperm(group.width, generator=generator)[: max(1, group.width // 2)]
        channels[group.name] = kept.sort().values
    try:
        pruned = surgery.prune(network, channels).eval()
        inputs = _telling(network.example_inputs, generator)
        with torch.no_grad():
            got = list(tracing.tensors_in(tracing.run(pruned, inputs)))
            wanted = list(tracing.tensors_in(tracing.run(_masked(network, channels), inputs)))
    except Exception as reason:
        return f"the pruned network fails: {str(reason).splitlines()[0]}"
    for left, right in zip(got, wanted, strict=True):
        if left.shape != right.shape:
            return "pruning changes the shape of the output"
        scale = float(right.abs().max()) or 1.0
        if left.is_floating_point() and not float((left - right).abs().max()) <= TOLERANCE * scale:  # NaN is no match
            return "an operation mixes its channels"
    return None


def _telling(inputs: tracing.Inputs, generator: torch.Generator) -> tracing.Inputs:
    """Inputs that show a wrong channel: real-valued tensors that are constant, such as zeros, become noise."""

    def telling(value: Any) -> Any:
        real = isinstance(value, torch.Tensor) and value.is_floating_point() and value.numel() > 1
        constant = real and bool(value.max() == value.min())
        return torch.randn(value.shape, generator=generator).to(value) if constant else value

    if isinstance(inputs, dict):
        return {name: telling(value) for name, value in inputs.items()}
    return tuple(telling(value) for value in inputs)


def _masked(network: Network, channels: surgery.Channels) -> nn.Module:
    """The dense network whose consumers have zero weights for the channels that are not kept."""
    masked = copy.deepcopy(network.model)
    modules = dict(masked.named_modules())
    for group in network.groups:
        if group.name not in channels:
            continue
        removed = torch.ones(group.width, dtype=torch.bool).index_fill_(0, channels[group.name], False)
        for member in group.members:
            if member.side == "in":
                layer = modules[member.layer]
                kind = kind_of(layer)
                dim = kind.tensors["weight"].index("in") if kind else 0
                with torch.no_grad():
                    layer.get_parameter("weight").index_fill_(dim, member.slots[:, removed].flatten(), 0.0)
    return masked
