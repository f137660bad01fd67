"""Sums, means and other statistics. Over channels, they are taken over the channels that are left."""

from __future__ import annotations

import torch

from rlprune.networks.tracing.atoms import Labels
from rlprune.networks.tracing.labelling import Labelling, Rule
from rlprune.networks.tracing.records import Call
from rlprune.networks.tracing.rules.pointwise import join

OVER_WHAT_IS_LEFT = (
    "sum", "mean", "amax", "amin", "max", "min", "var", "var_mean", "std", "std_mean", "linalg_vector_norm",
    "logsumexp", "norm",
)  # fmt: skip
DIM_FIRST = (
    "sum", "mean", "amax", "amin", "max", "min", "var", "var_mean", "std", "std_mean", "logsumexp", "argmax", "argmin",
    "any", "all", "prod", "median", "mode", "nansum",
)  # fmt: skip


def reduced_dims(call: Call) -> list[int]:
    """Dimensions a reduction sums over."""
    x = call.args[0]
    default = 2 if call.name in ("linalg_vector_norm", "norm") else 1
    dims = call.argument(default, "dim")
    if dims is None or isinstance(dims, bool) or dims == []:
        return list(range(x.dim()))
    return [dim % x.dim() for dim in ([dims] if isinstance(dims, int) else dims)] if x.dim() else []


def reduce(tracer: Labelling, call: Call) -> Labels | list[Labels]:
    x = call.args[0]
    if isinstance(call.argument(1, "other"), torch.Tensor):  # max and min of two tensors
        return join(tracer, call)
    labels, gone = tracer.labels(x), reduced_dims(call)
    for dim in gone:
        if call.name not in OVER_WHAT_IS_LEFT:
            tracer.atoms.fix(labels[dim], f"{call.name} in {tracer.place} mixes its channels")
        elif call.name != "sum":
            tracer.renormalizes(labels[dim])
    outputs = call.output if isinstance(call.output, tuple | list) else [call.output]
    keeps = outputs[0].dim() == x.dim()
    kept = tuple(None if dim in gone else label for dim, label in enumerate(labels) if keeps or dim not in gone)
    return [kept for _ in outputs]


RULES: dict[str, Rule] = dict.fromkeys((*OVER_WHAT_IS_LEFT, *DIM_FIRST), reduce)
