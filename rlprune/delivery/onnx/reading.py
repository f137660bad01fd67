"""What an ONNX network takes and holds."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rlprune.delivery.onnx.session import Feed
from rlprune.errors import NetworkError
from rlprune.networks.inputs import as_batch, tensors_in


def input_arrays(model: bytes, example_inputs: Any, batch: int) -> Feed:
    """What an ONNX session takes: the tensors among the example inputs, by the names that the model gives them.

    Keyword arguments are found by name. Otherwise the model keeps the order of the tensors, may lack those that the
    network has no use for, and types and shapes tell which.

    Raises:
        NetworkError: the tensors do not fit the model's inputs, or fit in more than one way.
    """
    wanted = list(parsed_onnx(model).graph.input)
    inputs = as_batch(example_inputs, batch)
    if isinstance(inputs, dict) and all(isinstance(inputs.get(value.name), torch.Tensor) for value in wanted):
        return {value.name: _array(inputs[value.name]) for value in wanted}
    arrays = [_array(tensor) for tensor in tensors_in(inputs)]
    fitting = (
        {value.name: array for value, array in zip(wanted, chosen, strict=True)}
        for chosen in itertools.combinations(arrays, len(wanted))
        if [_kind(array) for array in chosen] == [_wanted_kind(value) for value in wanted]
    )
    pairings = list(itertools.islice(fitting, 2))
    if len(pairings) != 1:
        takes = ", ".join(f"{value.name} {_wanted_kind(value)}" for value in wanted)
        raise NetworkError(
            f"The exported network takes {takes}; the example inputs {', '.join(map(_kind, arrays))} fit in "
            f"{'more than one way' if pairings else 'no way'}. Leave out what the network does not use."
        )
    return pairings[0]


def parsed_onnx(model: bytes) -> Any:
    """The ``ModelProto`` of these bytes.

    Raises:
        NetworkError: they are none.
    """
    import onnx

    try:
        return onnx.load_from_string(model)
    except Exception as reason:
        raise NetworkError(
            f"An ONNX network must be a whole protocol buffer: {str(reason).splitlines()[0]}"
        ) from reason


def initializers(model: bytes) -> dict[str, tuple[str, int]]:
    """Name -> type, such as ``float32`` or ``int4``, and bytes of every stored tensor of an ONNX network.

    Raises:
        NetworkError: the bytes are no network.
    """
    import onnx

    def kind(code: int) -> str:
        name: str = onnx.TensorProto.DataType.Name(code)
        return {"FLOAT": "float32", "DOUBLE": "float64"}.get(name, name.lower())

    return {tensor.name: (kind(tensor.data_type), tensor.ByteSize()) for tensor in parsed_onnx(model).graph.initializer}


def _array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    return np.asarray(tensor.detach().cpu().numpy())


def _kind(array: npt.NDArray[Any]) -> str:
    return f"{array.dtype} {list(array.shape)}"


def _wanted_kind(value: Any) -> str:
    import onnx

    kind = value.type.tensor_type
    return f"{onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)} {[dim.dim_value for dim in kind.shape.dim]}"
