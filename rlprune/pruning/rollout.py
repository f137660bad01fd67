"""Layers that read what they answered before, such as hidden states: their errors feed on themselves.

One step of such a layer may get better by a refit and the sequence worse. So they are judged by what the whole network
answers to samples held out, run from the first step to the last: where it is further from the dense one with their
refitted weights than with these weights merely cut, they are cut.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator

import torch
from torch import nn

from rlprune.arrays import IntArray
from rlprune.networks.groups import Group
from rlprune.networks.inputs import Inputs, call, tensors_in
from rlprune.networks.network import Network

MOST_WIDTHS = 8


def self_reading(group: Group) -> set[str]:
    """Layers that read the channels they answer with."""
    sides: dict[str, set[str]] = defaultdict(set)
    for member in group.members:
        sides[member.layer].add(member.side)
    return {name for name, both in sides.items() if {"in", "out"} <= both}


def harmful_when_run(
    network: Network,
    dense: nn.Module,
    refitted: Collection[str],
    pruned: Callable[[IntArray, Collection[str]], nn.Module],
    samples: Iterable[tuple[bool, Inputs]],
) -> Iterator[tuple[set[str], range]]:
    """Self-reading layers that are refitted, and widths of their group at which that does harm.

    A few widths of each group are tried, the others at full width; each speaks for those up to the next.

    Args:
        network: whose groups these are.
        dense: the model that the others should answer as.
        refitted: layers that a refit is known for.
        pruned: the network at these widths (``[G]``), in which the layers named are cut and not refitted.
        samples: whether they were held out, and what the network takes.
    """
    held_out = next((inputs for held_out, inputs in samples if held_out), None)
    for place, group in enumerate(network.groups):
        names = self_reading(group) & set(refitted)
        if not names or held_out is None:
            continue
        wanted = _answers(network, dense, held_out)
        tried = group.widths[:-1][:: -(-len(group.widths[:-1]) // MOST_WIDTHS)] if len(group.widths) > 1 else ()
        for width, following in zip(tried, (*tried[1:], group.width), strict=True):
            row = network.dense_widths.copy()
            row[place] = width
            models = (pruned(row, ()), pruned(row, names))
            refit, cut = (float((_answers(network, model, held_out) - wanted).square().sum()) for model in models)
            if not refit <= cut:
                yield names, range(width, following)


def _answers(network: Network, model: nn.Module, inputs: Inputs) -> torch.Tensor:
    with torch.no_grad():
        outputs = tensors_in(network.outputs(call(model.eval(), inputs)))
    return torch.cat([x.double().flatten() for x in outputs if x.is_floating_point()])
