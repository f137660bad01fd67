"""How much of a forward pass a plan could take over from an earlier plan of the same search, at most."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from rlprune.arrays import FloatArray, IntArray
from rlprune.networks.inputs import Inputs, call
from rlprune.networks.network import Network


def first_layers(network: Network) -> IntArray:
    """Position, in forward order, of the first layer that each group changes, ``[G]``."""
    position = {layer.name: index for index, layer in enumerate(network.layers)}
    return np.array([min(position[member.layer] for member in group.members) for group in network.groups])


def reusable_layers(network: Network, plans: IntArray) -> IntArray:
    """How many leading layers of each plan compute what the nearest earlier plan computed, ``[N]``; 0 for the first.

    Args:
        plans: distinct widths in the order of the search, ``[N, G]``.
    """
    firsts = first_layers(network)
    result = np.zeros(len(plans), dtype=np.int64)
    for index in range(1, len(plans)):
        differs = plans[:index] != plans[index]
        result[index] = np.where(differs, firsts, len(network.layers)).min(axis=1).max()
    return result


def common_decisions(plans: IntArray) -> IntArray:
    """Longest run of leading widths that each plan shares with any earlier one, ``[N]``; 0 for the first."""
    result = np.zeros(len(plans), dtype=np.int64)
    for index in range(1, len(plans)):
        result[index] = (plans[:index] != plans[index]).argmax(axis=1).max()
    return result


def time_before(network: Network, model: nn.Module, batches: Sequence[Inputs], repeats: int = 5) -> FloatArray:
    """Share of the forward's time that has passed when each layer begins, ``[L + 1]``; the last entry is 1.

    A layer without a module of its name begins with the next that has one. Medians of ``repeats`` forwards.
    """
    rows = [_begins(network, model, batches) for _ in range(repeats)]
    return np.asarray(np.median(rows, axis=0))


def _begins(network: Network, model: nn.Module, batches: Sequence[Inputs]) -> FloatArray:
    modules = dict(model.named_modules())
    passed: dict[str, float] = {}
    total = 0.0
    began = 0.0

    def mark(name: str) -> None:
        passed[name] = passed.get(name, 0.0) + time.perf_counter() - began

    known = [layer.name for layer in network.layers if layer.name in modules]
    hooks = [modules[name].register_forward_pre_hook(lambda _m, _x, name=name: mark(name)) for name in known]
    try:
        with torch.inference_mode():
            for inputs in batches:
                began = time.perf_counter()
                call(model, inputs)
                total += time.perf_counter() - began
    finally:
        for hook in hooks:
            hook.remove()
    shares = [1.0]
    for layer in reversed(network.layers):
        shares.append(min(shares[-1], passed[layer.name] / total) if layer.name in passed else shares[-1])
    return np.array(shares[::-1])


def shared_prefix(network: Network, plans: IntArray, begins: FloatArray) -> dict[str, Any]:
    """Mean shares that could be reused if everything computed for earlier plans were kept.

    Args:
        plans: distinct widths in the order of the search, ``[N, G]``.
        begins: see :func:`time_before`.
    """
    layers = reusable_layers(network, plans)
    macs = network.layer_macs(plans)
    before = np.arange(macs.shape[1]) < layers[:, None]
    shares = (macs * before).sum(axis=1) / macs.sum(axis=1)
    return {
        "distinct_plans": len(plans),
        "common_decisions": float(common_decisions(plans).mean()),
        "groups": len(network.groups),
        "macs_share": float(shares.mean()),
        "time_share": float(begins[layers].mean()),
    }
