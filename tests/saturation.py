"""Whether this processor computes int8 products exactly."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from onnx import TensorProto, helper

from rlprune.delivery.onnx.session import run_onnx

COLUMNS = 64


@functools.cache
def saturates() -> bool:
    """Whether ONNX Runtime's sums of uint8 times int8 stop at 16 bits, as on x86 without VNNI."""
    weights = np.full((COLUMNS, 16), 127, np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["c"])],
        "products",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [16, COLUMNS])],
        [helper.make_tensor_value_info("c", TensorProto.INT32, [16, 16])],
        [helper.make_tensor("b", TensorProto.INT8, weights.shape, weights.tobytes(), raw=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (sums,) = run_onnx(model.SerializeToString(), {"a": np.full((16, COLUMNS), 255, np.uint8)})
    return bool((sums != 255 * 127 * COLUMNS).any())


needs_exact_int8 = pytest.mark.skipif(saturates(), reason="int8 products saturate in 16 bits on this processor")
