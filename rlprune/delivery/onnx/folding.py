"""What is folded away in an exported ONNX graph before its weights are rounded, and where its layers stand.

A BatchNorm that follows a convolution would be computed in float between two roundings: slow and inaccurate.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from rlprune.delivery.onnx import graph as onnx_graph

Array = npt.NDArray[Any]
EPSILON = 1e-5
"""ONNX's default of a BatchNormalization."""


def folded(model: ModelProto) -> ModelProto:
    """A copy without computed biases and without BatchNorms that follow a convolution or a linear layer."""
    result = ModelProto()
    result.CopyFrom(model)
    onnx_graph.drop_computed_biases(result.graph)
    fold_batchnorms(result.graph)
    del result.graph.value_info[:]
    return result


def fold_batchnorms(graph: GraphProto) -> None:
    """Put BatchNorms into the weights and biases before them, where nothing else reads those weights or outputs."""
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    producers = {output: node for node in graph.node for output in node.output}
    reads = readers(graph)
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        layer = producers.get(norm.input[0])
        if layer is not None and _can_fold(layer, norm, arrays, reads):
            changed = _fold(layer, norm, arrays)
            arrays |= changed
            replace_initializers(graph, changed)
            graph.node.remove(norm)
    drop_unread_initializers(graph)


def readers(graph: GraphProto) -> Counter[str]:
    """How often each tensor is read; by the graph's outputs too."""
    return Counter(onnx_graph.read_names(graph))


def _can_fold(layer: NodeProto, norm: NodeProto, arrays: Mapping[str, Array], reads: Counter[str]) -> bool:
    rows_are_outputs = layer.op_type == "Conv" or (layer.op_type == "Gemm" and attribute(layer, "transB", 0) == 1)
    needed = [*layer.input[1:], *norm.input[1:5]]
    alone = all(reads[name] == 1 for name in [*layer.input[1:], layer.output[0]])
    return rows_are_outputs and alone and all(name in arrays for name in needed)


def _fold(layer: NodeProto, norm: NodeProto, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Makes ``layer`` answer what ``norm`` did; gives its new weight and bias.

    The norm's own tensors stay as they are: another layer may end in the same norm.
    """
    gamma, beta, mean, variance = (arrays[name].astype(np.float64) for name in norm.input[1:5])
    slope = gamma / np.sqrt(variance + attribute(norm, "epsilon", EPSILON))
    weight = arrays[layer.input[1]]
    bias = arrays[layer.input[2]] if len(layer.input) == 3 else np.zeros(len(mean))
    if len(layer.input) == 2:
        layer.input.append(f"{layer.input[1]}_bias")
    layer.output[0] = norm.output[0]
    shape = (-1,) + (1,) * (weight.ndim - 1)
    return {
        layer.input[1]: (weight * slope.reshape(shape)).astype(weight.dtype),
        layer.input[2]: ((bias - mean) * slope + beta).astype(weight.dtype),
    }


def attribute(node: NodeProto, name: str, default: float) -> float:
    """A number among the attributes of a node."""
    return next((float(helper.get_attribute_value(a)) for a in node.attribute if a.name == name), default)


def replace_initializers(graph: GraphProto, changed: Mapping[str, Array]) -> None:
    """Give initialisers other values; those that are not there are added."""
    present = {tensor.name: tensor for tensor in graph.initializer}
    for name, array in changed.items():
        tensor = present.get(name) or graph.initializer.add()
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), name))


def drop_unread_initializers(graph: GraphProto) -> None:
    """Remove initialisers that no node reads."""
    reads = readers(graph)
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in reads]:
        graph.initializer.remove(tensor)


def fold_transposes(graph: GraphProto, weights: Collection[str]) -> dict[str, str]:
    """Transpose these weights beforehand where a node does it, as the exporter writes linear layers on sequences.

    Returns:
        Name of the new initialiser -> name of the weight it was.
    """
    arrays = {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.name in weights}
    origins = {}
    for node in [n for n in graph.node if n.op_type == "Transpose" and n.input[0] in arrays]:
        array = arrays[node.input[0]].transpose(_permutation(node))
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), node.output[0]))
        origins[node.output[0]] = node.input[0]
        graph.node.remove(node)
    drop_unread_initializers(graph)
    return origins


def _permutation(node: NodeProto) -> list[int] | None:
    return next((list(a.ints) for a in node.attribute if a.name == "perm"), None)


def nodes_by_weight(graph: GraphProto, origins: Mapping[str, str]) -> dict[str, list[NodeProto]]:
    """Weight -> convolutions and products that multiply with it, each with a name of its own.

    Args:
        graph: after :func:`fold_transposes`.
        origins: what it returned.
    """
    found: dict[str, list[NodeProto]] = defaultdict(list)
    for number, node in enumerate(graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            found[origins.get(node.input[1], node.input[1])].append(node)
    return found
