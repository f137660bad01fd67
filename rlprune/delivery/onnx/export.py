"""Export to ONNX: truly, for networks that are handed over, and once per network, for the many that are only timed."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import itertools
import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from rlprune.delivery.onnx.tied_names import first_names, rename_tensors
from rlprune.errors import DeviceError, NetworkError
from rlprune.networks.inputs import Inputs, call, telling, tensors_in, unknown_parts
from rlprune.networks.inputs import as_batch as as_batch
from rlprune.networks.tracing.tracer import Tracer
from rlprune.support.files import write_atomic

MAX_EMBEDDED_BYTES = 1 << 30
"""An ONNX file is one protocol buffer, at most 2 GB; larger networks would need external data files."""

TOLERANCE = 1e-3
"""Largest difference between ONNX and torch, as a share of an output's largest value: float32 sums in another order."""

NEEDED = "onnx>=1.17, onnxscript>=0.6"
"""As ``pyproject.toml`` says it; a test compares both."""

Feed = dict[str, npt.NDArray[Any]]


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


def export_onnx(module: nn.Module, example_inputs: Any, path: str | Path, *, batch: int = 1) -> Path:
    """Write ``module`` as one ONNX file with a fixed batch, atomically and silently, once it computes what torch does.

    Args:
        module: any module in floating point; exported in evaluation mode and left as it was.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments; tensors may stand in tuples,
            lists and dicts, beside numbers and None, which become constants.
        path: where to write; the folder is made if it is missing.
        batch: samples in one inference.

    Raises:
        NetworkError: an operator cannot be exported, the network is too large for one file, or its ONNX form answers
            differently (see :func:`verify_onnx`).
        DeviceError: a package is missing, ONNX Runtime refuses the network, or ``path`` cannot be written.
    """
    model = export_onnx_bytes(module, example_inputs, batch=batch)
    verify_onnx(model, module, example_inputs, batch=batch)
    return write_atomic(path, model, DeviceError)


def verify_onnx(
    model: bytes, module: nn.Module, example_inputs: Any, *, batch: int = 1, tolerance: float = TOLERANCE
) -> None:
    """Compare an exported network with the torch module it was made of, all outputs, once.

    Args:
        model: serialised ``ModelProto`` with ``batch`` samples.
        module: compared in evaluation mode and left as it was.
        example_inputs: as for :func:`export_onnx`; constant real ones become noise, because many faults hide behind
            zeros.
        tolerance: largest difference, as a share of the output's largest value.

    Raises:
        NetworkError: number, shapes or values of the outputs differ.
        DeviceError: ONNX Runtime cannot load or run the model.
    """
    inputs = telling(as_batch(example_inputs, batch))
    got = run_onnx(model, input_arrays(model, inputs, batch))
    with _evaluated(module):
        wanted = [_array(tensor) for tensor in tensors_in(call(module, inputs))]
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


@contextlib.contextmanager
def _evaluated(module: nn.Module) -> Iterator[nn.Module]:
    """The module in evaluation mode without gradients; afterwards each part is in the mode it was in."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        with torch.no_grad():
            yield module.eval()
    finally:
        for part, mode in modes:
            part.training = mode


def export_onnx_bytes(module: nn.Module, example_inputs: Any, *, batch: int = 1, optimize: bool = True) -> bytes:
    """The same as :func:`export_onnx`, in memory. Without ``optimize`` every parameter keeps its name and tensor.

    A tensor that has several names has the first one.
    """
    size = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
    if size > MAX_EMBEDDED_BYTES:
        raise NetworkError(f"Networks of at most {MAX_EMBEDDED_BYTES} bytes can be exported; this one has {size}.")
    inputs = as_batch(example_inputs, batch)
    # A dict in last place would be taken for the keyword arguments; an empty one behind it protects it.
    arguments: tuple[Any, ...] = () if isinstance(inputs, dict) else (*inputs, {})
    keywords = inputs if isinstance(inputs, dict) else None
    try:
        with quiet(), _evaluated(module):
            program = torch.onnx.export(
                module, arguments, kwargs=keywords, dynamo=True, optimize=optimize, verbose=False
            )
            if program is None:
                raise NetworkError("The exporter of torch returned nothing; a torch with dynamo export is needed.")
            if not optimize:
                _resolve_branches(program.model)
                _name_apart(program.model.graph)
            for node in program.model.graph.all_nodes():
                node.metadata_props.clear()  # stack traces, with the paths of this machine
            model = program.model_proto
            if not optimize:
                rename_tensors(model.graph, first_names(module))
            return bytes(model.SerializeToString())
    except ImportError as reason:
        raise DeviceError(
            f"Exporting to ONNX needs packages that fit torch {torch.__version__}: {NEEDED}; installed: {_installed()} "
            f"({reason}). Install these."
        ) from reason
    except NetworkError:
        raise
    except Exception as reason:
        _refuse_unknown_parts(module, inputs, reason)
        _refuse_decisions(module, inputs, reason)
        raise NetworkError(
            f"The network cannot be exported to ONNX: {_cause(reason)}. Write that part with other operations."
        ) from reason


def _resolve_branches(model: Any) -> None:
    """Fold conditions that are constant, as behind an EmbeddingBag: ONNX Runtime crashes on those. Parameters stay."""
    from onnxscript import optimizer

    if any(node.op_type == "If" for node in model.graph):
        parameters = set(model.graph.initializers)

        def may_fold(node: Any) -> bool | None:
            return False if any(value is not None and value.name in parameters for value in node.inputs) else None

        optimizer.fold_constants_ir(model, onnx_shape_inference=True, should_fold=may_fold)


def _name_apart(graph: Any) -> None:
    """Rename results of operations that are named like a parameter, as torch leaves them where it does not optimise."""
    results = [value for node in graph for value in node.outputs]
    taken = {value.name for value in results} | set(graph.initializers)
    for value in results:
        if value.name in graph.initializers:
            value.name = next(name for count in itertools.count(1) if (name := f"{value.name}_{count}") not in taken)
            taken.add(value.name)


def _refuse_unknown_parts(module: nn.Module, inputs: Inputs, reason: Exception) -> None:
    """Say what of an answer is no tensor, where that may be why it cannot be exported."""
    with _evaluated(module):
        unknown = [f"{name or 'its answer'} is of class {kind}" for name, kind in unknown_parts(call(module, inputs))]
    if unknown:
        raise NetworkError(
            f"What is exported to ONNX must answer with tensors; {', '.join(unknown)}. Leave it out (of models of "
            "transformers: config.use_cache = False), or wrap the network in a module that returns tensors."
        ) from reason


def _refuse_decisions(module: nn.Module, inputs: Inputs, reason: Exception) -> None:
    """Name the modules whose code decides on values they compute, where that may be why it cannot be exported."""
    if "data-dependent" not in str(reason).lower():
        return
    tracer = Tracer(module, inputs)
    with _evaluated(module), contextlib.suppress(Exception):
        tracer.run()
    if deciding := sorted(name or "the network itself" for name in tracer.found.deciding):
        raise NetworkError(
            f"The network cannot be exported to ONNX: its code decides on values that it computes "
            f"({', '.join(deciding)}), and ONNX holds one way only. Compute both there, and choose with torch.where."
        ) from reason


def _installed() -> str:
    """Versions of the packages that export."""
    found = []
    for name in ("onnx", "onnxscript"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


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


def onnxruntime_module() -> Any:
    """The package ``onnxruntime``, with its telemetry off.

    Raises:
        DeviceError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as reason:
        raise DeviceError("ONNX Runtime is needed to run networks on the processor: install onnxruntime.") from reason
    if hasattr(onnxruntime, "disable_telemetry_events"):  # else its builds for Windows report their use home
        onnxruntime.disable_telemetry_events()
    return onnxruntime


def open_session(model: bytes, threads: int = 1, provider: str = "CPUExecutionProvider") -> Any:
    """An ``onnxruntime.InferenceSession`` with all graph optimisations, which never falls back to another provider.

    Threads do not spin while they wait: a hundred loaded sessions would steal the processor from the one that is timed.

    Raises:
        DeviceError: ONNX Runtime is missing, refuses the model, or uses another provider.
    """
    onnxruntime = onnxruntime_module()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised, not printed
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        with quiet():
            session = onnxruntime.InferenceSession(model, options, providers=[provider], enable_fallback=0)
    except Exception as reason:
        if lacking := re.search(r"NOT_IMPLEMENTED.*implementation for (\w+)", str(reason)):
            raise DeviceError(
                f"ONNX Runtime must have every operator of a network in its precision; it has no {lacking[1]} for this "
                "one. Most operators have no float64 there: call .float() on the network, and on its inputs, first."
            ) from reason
        raise DeviceError(f"ONNX Runtime cannot load this network: {str(reason).splitlines()[0]}") from reason
    if (used := session.get_providers()[0]) != provider:
        raise DeviceError(
            f"ONNX Runtime must use {provider}; it uses {used}. Check that the libraries of {provider} are installed."
        )
    return session


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
