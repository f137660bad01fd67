"""ONNX networks with layers in int8, by ONNX Runtime's own quantizer, and with weights stored in fewer bits.

Both take a network exported with ``optimize=False`` (or an :class:`~rlprune.delivery.onnx.template.OnnxTemplate`'s
slice), in which parameters keep their names. BatchNorms are folded into the convolutions before them first, in the
graph.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rlprune.delivery.onnx.reading import parsed_onnx
from rlprune.delivery.onnx.session import Feed, onnxruntime_module, open_session
from rlprune.errors import DeviceError, NetworkError
from rlprune.pruning.quantization import Range
from rlprune.support.quiet import quiet

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

LAYERS = ("Conv", "Gemm", "MatMul")
ACTIVATIONS = ("Relu", "Clip")
"""Become part of the rounding of the layer before them: uint8 from zero up is a ReLU."""
PASSING = ("Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Keep the range of what they read; between layers in int8 ONNX Runtime runs them in int8 if both ends round alike."""
ANY_RANGE = Range(0.0, 1.0)
"""As behind a ReLU, whose work the rounding then does; with a negative end ONNX Runtime would keep it."""


def quantize_onnx(
    model: bytes, layers: Collection[str], calibration: Iterable[Feed], ranges: Mapping[str, Range] | None = None
) -> bytes:
    """The network with ``layers`` computed in int8: uint8 inputs and outputs, int8 weights per output channel (QDQ).

    Args:
        model: serialised ``ModelProto`` whose weights are named ``<layer>.weight``.
        layers: names of convolutions and linear layers.
        calibration: inputs for sessions of ``model``; they tell the ranges of what layers answer.
        ranges: layer name -> range of what it reads, as :func:`rlprune.pruning.quantization.measure_ranges` gives it;
            where it says nothing, calibration does.

    Raises:
        NetworkError: there are no calibration samples, or a layer has no convolution or product in the graph.
        DeviceError: ONNX Runtime is missing or refuses the network.
    """
    graph = _Int8Graph(model, layers)
    found = _tensor_ranges(graph.model, graph.rounded, calibration)
    given = {node.input[0]: (ranges or {}).get(name) for name, nodes in graph.layers.items() for node in nodes}
    return graph.quantized(found | {name: values for name, values in given.items() if values is not None})


def quantize_for_timing(model: bytes, layers: Collection[str]) -> bytes:
    """The same with made-up ranges and in milliseconds: how long it takes does not depend on values, only answers do.

    Raises:
        NetworkError, DeviceError: see :func:`quantize_onnx`.
    """
    graph = _Int8Graph(model, layers)
    return graph.quantized(dict.fromkeys(graph.rounded, ANY_RANGE))


class _Int8Graph:
    """A folded graph, and the nodes and tensors in it that become int8.

    Attributes:
        layers: layer name -> its nodes.
        rounded: tensors that are rounded to uint8.
        origins: each of them -> the first one whose values it has, by pooling or reshapes, or itself.
    """

    def __init__(self, model: bytes, layers: Collection[str]) -> None:
        from onnx import TensorProto

        from rlprune.delivery.onnx import folding as onnx_folding

        self.model: ModelProto = onnx_folding.folded(parsed_onnx(model))
        weights = {f"{name}.weight": name for name in layers}
        origins = onnx_folding.fold_transposes(self.model.graph, weights)
        by_weight = onnx_folding.nodes_by_weight(self.model.graph, origins)
        if missing := sorted(weights.keys() - by_weight.keys()):
            raise NetworkError(
                f"Layers computed in int8 must be convolutions or linear layers of the exported network; "
                f"{weights[missing[0]]} is none. Leave it in float."
            )
        for tensor in self.model.graph.initializer:
            if tensor.name in by_weight and tensor.data_type != TensorProto.FLOAT:
                raise NetworkError(
                    f"Layers that ONNX Runtime computes in int8 must have float32 weights; {tensor.name} has others. "
                    "Call .float() on the network first, or leave its layers in float."
                )
        self.layers = {weights[key]: nodes for key, nodes in by_weight.items() if key in weights}
        self.nodes = [node for nodes in self.layers.values() for node in nodes]
        self.nodes += _followers(self.model.graph, self.nodes)
        self.rounded = sorted({name for node in self.nodes for name in (node.input[0], node.output[0])})
        self.origins = _origins(self.model.graph, self.rounded)

    def quantized(self, ranges: Mapping[str, Range]) -> bytes:
        """The graph with every layer between roundings; ``ranges`` holds those of all ``rounded``."""
        if not self.nodes:
            return bytes(self.model.SerializeToString())
        quantization = _quantization()
        joined: dict[str, Range] = {}
        for name, origin in self.origins.items():
            joined[origin] = ranges[name].joined(joined.get(origin, ranges[name]))
        limits = {name: tuple(map(np.float32, joined[origin])) for name, origin in self.origins.items()}
        kinds = quantization.QuantType
        with quiet():
            quantizer = quantization.QDQQuantizer(
                self.model,
                per_channel=True,
                reduce_range=False,
                weight_qType=kinds.QInt8,
                activation_qType=kinds.QUInt8,
                tensors_range=quantization.calibrate.TensorsData(quantization.CalibrationMethod.MinMax, limits),
                nodes_to_quantize=[node.name for node in self.nodes],
                nodes_to_exclude=[],
                op_types_to_quantize=[*LAYERS, *ACTIVATIONS],
                extra_options={},
            )
            quantizer.quantize_model()
            return bytes(quantizer.model.model.SerializeToString())


def _origins(graph: GraphProto, rounded: Collection[str]) -> dict[str, str]:
    before = {node.output[0]: node.input[0] for node in graph.node if node.op_type in PASSING}
    origins = {}
    for name in rounded:
        origin = tensor = name
        while (tensor := before.get(tensor, "")) != "":
            origin = tensor if tensor in rounded else origin
        origins[name] = origin
    return origins


def _quantization() -> Any:
    onnxruntime_module()
    try:
        from onnxruntime import quantization
    except ImportError as reason:
        raise DeviceError(f"Layers in int8 need ONNX Runtime's quantizer: {reason}. Install onnxruntime.") from reason
    return quantization


def _followers(graph: GraphProto, nodes: Collection[NodeProto]) -> list[NodeProto]:
    """Activations that alone read what one of ``nodes`` answers."""
    from rlprune.delivery.onnx.folding import readers

    reads = readers(graph)
    alone = {node.output[0] for node in nodes if reads[node.output[0]] == 1}
    return [node for node in graph.node if node.op_type in ACTIVATIONS and node.input[0] in alone]


def _tensor_ranges(model: ModelProto, tensors: Collection[str], feeds: Iterable[Feed]) -> dict[str, Range]:
    """Smallest and largest value of ``tensors`` while ``model`` runs on ``feeds``."""
    session = open_session(_answering(model, tensors))
    found: dict[str, Range] = {}
    for feed in feeds:
        given = [(name, feed[name]) for name in tensors if name in feed]
        asked = [name for name in tensors if name not in feed]
        for name, array in [*given, *zip(asked, session.run(asked, feed), strict=True)]:
            values = Range(float(array.min()), float(array.max()))
            found[name] = values.joined(found.get(name, values))
    if not found and tensors:
        raise NetworkError(
            "Layers computed in int8 need calibration samples, which tell the ranges of what they read and answer; "
            "none came. Give samples, or leave all layers in float."
        )
    return found


def _answering(model: ModelProto, tensors: Collection[str]) -> bytes:
    """The model with ``tensors`` among its outputs."""
    from onnx import ModelProto, TensorProto, helper

    result = ModelProto()
    result.CopyFrom(model)
    known = {value.name for value in [*model.graph.output, *model.graph.input]}
    wanted = [name for name in tensors if name not in known]
    result.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in wanted)
    return bytes(result.SerializeToString())
