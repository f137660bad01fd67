"""Which plans a profile measures."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from rlprune.arrays import FloatArray, IntArray
from rlprune.networks.network import Network

CORNER_LEVELS = (1.0, 0.0, 0.5, 0.25, 0.75)


def choose_plans(network: Network, count: int, seed: int) -> IntArray:
    """``count`` different plans (fewer where the network has fewer), ``int64 [N, G]``; the first is the dense network.

    The corners come first: dense, everything at its minimum, and uniform levels between. The others are random: each
    draws a level for the whole network, then a level for each group around it, so that total costs cover the range
    (independent groups would all cost about the same).
    """
    found: dict[tuple[int, ...], None] = {}
    most = min(math.prod(len(group.widths) for group in network.groups), count)
    for plan in _candidates(network, seed):
        found.setdefault(tuple(int(width) for width in plan))
        if len(found) >= most:
            break
    return np.array(list(found), dtype=np.int64)


def _candidates(network: Network, seed: int) -> Iterator[IntArray]:
    groups = len(network.groups)
    for level in CORNER_LEVELS:
        yield at_levels(network, np.full(groups, level))
    generator = np.random.default_rng(seed)
    while True:
        centre = generator.random()
        reach = generator.choice([0.25, 0.5, 1.0])
        yield at_levels(network, np.clip(centre + reach * (generator.random(groups) - 0.5) * 2, 0, 1))


def at_levels(network: Network, levels: FloatArray) -> IntArray:
    """Allowed widths nearest to a level of each group in [0, 1]: 0 is its narrowest, 1 its dense width."""
    chosen = []
    for group, level in zip(network.groups, levels, strict=True):
        wanted = group.widths[0] + level * (group.width - group.widths[0])
        chosen.append(min(group.widths, key=lambda width: abs(width - wanted)))
    return np.array(chosen, dtype=np.int64)
