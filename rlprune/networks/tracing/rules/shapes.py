"""Operations that move, merge, split, join or repeat dimensions."""

from __future__ import annotations

import math

import numpy as np
import torch

from rlprune.arrays import IntArray
from rlprune.networks.tracing.atoms import FIXED, Label, Labels, once
from rlprune.networks.tracing.labelling import Labelling, Rule
from rlprune.networks.tracing.records import Call
from rlprune.networks.tracing.rules.pointwise import dropped_fixed
from rlprune.support.reshapes import matching_dimensions

NOT_A_COUNT = ("dim", "size", "layer", "depth", "kernel", "stride", "pad", "max", "vocab", "position", "dilation")
NOT_A_TOTAL = ("layer", "depth", "max", "vocab", "position", "bucket", "ratio")


def reshape(tracer: Labelling, call: Call) -> Labels:
    """Merged dimensions repeat labels; split ones keep them where the pieces repeat, else a choice is made."""
    x, output = call.args[0], call.output
    labels = tracer.labels(x)
    if output.dtype != x.dtype and isinstance(call.args[1], torch.dtype):
        return labels
    result: list[Label] = [None] * output.dim()
    for sources, targets in matching_dimensions(x.shape, output.shape):
        merged = _merge(tracer, [(labels[dim], x.shape[dim]) for dim in sources])
        if merged is not None:
            sizes = [output.shape[dim] for dim in targets]
            features_last = bool(targets) and targets[-1] == output.dim() - 1
            for dim, label in zip(targets, _split(tracer, merged, sizes, features_last), strict=True):
                result[dim] = label
                if label is not None and len(targets) == 1 and (len(sources) == 1 or features_last):
                    tracer.guess_sizes(len(label), label, NOT_A_TOTAL)
    return tuple(result)


def _merge(tracer: Labelling, parts: list[tuple[Label, int]]) -> Label:
    """Labels of several dimensions as one."""
    labelled = [place for place, (label, _) in enumerate(parts) if label is not None]
    labelled = [place for place in labelled if not tracer.atoms.is_repeated(parts[place][0])] or labelled
    if not labelled:
        return None
    where = max(labelled, key=lambda place: (parts[place][1], place))
    for place in labelled:
        if place != where:
            tracer.atoms.fix(parts[place][0], f"{tracer.place} merges it with another dimension that has channels")
    label = parts[where][0]
    assert label is not None
    before = math.prod(size for _, size in parts[:where])
    after = math.prod(size for _, size in parts[where + 1 :])
    return np.tile(np.repeat(label, after), before)


def _split(tracer: Labelling, merged: IntArray, sizes: list[int], features_last: bool) -> list[Label]:
    """Labels of the dimensions a merged one is split into."""
    array = merged.reshape(sizes)
    varying = [dim for dim in range(len(sizes)) if bool((array != array.take([0], dim)).any())]
    result: list[Label] = [None] * len(sizes)
    if not varying:
        tracer.atoms.fix(merged[:1], f"{tracer.place} spreads one channel over a dimension")
    elif len(varying) == 1:
        index = [slice(None) if dim == varying[0] else 0 for dim in range(len(sizes))]
        result[varying[0]] = dropped_fixed(np.ascontiguousarray(array[tuple(index)]))
    else:
        # Heads and their channels end a token's features: whole heads go. Elsewhere the finer choice is taken.
        pieces = sizes[varying[0]] == 3 and len(varying) == 2
        finest = max(range(len(varying)), key=lambda place: (sizes[varying[place]], place))
        first = len(varying) - 2 if features_last and not pieces else finest
        option = tracer.option(f"view{list(sizes)}", merged, len(varying), first)
        unit = varying[option % len(varying)]
        rows = np.moveaxis(array, unit, 0).reshape(sizes[unit], -1)
        label = tracer.atoms.join_rows(rows, f"{tracer.place} splits its channels into blocks with fixed ones")
        units, all_of_them = once(label), once(merged)
        tracer.guess_sizes(len(units), units, NOT_A_COUNT if features_last and unit != varying[-1] else ())
        tracer.guess_sizes(len(all_of_them), all_of_them, NOT_A_TOTAL)
        result[unit] = dropped_fixed(label)
    return result


def permute(tracer: Labelling, call: Call) -> Labels:
    labels = tracer.labels(call.args[0])
    return tuple(labels[dim] for dim in call.args[1])


def transpose(tracer: Labelling, call: Call) -> Labels:
    labels = list(tracer.labels(call.args[0]))
    if labels:
        first, second = (call.args[1], call.args[2]) if call.name != "t" else (0, len(labels) - 1)
        labels[first], labels[second] = labels[second], labels[first]
    return tuple(labels)


def expand(tracer: Labelling, call: Call) -> Labels:
    x, output = call.args[0], call.output
    labels = (None,) * (output.dim() - x.dim()) + tracer.labels(x)
    sizes = (1,) * (output.dim() - x.dim()) + tuple(x.shape)
    return tuple(
        label if size == wanted else (tracer.atoms.repeated(wanted) if wanted > 1 else None)
        for label, size, wanted in zip(labels, sizes, output.shape, strict=True)
    )


def squeeze(tracer: Labelling, call: Call) -> Labels:
    x = call.args[0]
    wanted = call.argument(1, "dim")
    dims = range(x.dim()) if wanted is None else [wanted] if isinstance(wanted, int) else wanted
    gone = {dim % x.dim() for dim in dims if x.dim() and x.shape[dim] == 1}
    return tuple(label for dim, label in enumerate(tracer.labels(x)) if dim not in gone)


def unsqueeze(tracer: Labelling, call: Call) -> Labels:
    labels = list(tracer.labels(call.args[0]))
    labels.insert(call.args[1] % (len(labels) + 1), None)
    return tuple(labels)


def repeat(tracer: Labelling, call: Call) -> Labels:
    x, counts = call.args[0], call.args[1]
    labels = (None,) * (len(counts) - x.dim()) + tracer.labels(x)
    return tuple(None if label is None else np.tile(label, n) for label, n in zip(labels, counts, strict=True))


def pad(tracer: Labelling, call: Call) -> Labels:
    """Constant padding: what is added stays."""
    labels, pads = list(tracer.labels(call.args[0])), list(call.args[1])
    for number in range(len(pads) // 2):
        dim = len(labels) - 1 - number
        label, before, after = labels[dim], pads[2 * number], pads[2 * number + 1]
        if label is not None:
            inner = label[max(-before, 0) : len(label) - max(-after, 0)]
            labels[dim] = np.pad(inner, (max(before, 0), max(after, 0)), constant_values=FIXED)
    return tuple(labels)


def refuse_labelled(tracer: Labelling, call: Call) -> Labels:
    """Rolling, sliding windows and the like along channels are not followed; along other dimensions they are."""
    x = call.args[0]
    fixed: Labels = (None,) * call.output.dim()
    for label in tracer.labels(x):
        if label is not None and (call.name != "unfold" or tracer.labels(x)[call.args[1]] is label):
            tracer.atoms.fix(label, f"{call.name} in {tracer.place} mixes its channels")
    if call.name == "unfold":
        labels = list(tracer.labels(x))
        labels[call.args[1]] = None
        return (*labels, None)
    return fixed


def roll(tracer: Labelling, call: Call) -> Labels:
    labels, dims = list(tracer.labels(call.args[0])), call.argument(2, "dims", [])
    for dim in dims or range(len(labels)):
        tracer.atoms.fix(labels[dim], f"roll in {tracer.place} moves its channels")
        labels[dim] = None
    return tuple(labels)


def strided(tracer: Labelling, call: Call) -> Labels:
    """Another memory layout of the same shape."""
    x = call.args[0]
    if x.shape != call.output.shape:
        return refuse_labelled(tracer, call)
    return tracer.labels(x)


RULES: dict[str, Rule] = {
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias", "view_copy", "_reshape_copy"), reshape),
    **dict.fromkeys(("permute", "permute_copy"), permute),
    **dict.fromkeys(("transpose", "t"), transpose),
    **dict.fromkeys(("expand", "expand_copy"), expand),
    "squeeze": squeeze,
    "unsqueeze": unsqueeze,
    "repeat": repeat,
    "constant_pad_nd": pad,
    "unfold": refuse_labelled,
    "roll": roll,
    "as_strided": strided,
}
