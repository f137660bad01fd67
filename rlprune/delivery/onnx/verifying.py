"""Whether an ONNX network computes what the torch module computes that it was made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from rlprune.delivery.onnx.reading import input_arrays
from rlprune.delivery.onnx.session import run_onnx
from rlprune.errors import NetworkError
from rlprune.networks.contexts import evaluated
from rlprune.networks.inputs import as_batch, call, telling, tensors_in

TOLERANCE = 1e-3
"""Largest difference between ONNX and torch, as a share of an output's largest value: float32 sums in another order."""


def verify_onnx(
    model: bytes, module: nn.Module, example_inputs: Any, *, batch: int = 1, tolerance: float = TOLERANCE
) -> None:
    """Compare an exported network with the torch module it was made of, all outputs, once.

    Args:
        model: serialised ``ModelProto`` with ``batch`` samples.
        module: compared in evaluation mode and left as it was.
        example_inputs: as for :func:`rlprune.delivery.onnx.export.export_onnx_bytes`; constant real ones become noise,
            because many faults hide behind zeros.
        tolerance: largest difference, as a share of the output's largest value.

    Raises:
        NetworkError: number, shapes or values of the outputs differ.
        DeviceError: ONNX Runtime cannot load or run the model.
    """
    inputs = telling(as_batch(example_inputs, batch))
    got = run_onnx(model, input_arrays(model, inputs, batch))
    with evaluated(module):
        wanted = [tensor.cpu().numpy() for tensor in tensors_in(call(module, inputs))]
    if len(got) != len(wanted):
        raise NetworkError(f"The ONNX network must give {len(wanted)} outputs as the torch one; it gives {len(got)}.")
    for index, (left, right) in enumerate(zip(got, wanted, strict=True)):
        if left.shape != right.shape:
            raise NetworkError(f"Output {index} must have shape {right.shape}; the ONNX network gives {left.shape}.")
        if not (difference := _difference(left, right)) <= tolerance:  # NaN is no match
            raise NetworkError(
                f"The ONNX network must compute what the torch one does; output {index} differs by {difference:.2g} of "
                f"its largest value where {tolerance:.2g} is allowed. Use the safetensors file instead."
            )


def _difference(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> float:
    """Largest difference as a share of the largest finite value of ``right``; NaN where one alone is not finite."""
    unequal = left != right  # equal infinities do not differ
    scale = float(np.abs(right, where=np.isfinite(right), out=np.zeros(right.shape)).max(initial=0.0)) or 1.0
    return float(np.abs(np.subtract(left[unequal], right[unequal], dtype=np.float64)).max(initial=0.0)) / scale
