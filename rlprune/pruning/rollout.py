"""Layers that read what they answered before, such as hidden states: their errors feed on themselves.

One step of such a layer may get better by a refit and the sequence worse. So they are judged by what the whole network
answers to samples held out, run from the first step to the last: where it is further from the dense one with their
refitted weights than with these weights merely cut, they are cut.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import nn

from rlprune.networks.groups import Group
from rlprune.networks.inputs import Inputs, call, tensors_in
from rlprune.pruning.calibration import HELD_OUT_EVERY, divided
from rlprune.tasks.base import Split

if TYPE_CHECKING:
    from rlprune.pruning.tables import PruningTables

MOST_WIDTHS, MOST_SAMPLES = 8, 64


def self_reading(group: Group) -> set[str]:
    """Layers that read the channels they answer with."""
    sides: dict[str, set[str]] = defaultdict(set)
    for member in group.members:
        sides[member.layer].add(member.side)
    return {name for name, both in sides.items() if {"in", "out"} <= both}


def harmful_when_run(tables: PruningTables, calibration: Split) -> Iterator[tuple[set[str], range]]:
    """Self-reading layers that the tables refit, and widths of their group at which that does harm.

    A few widths of each group are tried, the others at full width; each speaks for those up to the next.
    """
    network = tables.network
    samples = next(
        (x for held_out, x in divided(calibration, MOST_SAMPLES * HELD_OUT_EVERY, tables.device) if held_out), None
    )
    for place, group in enumerate(network.groups):
        names = self_reading(group) & tables.refitted
        if not names or samples is None:
            continue
        cut, dense = tables.without(names), _answers(tables, tables.permuted, samples)
        tried = group.widths[:-1][:: -(-len(group.widths[:-1]) // MOST_WIDTHS)] if len(group.widths) > 1 else ()
        for width, following in zip(tried, (*tried[1:], group.width), strict=True):
            row = network.dense_widths.copy()
            row[place] = width
            errors = []
            for each in (tables, cut):
                model = each.shell().fill(each.tensors(row), row)
                errors.append(float((_answers(tables, model, samples) - dense).square().sum()))
            if not errors[0] <= errors[1]:
                yield names, range(width, following)


def _answers(tables: PruningTables, model: nn.Module, inputs: Inputs) -> torch.Tensor:
    with torch.no_grad():
        outputs = tensors_in(tables.network.outputs(call(model.eval(), inputs)))
    return torch.cat([x.double().flatten() for x in outputs if x.is_floating_point()])
