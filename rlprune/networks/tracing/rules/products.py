"""Convolutions, matrix products and embeddings: where channels are produced and read."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from rlprune.networks.tracing.atoms import Label, Labels
from rlprune.networks.tracing.labelling import Labelling, Rule
from rlprune.networks.tracing.records import Call, Product
from rlprune.networks.tracing.rules.pointwise import dropped_fixed

_CONVOLUTIONS = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip


def contract(tracer: Labelling, left: Label, right: Label) -> None:
    """Two labels are summed over together."""
    if left is not None or right is not None:
        tracer.atoms.join(left, right, f"{tracer.place} reads it beside channels that cannot be removed")


def _matrix_product(tracer: Labelling, a: Any, b: Any, output: Any, bias: Any = None) -> Labels:
    """``[..., m, k] x [..., k, n]``; batch dimensions go together."""
    left, right = tracer.labels(a), tracer.labels(b)
    contract(tracer, left[-1], right[-2])
    shared = tuple(
        None if x is None and y is None else tracer.atoms.join(x, y, f"{tracer.place} pairs its channels")
        for x, y in zip(left[:-2], right[:-2], strict=True)
    )
    place = tracer.weight_of(a, b)
    if place is None:
        _note_activations(tracer, a, output, (*shared, left[-2], right[-1], left[-1]))
    elif place == 1:
        _note_weight(tracer, b, output, b.shape[-1], right[-1], right[-2], (*shared, left[-2]), bias)
    else:
        _note_weight(tracer, a, output, a.shape[-2], left[-2], left[-1], (*shared, right[-1]), bias)
    return (*shared, left[-2], right[-1])


def _note_weight(
    tracer: Labelling, weight: Any, output: Any, outputs: int, out: Label, into: Label, others: Labels, bias: Any
) -> None:
    """A matrix of the network was multiplied; ``others`` labels the dimensions that this is repeated over."""
    key = tracer.origin(weight)
    assert key is not None
    tracer.atoms.produce(out)
    linear = [name for name, each in tracer.owners(key).items() if isinstance(each, nn.Linear) or hasattr(each, "nf")]
    for owner in linear:
        for attribute, label in (("out_features", out), ("in_features", into), ("nf", out), ("nx", into)):
            tracer.size(attribute, label, owner)
    inputs = weight.numel() // math.prod(weight.shape[:-2]) // outputs
    share = outputs * inputs / math.prod(tracer.shape_of(key))
    positions = output.numel() / outputs / tracer.batch
    known = tuple(label for label in others if label is not None)
    product = Product(
        tracer.path[-1],
        key,
        tracer.origin(bias),
        "linear",
        positions * share,
        out,
        into,
        (outputs, inputs),
        others=known,
    )
    tracer.found.products.append(product)


def _note_activations(tracer: Labelling, a: Any, output: Any, labels: Labels) -> None:
    """Multiply-adds are (output elements) x (summed dimension)."""
    total = output.numel() * a.shape[-1] / tracer.batch
    known = tuple(label for label in labels if label is not None)
    product = Product(tracer.path[-1], None, None, "product", total, None, None, (1, 1), others=known)
    tracer.found.products.append(product)


def matrix_product(tracer: Labelling, call: Call) -> Labels:
    """``mm``, ``bmm``, ``matmul``."""
    return _matrix_product(tracer, call.args[0], call.args[1], call.output)


def added_product(tracer: Labelling, call: Call) -> Labels:
    """``addmm``, ``baddbmm``: something is added to the product."""
    bias, a, b = call.args[:3]
    labels = _matrix_product(tracer, a, b, call.output, bias)
    return _add_bias(tracer, bias, labels, call.output)


def _add_bias(tracer: Labelling, bias: Any, labels: Labels, output: Any) -> Labels:
    given = tracer.labels(bias)
    result = list(labels)
    for dim in range(-len(given), 0):
        if bias.shape[dim] == output.shape[dim] > 1 and (given[dim] is not None or labels[dim] is not None):
            result[dim] = tracer.atoms.join(labels[dim], given[dim], f"{tracer.place} adds fixed channels to it")
    return tuple(result)


def experts_product(tracer: Labelling, call: Call) -> Labels:
    """``_grouped_mm``: rows ``[n, k]`` are multiplied with the matrix of their expert, ``[experts, k, m]``."""
    x, weight = call.args[:2]
    experts, into, out = tracer.labels(weight)
    tracer.atoms.fix(experts, f"{tracer.place} chooses among experts")
    contract(tracer, tracer.labels(x)[-1], into)
    if tracer.origin(weight) is not None:
        _note_weight(tracer, weight, call.output, weight.shape[-1], out, into, (tracer.labels(x)[0],), None)
    return (tracer.labels(x)[0], out)


def vector_product(tracer: Labelling, call: Call) -> Labels:
    """``mv``, ``addmv``, ``dot``: a product with a vector."""
    a, b = call.args[-2:] if call.name != "addmv" else call.args[1:3]
    into = tracer.labels(b)[0]
    contract(tracer, tracer.labels(a)[-1], into)
    key = tracer.origin(b)
    positions = call.output.numel() / tracer.batch
    product = Product(tracer.path[-1], key, None, "scale", positions, None, into, (1, b.shape[0]))
    if key is not None:
        tracer.found.products.append(product)
    labels = tracer.labels(a)[:-1]
    return _add_bias(tracer, call.args[0], labels, call.output) if call.name == "addmv" else labels


def linear(tracer: Labelling, call: Call) -> Labels:
    """``linear`` where torch does not break it up."""
    x, weight, bias = call.args[0], call.args[1], call.argument(2, "bias")
    out, into = tracer.labels(weight)
    given = tracer.labels(x)
    contract(tracer, given[-1], into)
    if tracer.origin(weight) is not None:
        _note_weight(tracer, weight, call.output, weight.shape[0], out, into, given[:-1], bias)
    labels = (*given[:-1], out)
    return labels if bias is None else _add_bias(tracer, bias, labels, call.output)


def convolution(tracer: Labelling, call: Call) -> Labels:
    """Convolutions of any dimension, grouped and transposed ones too."""
    x, weight, bias, stride, _, _, transposed, _, groups = call.args[:9]
    into, spatial = tracer.labels(x)[1], tracer.labels(x)[2:]
    for label in spatial:
        tracer.atoms.fix(label, f"{tracer.place} convolves along its channels")
    for label in tracer.labels(weight)[2:]:
        tracer.atoms.fix(label, "it is a kernel size")
    first, second = tracer.labels(weight)[:2]
    owners = tracer.owners(tracer.origin(weight))
    if groups == 1:
        out, read = (second, first) if transposed else (first, second)
        contract(tracer, into, read)
    else:
        out, read = _grouped(
            tracer, into, first, second, groups, bool(transposed), x.shape[1], call.output.shape[1], owners
        )
    tracer.atoms.produce(out)
    for owner in [name for name, each in owners.items() if isinstance(each, _CONVOLUTIONS)]:
        tracer.size("in_channels", into, owner)
        tracer.size("out_channels", out, owner)
    labels: Labels = (tracer.labels(x)[0], out, *(None for _ in spatial))
    if bias is not None and (out is not None or tracer.labels(bias)[0] is not None):
        out = tracer.atoms.join(out, tracer.labels(bias)[0], f"{tracer.place} adds fixed channels to it")
        labels = (labels[0], out, *labels[2:])
    key = tracer.origin(weight)
    if key is not None:
        counted = x if transposed else call.output
        positions = counted.numel() / counted.shape[1] / tracer.batch
        sizes = (call.output.shape[1], weight.shape[0] // groups if transposed else weight.shape[1])
        form = "transposed" if transposed else "conv"
        kernel, strides = tuple(weight.shape[2:]), tuple(stride)
        product = Product(
            tracer.path[-1], key, tracer.origin(bias), form, positions, out, read, sizes, kernel, strides, groups
        )
        tracer.found.products.append(product)
    return labels


def _grouped(
    tracer: Labelling, into: Label, first: Label, second: Label, groups: int, transposed: bool, inputs: int,
    outputs: int, owners: Iterable[str],
) -> tuple[Label, Label]:  # fmt: skip
    """Whole groups go, or the same channels of each; returns labels of the outputs and of one group's inputs.

    Args:
        into: labels of all inputs.
        first, second: labels of the weight's dimensions: all outputs and one group's inputs, or the other way round
            where it is transposed.
    """
    reason = f"{tracer.place} is a grouped convolution beside channels that cannot be removed"
    wide = max(inputs, outputs) // groups
    site = np.arange(0) if first is None else first
    whole_groups = tracer.option(f"groups={groups}", site, 2, 0 if groups >= wide else 1) == 0
    if into is None or (inputs == groups and not whole_groups):
        for label in (into, first, second):
            tracer.atoms.fix(label, reason)
        return None, None
    given = into.reshape(groups, -1)
    if whole_groups:
        unit = tracer.atoms.join_rows(given, reason)
        return _whole_groups(tracer, unit, first, second, groups, transposed, reason, owners)
    return _equal_parts(
        tracer, tracer.atoms.join_rows(np.ascontiguousarray(given.T), reason), first, second, groups, transposed, reason
    )


def _whole_groups(
    tracer: Labelling, unit: Label, first: Label, second: Label, groups: int, transposed: bool, reason: str,
    owners: Iterable[str],
) -> tuple[Label, Label]:  # fmt: skip
    """``unit`` labels the groups."""
    tracer.atoms.fix(second, "what belongs to one group stays together")
    if first is not None:
        unit = tracer.atoms.join(unit, tracer.atoms.join_rows(first.reshape(groups, -1), reason), reason)
    for owner in owners:
        tracer.size("groups", unit, owner)
    if not transposed or unit is None:
        return first, None
    each = 1 if second is None else len(second)
    return dropped_fixed(np.repeat(unit, each)), None


def _equal_parts(
    tracer: Labelling, columns: Label, first: Label, second: Label, groups: int, transposed: bool, reason: str
) -> tuple[Label, Label]:
    """``columns`` labels the inputs of every group."""
    stored: Label = None
    if first is not None:
        stored = tracer.atoms.join_rows(np.ascontiguousarray(first.reshape(groups, -1).T), reason)
    if transposed:
        return None if second is None else np.tile(second, groups), tracer.atoms.join(columns, stored, reason)
    return first, tracer.atoms.join(columns, second, reason)


def embedding(tracer: Labelling, call: Call) -> Labels:
    """Rows of a table are looked up; its columns are channels."""
    rows, columns = tracer.labels(call.args[0])
    _note_table(tracer, call.args[0], columns)
    tracer.atoms.fix(rows, "its channels are the rows of a table")
    tracer.atoms.produce(columns)
    return (*(None,) * (call.output.dim() - 1), columns)


def embedding_bag(tracer: Labelling, call: Call) -> list[Labels]:
    rows, columns = tracer.labels(call.args[0])
    _note_table(tracer, call.args[0], columns)
    tracer.atoms.fix(rows, "its channels are the rows of a table")
    tracer.atoms.produce(columns)
    others = [(None,) * tensor.dim() for tensor in call.output[1:] if isinstance(tensor, torch.Tensor)]
    return [(None, columns), *others]


def _note_table(tracer: Labelling, table: Any, columns: Label) -> None:
    key = tracer.origin(table)
    if key is not None:
        tracer.found.tables.add(key)
        if isinstance(tracer.module, nn.Embedding | nn.EmbeddingBag):
            tracer.size("embedding_dim", columns)


RULES: dict[str, Rule] = {
    **dict.fromkeys(("mm", "bmm", "matmul"), matrix_product),
    **dict.fromkeys(("addmm", "baddbmm"), added_product),
    **dict.fromkeys(("mv", "addmv", "dot"), vector_product),
    **dict.fromkeys(("_embedding_bag", "_embedding_bag_forward_only"), embedding_bag),
    "linear": linear,
    "_grouped_mm": experts_product,
    "convolution": convolution,
    "embedding": embedding,
}
