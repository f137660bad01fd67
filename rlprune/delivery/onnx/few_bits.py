"""ONNX networks whose weights are stored in 16, 8 or 4 bits and computed with in float."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from rlprune.delivery.onnx.reading import parsed_onnx
from rlprune.errors import NetworkError, PlanError
from rlprune.pruning.quantization import WeightPlace, few_bits

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

INT4_OPSET = 21
"""The first version of ONNX with four-bit tensors."""
CODES, SCALES, CAST = "_codes", "_scales", "_cast"


def weight_only_onnx(model: bytes, bits: Mapping[str, int], places: Mapping[str, WeightPlace]) -> bytes:
    """The network with weights as integers or float16 with scales, and nodes behind each that give it in its own type.

    ONNX Runtime computes these once, when it loads the network: the file is smaller, runs take as long as in float32.

    Args:
        model: serialised ``ModelProto`` whose weights keep their names, as ``optimize=False`` exports it or
            :func:`rlprune.delivery.onnx.int8.quantize_onnx` returned it.
        bits: layer name -> 4, 8, 16, or 32 for a weight that stays as it is.
        places: as :func:`rlprune.pruning.quantization.storable_layers` gives them.

    Raises:
        PlanError: bits that are not one of these, or a layer whose weight cannot be stored in fewer.
        NetworkError: the exported network has no such weight, or one is not finite.
    """
    from onnx import version_converter

    from rlprune.delivery.onnx.graph import drop_computed_biases

    result = parsed_onnx(model)
    drop_computed_biases(result.graph)
    del result.graph.value_info[:]
    stored = {name: count for name, count in bits.items() if count != 32}
    if 4 in stored.values() and _opset(result) < INT4_OPSET:
        result = version_converter.convert_version(result, INT4_OPSET)
    tensors = {tensor.name: tensor for tensor in result.graph.initializer}
    added: list[NodeProto] = []
    for name, count in stored.items():
        if name not in places:
            raise PlanError(f"Only weights with output channels are stored in fewer bits; {name} is none.")
        key, out_dim = places[name]
        if key not in tensors:
            raise NetworkError(f"The exported network has no weight {key}: the exporter changed it. Leave it in float.")
        initializers, nodes = _stored(tensors[key], count, out_dim)
        result.graph.initializer.remove(tensors[key])
        result.graph.initializer.extend(initializers)
        added += nodes
    following = list(result.graph.node)
    del result.graph.node[:]
    result.graph.node.extend([*added, *following])
    return bytes(result.SerializeToString())


def _opset(model: ModelProto) -> int:
    return max(int(entry.version) for entry in model.opset_import if not entry.domain)


def _stored(weight: TensorProto, bits: int, out_dim: int) -> tuple[list[TensorProto], list[NodeProto]]:
    """A weight's initialisers, and the nodes that make a tensor of its name and type of them.

    Not a DequantizeLinear: ONNX Runtime keeps those for runs in int8 and would do the same work at each inference.
    """
    from onnx import TensorProto, helper, numpy_helper

    values = torch.from_numpy(np.array(numpy_helper.to_array(weight)))
    codes_name, scales_name, cast_name = (weight.name + suffix for suffix in (CODES, SCALES, CAST))
    codes, scales = few_bits(values, bits, out_dim)
    array = codes.numpy()
    if bits == 4:
        array = array.astype(helper.tensor_dtype_to_np_dtype(TensorProto.INT4))
    shape = [-1 if dim == out_dim else 1 for dim in range(codes.dim())]
    initializers = [
        numpy_helper.from_array(array, codes_name),
        numpy_helper.from_array(scales.reshape(shape).to(values.dtype).numpy(), scales_name),
    ]
    cast = helper.make_node("Cast", [codes_name], [cast_name], to=weight.data_type)
    return initializers, [cast, helper.make_node("Mul", [cast_name, scales_name], [weight.name])]
