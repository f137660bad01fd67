"""Operations that take tensors apart or put them together along a dimension."""

from __future__ import annotations

import numpy as np

from rlprune.arrays import IntArray
from rlprune.networks.tracing.atoms import FIXED, Label, Labels
from rlprune.networks.tracing.labelling import Labelling, Rule
from rlprune.networks.tracing.records import Call
from rlprune.networks.tracing.rules.pointwise import dropped_fixed
from rlprune.networks.tracing.rules.shapes import NOT_A_TOTAL


def take_slice(tracer: Labelling, call: Call) -> Labels:
    """A slice that is one of equal pieces asks for equal pieces; any other keeps its labels.

    One with a step is followed where it takes a channel of every block of so many, to the end.
    """
    x, dim = call.args[0], call.argument(1, "dim", 0)
    labels = list(tracer.labels(x))
    label = labels[dim]
    if label is None:
        return tuple(labels)
    size, length = x.shape[dim], call.output.shape[dim]
    start = call.argument(2, "start") or 0
    start = min(max(start + size if start < 0 else start, 0), size)
    step = call.argument(4, "step", 1)
    if step > 1:
        labels[dim] = _every(tracer, label, step) if start < step and length * step == size else None
        if labels[dim] is None:
            tracer.atoms.fix(label, f"{tracer.place} takes one in {step} of a part of its channels")
        return tuple(labels)
    kept = label[start : start + length]
    if 0 < length < size and size % length == 0 and start % length == 0:
        _equal_pieces(tracer, label, size // length)
    if length < size:
        tracer.guess_sizes(length, kept, NOT_A_TOTAL)
    labels[dim] = dropped_fixed(kept)
    return tuple(labels)


def _every(tracer: Labelling, label: IntArray, step: int) -> Label:
    """One channel of each ``step`` consecutive ones: they go together, wherever in them it stands."""
    blocks = label.reshape(-1, step)
    return dropped_fixed(tracer.atoms.join_rows(blocks, f"{tracer.place} takes every {step}th channel"))


def _equal_pieces(tracer: Labelling, label: IntArray, pieces: int) -> IntArray:
    rows = np.ascontiguousarray(label.reshape(pieces, -1).T)
    joined = tracer.atoms.join_rows(rows, f"{tracer.place} cuts its channels into pieces with fixed ones")
    tracer.guess_sizes(len(joined), joined, NOT_A_TOTAL)
    return joined


def select(tracer: Labelling, call: Call) -> Labels:
    x, dim = call.args[0], call.args[1]
    labels = list(tracer.labels(x))
    tracer.fix_if_used(call.output, labels.pop(dim % x.dim()), f"{tracer.place} picks single channels")
    return tuple(labels)


def unbind(tracer: Labelling, call: Call) -> list[Labels]:
    x, dim = call.args[0], call.argument(1, "dim", 0)
    labels = list(tracer.labels(x))
    tracer.atoms.fix(labels.pop(dim % x.dim()), f"{tracer.place} picks single channels")
    return [tuple(labels)] * len(call.output)


def split(tracer: Labelling, call: Call) -> list[Labels]:
    """Equal pieces lose the same channels each; unequal ones keep their labels."""
    x, dim = call.args[0], call.argument(2, "dim", 0)
    labels = list(tracer.labels(x))
    label = labels[dim]
    lengths = [piece.shape[dim] for piece in call.output]
    if label is None:
        return [tuple(labels)] * len(lengths)
    if len(set(lengths)) == 1:
        pieces = np.split(label, len(lengths)) if len(lengths) == 1 else [_equal_pieces(tracer, label, len(lengths))]
        pieces = [*pieces, *np.split(label, len(lengths))[1:]]
    else:
        pieces = np.split(label, np.cumsum(lengths)[:-1])
        tracer.guess_lists(pieces)
        for piece in pieces:
            tracer.guess_sizes(len(piece), piece, NOT_A_TOTAL)
    result = []
    for piece in pieces:
        labels[dim] = dropped_fixed(piece)
        result.append(tuple(labels))
    return result


def concatenate(tracer: Labelling, call: Call) -> Labels:
    tensors = [tensor for tensor in call.args[0] if tensor.dim() == call.output.dim()]
    along = call.argument(1, "dim", 0) % call.output.dim()
    result: list[Label] = []
    for dim in range(call.output.dim()):
        labels = [tracer.labels(tensor)[dim] for tensor in tensors]
        if all(label is None for label in labels):
            result.append(None)
        elif dim == along:
            sizes = [tensor.shape[dim] for tensor in tensors]
            result.append(np.concatenate([_explicit(label, size) for label, size in zip(labels, sizes, strict=True)]))
        else:
            result.append(_joined(tracer, labels))
    return tuple(result)


def stack(tracer: Labelling, call: Call) -> Labels:
    tensors = call.args[0]
    columns = zip(*(tracer.labels(tensor) for tensor in tensors), strict=True)
    result = [_joined(tracer, list(labels)) for labels in columns]
    result.insert(call.argument(1, "dim", 0) % call.output.dim(), None)
    return tuple(result)


def _explicit(label: Label, size: int) -> IntArray:
    return np.full(size, FIXED, dtype=np.int64) if label is None else label


def _joined(tracer: Labelling, labels: list[Label]) -> Label:
    if all(label is None for label in labels):
        return None
    first = labels[0]
    for label in labels[1:]:
        first = tracer.atoms.join(first, label, f"{tracer.place} stacks its channels with fixed ones")
    return first


RULES: dict[str, Rule] = {
    **dict.fromkeys(("split", "unsafe_split", "split_with_sizes", "unsafe_split_with_sizes"), split),
    "slice": take_slice,
    "select": select,
    "unbind": unbind,
    "cat": concatenate,
    "stack": stack,
}
