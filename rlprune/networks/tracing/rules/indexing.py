"""Lookups by index tensors, and packed sequences."""

from __future__ import annotations

import numpy as np
import torch

from rlprune.networks.tracing.atoms import Label, Labels
from rlprune.networks.tracing.labelling import Labelling, Rule
from rlprune.networks.tracing.records import Call
from rlprune.networks.tracing.rules.pointwise import dropped_fixed


def index_select(tracer: Labelling, call: Call) -> Labels:
    x, dim, index = call.args[:3]
    labels = list(tracer.labels(x))
    labels[dim] = _looked_up(tracer, labels[dim], index)
    return tuple(labels)


def _looked_up(tracer: Labelling, label: Label, index: torch.Tensor) -> Label:
    """Labels at the given places; whether the places follow the widths is shown by running the pruned network."""
    if label is None:
        return None
    if index.dtype == torch.bool or index.dim() != 1 or tracer.depends_on_inputs(index):
        tracer.atoms.fix(label, f"{tracer.place} looks channels up")
        return None
    return dropped_fixed(label[index.cpu().numpy().astype(np.int64)])


def index(tracer: Labelling, call: Call) -> Labels:
    """``x[indices]``; one index tensor takes the place of its dimension, several move to where the first stood."""
    x, indices = call.args[0], list(call.args[1])
    labels = list(tracer.labels(x))
    indices += [None] * (x.dim() - len(indices))
    used = [dim for dim, at in enumerate(indices) if at is not None]
    extra = call.output.dim() - (x.dim() - len(used))
    if len(used) == 1 and extra == 1:
        labels[used[0]] = _looked_up(tracer, labels[used[0]], indices[used[0]])
        return tuple(labels)
    spans = [at.dim() if at is not None and at.dtype == torch.bool else 1 for at in indices]
    if any(span != 1 for span in spans):
        return _all_fixed(tracer, call)
    for dim in used:
        tracer.atoms.fix(labels[dim], f"{tracer.place} looks channels up")
    adjacent = used == list(range(used[0], used[-1] + 1))
    before = [labels[dim] for dim in range(x.dim()) if dim not in used and adjacent and dim < used[0]]
    after = [labels[dim] for dim in range(x.dim()) if dim not in used and not (adjacent and dim < used[0])]
    return (*before, *(None,) * extra, *after)


def _all_fixed(tracer: Labelling, call: Call) -> Labels:
    for label in tracer.labels(call.args[0]):
        tracer.atoms.fix(label, f"{tracer.place} looks channels up")
    fixed: Labels = (None,) * call.output.dim()
    return fixed


def gather(tracer: Labelling, call: Call) -> Labels:
    """``gather`` and the like along a dimension without channels."""
    x, dim = call.args[0], call.args[1]
    labels = list(tracer.labels(x))
    tracer.atoms.fix(labels[dim], f"{tracer.place} looks channels up")
    labels[dim] = None
    for other, label in enumerate(labels):
        if label is not None and call.output.shape[other] != x.shape[other]:
            tracer.atoms.fix(label, f"{tracer.place} looks channels up")
            labels[other] = None
    return tuple(labels)


def scatter(tracer: Labelling, call: Call) -> Labels:
    """``index_add``, ``scatter`` and the like write into one dimension; the others go together."""
    x, dim = call.args[0], call.args[1]
    labels = list(tracer.labels(x))
    source = call.argument(3, "source")
    tracer.atoms.fix(labels[dim], f"{tracer.place} looks channels up")
    given = tracer.labels(source) if isinstance(source, torch.Tensor) else ()
    for place, label in enumerate(given):
        reason = f"{tracer.place} combines its channels with others that cannot be removed"
        if place == dim % x.dim():
            tracer.atoms.fix(label, reason)
        elif labels[place] is not None or label is not None:
            labels[place] = tracer.atoms.join(labels[place], label, reason)
    labels[dim] = None
    return tuple(labels)


def index_put(tracer: Labelling, call: Call) -> Labels:
    """``x[rows] = values``: the dimensions behind the looked-up ones go together."""
    x, indices, values = call.args[0], call.args[1], call.args[2]
    labels = list(tracer.labels(x))
    used = sum(1 if at is None or at.dtype != torch.bool else at.dim() for at in indices)
    for dim in range(used):
        tracer.atoms.fix(labels[dim], f"{tracer.place} looks channels up")
        labels[dim] = None
    given = tracer.labels(values)
    for back in range(1, min(x.dim() - used, values.dim()) + 1):
        if values.shape[-back] == x.shape[-back] and (labels[-back] is not None or given[-back] is not None):
            labels[-back] = tracer.atoms.join(labels[-back], given[-back], f"{tracer.place} writes into fixed channels")
    return tuple(labels)


def pack(tracer: Labelling, call: Call) -> list[Labels]:
    """``_pack_padded_sequence``: time and batch become one dimension."""
    return [(None, *tracer.labels(call.args[0])[2:]), (None,)]


def unpack(tracer: Labelling, call: Call) -> list[Labels]:
    return [(None, None, *tracer.labels(call.args[0])[1:]), (None,)]


RULES: dict[str, Rule] = {
    "index_select": index_select,
    "index": index,
    "gather": gather,
    **dict.fromkeys(("index_add", "index_copy", "scatter", "scatter_add"), scatter),
    **dict.fromkeys(("index_put", "_index_put_impl"), index_put),
    "_pack_padded_sequence": pack,
    "_pad_packed_sequence": unpack,
}
