"""What aten operations do to labels: one table, filled by one file a family of operations."""

from __future__ import annotations

from typing import Any

import torch

from rlprune.errors import first_line
from rlprune.networks.inputs import tensors_in
from rlprune.networks.tracing.atoms import Labels
from rlprune.networks.tracing.labelling import Labelling, Rule
from rlprune.networks.tracing.records import Call
from rlprune.networks.tracing.rules import indexing, norms, pieces, pointwise, products, reductions, shapes, spatial

RULES: dict[str, Rule] = {
    **pointwise.RULES,
    **shapes.RULES,
    **pieces.RULES,
    **products.RULES,
    **norms.RULES,
    **reductions.RULES,
    **spatial.RULES,
    **indexing.RULES,
}


def rule_for(func: Any, name: str) -> Rule | None:
    """The rule of an operation, in place or not; element-wise ones are known by their tag."""
    rule = RULES.get(name) or RULES.get(name.rstrip("_"))
    return pointwise.join if rule is None and torch.Tag.pointwise in func.tags else rule


def apply(tracer: Labelling, func: Any, call: Call) -> None:
    """Label the outputs of a call."""
    labelled = any(label is not None for tensor in call.tensors for label in tracer.labels(tensor))
    if not labelled and call.name not in (*pointwise.CONSTANTS, *products.RULES, "expand"):
        return
    rule, reason = rule_for(func, call.name), f"{call.name} in {tracer.place} is not understood"
    if rule is None:
        give_up(tracer, call, reason)
        return
    try:
        labels = rule(tracer, call)
    except Exception as error:
        give_up(tracer, call, f"{reason} ({first_line(error)})")
        return
    several = labels if isinstance(labels, list) else [labels]
    labelled_outputs = list(zip(tensors_in(call.output), several, strict=False))
    if not all(_fits(output, each) for output, each in labelled_outputs):
        give_up(tracer, call, reason)
        return
    for output, each in labelled_outputs:
        tracer.set_labels(output, each)


def _fits(output: torch.Tensor, labels: Labels) -> bool:
    """Whether there is a label for each dimension, as long as that."""
    sizes = [None if label is None else len(label) for label in labels]
    return len(sizes) == output.dim() and all(
        size in (None, wanted) for size, wanted in zip(sizes, output.shape, strict=True)
    )


def give_up(tracer: Labelling, call: Call, reason: str) -> None:
    """Everything that a call touches stays whole."""
    for tensor in [*call.tensors, *tensors_in(call.output)]:
        for label in tracer.labels(tensor):
            tracer.atoms.fix(label, reason)
    for tensor in tensors_in(call.output):
        tracer.set_labels(tensor, (None,) * tensor.dim())
