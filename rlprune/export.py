"""Export to ONNX: truly, for networks that are handed over, and once per network, for the many that are only timed."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from rlprune.errors import DeviceError, NetworkError
from rlprune.files import write_atomic
from rlprune.tracing import Inputs, as_inputs, batch_size, tensors_in

MAX_EMBEDDED_BYTES = 1 << 30
"""An ONNX file is one protocol buffer, at most 2 GB; larger networks would need external data files."""

Feed = dict[str, npt.NDArray[Any]]


def as_batch(example_inputs: Any, batch: int, device: str | torch.device | None = None) -> Inputs:
    """Example inputs with ``batch`` samples: the given ones, repeated or cut. Other tensors stay as they are."""
    inputs = as_inputs(example_inputs)
    given = batch_size(inputs)
    rows = torch.arange(batch) % given

    def resize(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if value.dim() and value.shape[0] == given:
            value = value[rows.to(value.device)]
        return value if device is None else value.to(device)

    if isinstance(inputs, dict):
        return {name: resize(value) for name, value in inputs.items()}
    return tuple(resize(value) for value in inputs)


def input_arrays(model: bytes, example_inputs: Any, batch: int) -> Feed:
    """What an ONNX session takes: example inputs by the names the model gives them, in order."""
    import onnx

    names = [value.name for value in onnx.load_from_string(model).graph.input]
    arrays = [tensor.detach().cpu().numpy() for tensor in tensors_in(as_batch(example_inputs, batch))]
    if len(names) > len(arrays):
        raise NetworkError(f"The exported network takes {len(names)} inputs; {len(arrays)} example tensors came.")
    return dict(zip(names, arrays, strict=False))


def export_onnx(module: nn.Module, example_inputs: Any, path: str | Path, *, batch: int = 1) -> Path:
    """Write ``module`` as one ONNX file with a fixed batch, atomically and silently.

    Args:
        module: any module in floating point; exported in evaluation mode and left as it was.
        example_inputs: a tensor, a tuple of tensors, or a dict of keyword tensors.
        path: where to write; the folder is made if it is missing.
        batch: samples in one inference.

    Raises:
        NetworkError: an operator cannot be exported, or the network is too large for one file.
        DeviceError: an exporter package is missing, or ``path`` cannot be written.
    """
    return write_atomic(path, export_onnx_bytes(module, example_inputs, batch=batch), DeviceError)


def export_onnx_bytes(module: nn.Module, example_inputs: Any, *, batch: int = 1, optimize: bool = True) -> bytes:
    """The same as :func:`export_onnx`, in memory. Without ``optimize`` every parameter keeps its name and tensor."""
    size = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
    if size > MAX_EMBEDDED_BYTES:
        raise NetworkError(f"Networks of at most {MAX_EMBEDDED_BYTES} bytes can be exported; this one has {size}.")
    inputs = as_batch(example_inputs, batch)
    arguments: tuple[Any, ...] = () if isinstance(inputs, dict) else inputs
    keywords = inputs if isinstance(inputs, dict) else None
    training = module.training
    try:
        with quiet(), torch.no_grad():
            program = torch.onnx.export(
                module.eval(), arguments, kwargs=keywords, dynamo=True, optimize=optimize, verbose=False
            )
            if program is None:
                raise NetworkError("The exporter of torch returned nothing; a torch with dynamo export is needed.")
            return bytes(program.model_proto.SerializeToString())
    except ImportError as reason:
        raise DeviceError(f"Exporting to ONNX needs the packages onnx and onnxscript: {reason}.") from reason
    except NetworkError:
        raise
    except Exception as reason:
        raise NetworkError(f"The network cannot be exported to ONNX: {_cause(reason)}") from reason
    finally:
        module.train(training)


def _cause(reason: BaseException) -> str:
    """The first line of the innermost exception: it names the operator, the outer ones only the stage that failed."""
    while reason.__cause__ is not None:
        reason = reason.__cause__
    lines = [line.strip() for line in str(reason).splitlines() if line.strip()]
    return f"{type(reason).__name__}: {lines[0] if lines else 'no reason given'}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the prints, warnings and log lines of torch's exporter."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            with contextlib.redirect_stderr(io.StringIO()):
                yield
    finally:
        logging.disable(disabled)


def open_session(model: bytes, threads: int = 1) -> Any:
    """An ``onnxruntime.InferenceSession`` on the processor, with all graph optimisations.

    Threads do not spin while they wait: a hundred loaded sessions would steal the processor from the one that is timed.

    Raises:
        DeviceError: ONNX Runtime is missing or refuses the model.
    """
    try:
        import onnxruntime
    except ImportError as reason:
        raise DeviceError("ONNX Runtime is needed to run networks on the processor: install onnxruntime.") from reason
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised, not printed
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as reason:
        raise DeviceError(f"ONNX Runtime cannot load this network: {str(reason).splitlines()[0]}") from reason


def run_onnx(model: bytes, feed: Feed) -> list[npt.NDArray[Any]]:
    """Outputs of an ONNX model in ONNX Runtime, once.

    Raises:
        DeviceError: ONNX Runtime cannot load or run it.
    """
    session = open_session(model)
    try:
        return [np.asarray(output) for output in session.run(None, feed)]
    except Exception as reason:
        raise DeviceError(f"ONNX Runtime cannot run this network: {str(reason).splitlines()[0]}") from reason
