"""From joined atoms to groups: channels that stand in the same places form one group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rlprune.arrays import IntArray
from rlprune.networks.layers import LabelledLayer, Side
from rlprune.networks.tracing.records import Size, Trace


@dataclass(frozen=True, eq=False)
class Member:
    """One side of one layer that holds the channels of a group.

    Attributes:
        layer: layer name.
        side: ``out`` or ``in``.
        slots: ``int64 [repeats, width]``; where channel c stands on that side of the layer. ``repeats`` is 1, or more
            where a channel takes several places: the positions of a convolution flattened into a linear layer, the
            features of a head, the gates of a recurrent layer.
    """

    layer: str
    side: Side
    slots: torch.Tensor


@dataclass(frozen=True, eq=False)
class Coupling:
    """Channels that must be cut together.

    Attributes:
        width: their number.
        members: where they stand.
        sizes: index of a :class:`Size` -> how much one channel adds to it.
        roots: the joined atom of each channel.
        obstacle: why they cannot be cut, if so.
    """

    width: int
    members: tuple[Member, ...]
    sizes: Mapping[int, int]
    roots: IntArray
    obstacle: str | None


def find_couplings(trace: Trace, layers: Sequence[LabelledLayer]) -> list[Coupling]:
    """Sets of channels with equal places, each with its obstacle if it has one."""
    roots = trace.atoms.roots()
    fixed = trace.atoms.fixed(roots)
    sides: list[tuple[str, Side]] = []
    labels: list[IntArray] = []
    for item in layers:
        for side, label in item.labels.items():
            if label is not None:
                sides.append((item.layer.name, side))
                labels.append(label)
    labels += [size.label for size in trace.sizes]
    produced = np.zeros(trace.atoms.count, dtype=bool)
    produced[roots[trace.atoms.produced()]] = True
    couplings = []
    for signature, channels in _by_signature(labels, roots, produced, fixed).items():
        members, sizes = _places(signature[1:], channels, sides)
        heads = np.array([channel[0] for channel in channels])
        couplings.append(Coupling(len(channels), members, sizes, heads, str(signature[0]) or None))
    return couplings


_Channel = tuple[int, IntArray]


def _by_signature(
    labels: Sequence[IntArray], roots: IntArray, produced: IntArray, fixed: Mapping[int, str]
) -> dict[tuple[str | int, ...], list[_Channel]]:
    """(obstacle, axis of each place) -> channels: root and position on each of these axes."""
    if not labels:
        return {}
    atoms = np.concatenate(labels)
    axes = np.repeat(np.arange(len(labels)), [len(label) for label in labels])
    positions = np.concatenate([np.arange(len(label)) for label in labels])
    inside = atoms >= 0
    inside[inside] = produced[roots[atoms[inside]]]
    owner, axes, positions = roots[atoms[inside]], axes[inside], positions[inside]
    order = np.lexsort((positions, axes, owner))
    owner, axes, positions = owner[order], axes[order], positions[order]
    edges = np.flatnonzero(np.diff(owner)) + 1
    found: dict[tuple[str | int, ...], list[_Channel]] = defaultdict(list)
    for start, stop in zip([0, *edges], [*edges, len(owner)], strict=True):
        if start < stop:
            root = int(owner[start])
            signature = (fixed.get(root, ""), *axes[start:stop].tolist())
            found[signature].append((root, positions[start:stop]))
    return found


def _places(
    axes: Sequence[str | int], channels: list[_Channel], sides: Sequence[tuple[str, Side]]
) -> tuple[tuple[Member, ...], dict[int, int]]:
    table = np.stack([positions for _, positions in channels], axis=1)
    members, sizes = [], {}
    numbers = np.array(axes, dtype=np.int64)
    for axis in np.unique(numbers).tolist():
        rows = table[numbers == axis]
        if axis < len(sides):
            name, side = sides[axis]
            members.append(Member(name, side, torch.from_numpy(np.ascontiguousarray(rows))))
        else:
            sizes[axis - len(sides)] = len(rows)
    return tuple(members), sizes


def sizes_by_name(sizes: Sequence[Size]) -> dict[tuple[str, str, int | None], list[int]]:
    """(module, attribute, entry) -> indices of what was said about it, certain ones first."""
    found: dict[tuple[str, str, int | None], list[int]] = defaultdict(list)
    for index in sorted(range(len(sizes)), key=lambda i: not sizes[i].certain):
        found[(sizes[index].module, sizes[index].attribute, sizes[index].index)].append(index)
    return found
