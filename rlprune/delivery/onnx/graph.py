"""Small changes to an exported ONNX graph, so that its parameters can be sliced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, NodeProto, helper, numpy_helper

from rlprune.support.reshapes import matching_dimensions

CONVOLUTIONS = ("Conv", "ConvTranspose")


def drop_computed_biases(graph: GraphProto) -> None:
    """Remove the all-zero biases the exporter computes for convolutions without one, and nodes nobody reads then.

    ONNX Runtime neither folds those zeros away nor fuses such a convolution with its BatchNorm and activation.
    """
    producers = _producers(graph)
    for node in graph.node:
        if node.op_type in CONVOLUTIONS and len(node.input) == 3 and _is_expanded_zero(node.input[2], producers):
            del node.input[2]
    _drop_unread(graph)


def free_reshapes(graph: GraphProto) -> None:
    """Make the shapes of ``Reshape`` nodes follow their input: fixed channel counts would refuse a sliced graph.

    A dimension that is only handed through becomes 0 ("as in the input"), and the first merged or split one -1.
    """
    producers = _producers(graph)
    shapes = _known_shapes(graph)
    for node in graph.node:
        if node.op_type != "Reshape":
            continue
        target = _constant_integers(node.input[1], producers, graph)
        source = shapes.get(node.input[0])
        if target is None or source is None or -1 in target or 0 in target or 0 in source:
            continue
        name = f"{node.output[0]}__shape"
        graph.initializer.append(numpy_helper.from_array(np.array(_free(source, target), dtype=np.int64), name))
        node.input[1] = name
        for attribute in [a for a in node.attribute if a.name == "allowzero"]:
            node.attribute.remove(attribute)
    _drop_unread(graph)


def correct_groups(graph: GraphProto, groups: Mapping[str, int]) -> None:
    """Set ``group`` of convolutions with these weights (initialiser name -> number)."""
    for node in graph.node:
        if node.op_type in CONVOLUTIONS and node.input[1] in groups:
            group = next((a for a in node.attribute if a.name == "group"), None)
            if group is not None:
                group.i = groups[node.input[1]]


def _free(source: Sequence[int], target: Sequence[int]) -> list[int]:
    """``target`` with handed-through dimensions as 0 and one other that may change as -1.

    Where features are split, that is the one before the last: heads, each of a fixed size.
    """
    freed = list(target)
    merged: list[int] = []
    split: list[int] = []
    for sources, targets in matching_dimensions(source, target):
        if not sources:
            continue  # a dimension of size 1
        if len(sources) == len(targets) == 1 and sources == targets:
            freed[targets[0]] = 0
        elif len(sources) > 1 or len(targets) == 1:
            merged.append(targets[0])
        elif targets:
            split.append(targets[-2] if targets[-1] == len(target) - 1 else targets[-1])
    for position in (merged or split)[:1]:
        freed[position] = -1
    return freed


def _producers(graph: GraphProto) -> dict[str, NodeProto]:
    return {output: node for node in graph.node for output in node.output}


def _known_shapes(graph: GraphProto) -> dict[str, list[int]]:
    values = [*graph.value_info, *graph.input, *graph.output]
    return {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}


def _is_expanded_zero(name: str, producers: Mapping[str, NodeProto]) -> bool:
    """True for a constant 0 behind casts and expansions."""
    node = producers.get(name)
    while node is not None and node.op_type in ("Expand", "CastLike", "Cast"):
        node = producers.get(node.input[0])
    if node is None or node.op_type != "Constant":
        return False
    value = _constant_value(node)
    return value is not None and not np.any(value)


def _constant_value(node: NodeProto) -> npt.NDArray[Any] | None:
    value = helper.get_attribute_value(node.attribute[0])
    return numpy_helper.to_array(value) if node.attribute[0].name == "value" else np.asarray(value)


def _constant_integers(name: str, producers: Mapping[str, NodeProto], graph: GraphProto) -> list[int] | None:
    """The integers a shape is made of, where they are constants."""
    for tensor in graph.initializer:
        if tensor.name == name:
            return [int(x) for x in numpy_helper.to_array(tensor).ravel()]
    node = producers.get(name)
    if node is None:
        return None
    if node.op_type == "Constant":
        value = _constant_value(node)
        return None if value is None or value.dtype.kind != "i" else [int(x) for x in value.ravel()]
    if node.op_type != "Concat":
        return None
    parts = [_constant_integers(part, producers, graph) for part in node.input]
    return None if None in parts else [x for part in parts if part is not None for x in part]


def read_names(graph: GraphProto) -> Iterator[str]:
    """Names that the graph's nodes read, once for each reading, those of loops and branches too, and its outputs."""
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            yield from read_names(attribute.g)
    yield from (value.name for value in graph.output)


def _drop_unread(graph: GraphProto) -> None:
    while True:
        read = {*read_names(graph)}
        unread = [node for node in graph.node if not any(name in read for name in node.output)]
        if not unread:
            return
        for node in unread:
            graph.node.remove(node)
