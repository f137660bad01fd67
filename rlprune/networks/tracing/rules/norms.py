"""Normalisations. Those over channels compute their statistics over the channels that are left."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rlprune.networks.tracing.atoms import Label, Labels, once
from rlprune.networks.tracing.labelling import Labelling, Rule
from rlprune.networks.tracing.records import Call
from rlprune.networks.tracing.rules.pointwise import dropped_fixed


def _join_parameters(tracer: Labelling, label: Label, parameters: list[Any]) -> Label:
    for parameter in parameters:
        if isinstance(parameter, torch.Tensor) and parameter.dim() == 1:
            own = tracer.labels(parameter)[0]
            if label is not None or own is not None:
                label = tracer.atoms.join(label, own, f"{tracer.place} scales fixed channels")
    return label


def _others(call: Call) -> list[Labels]:
    return [(None,) * tensor.dim() for tensor in call.output[1:] if isinstance(tensor, torch.Tensor)]


def batch_norm(tracer: Labelling, call: Call) -> list[Labels]:
    labels = list(tracer.labels(call.args[0]))
    labels[1] = _join_parameters(tracer, labels[1], list(call.args[1:5]))
    if labels[1] is not None:
        tracer.size("num_features", once(labels[1]))
    return [tuple(labels), *_others(call)]


def layer_norm(tracer: Labelling, call: Call) -> Labels | list[Labels]:
    """``native_layer_norm`` and ``_fused_rms_norm``: the last dimensions are normalised together."""
    x, shape = call.args[0], call.args[1]
    labels = list(tracer.labels(x))
    parameters = [p for p in call.args[2:4] if isinstance(p, torch.Tensor)]
    for dim in range(-len(shape), 0):
        for parameter in parameters:
            own = tracer.labels(parameter)[dim]
            if labels[dim] is not None or own is not None:
                labels[dim] = tracer.atoms.join(labels[dim], own, f"{tracer.place} scales fixed channels")
        tracer.renormalizes(labels[dim])
    if len(shape) == 1:
        tracer.size("normalized_shape", labels[-1])
    else:
        for dim in range(-len(shape), 0):
            tracer.atoms.fix(labels[dim], f"{tracer.place} normalises several dimensions of fixed size")
    outputs = call.output
    return [tuple(labels), *_others(call)] if isinstance(outputs, tuple) else tuple(labels)


def group_norm(tracer: Labelling, call: Call) -> list[Labels]:
    """Whole groups go, each with statistics of its own; or the same channels of each group."""
    x, weight, bias, groups = call.args[0], call.args[1], call.args[2], call.args[6]
    labels = list(tracer.labels(x))
    label = _join_parameters(tracer, labels[1], [weight, bias])
    if label is not None:
        blocks = label.reshape(groups, -1)
        reason = f"{tracer.place} normalises it together with channels that cannot be removed"
        wide = blocks.shape[1]
        whole_groups = groups > 1 and tracer.option(f"norm={groups}", label, 2, 0 if groups >= wide else 1) == 0
        if whole_groups:
            tracer.size("num_groups", tracer.atoms.join_rows(blocks, reason))
        else:
            tracer.atoms.join_rows(np.ascontiguousarray(blocks.T), reason)
            tracer.renormalizes(label)
        tracer.size("num_channels", label)
    labels[1] = dropped_fixed(label)
    return [tuple(labels), *_others(call)]


_BATCH_NORMS = (
    "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "cudnn_batch_norm",
    "_batch_norm_with_update", "_batch_norm_no_update", "batch_norm",
)  # fmt: skip
RULES: dict[str, Rule] = {
    **dict.fromkeys(_BATCH_NORMS, batch_norm),
    **dict.fromkeys(("native_layer_norm", "_fused_rms_norm", "rms_norm"), layer_norm),
    "native_group_norm": group_norm,
}
