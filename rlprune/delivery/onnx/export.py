"""Export to ONNX: truly, for networks that are handed over, and once per network, for the many that are only timed."""

from __future__ import annotations

import contextlib
import importlib.metadata
import itertools
from typing import Any

import torch
from torch import nn

from rlprune.delivery.onnx.tied_names import first_names, rename_tensors
from rlprune.errors import DeviceError, NetworkError
from rlprune.networks.contexts import evaluated
from rlprune.networks.inputs import Inputs, as_batch, call, unknown_parts
from rlprune.networks.tracing.tracer import Tracer
from rlprune.support.quiet import quiet

MAX_EMBEDDED_BYTES = 1 << 30
"""An ONNX file is one protocol buffer, at most 2 GB; larger networks would need external data files."""

NEEDED = "onnx>=1.17, onnxscript>=0.6"
"""As ``pyproject.toml`` says it; a test compares both."""


def export_onnx_bytes(module: nn.Module, example_inputs: Any, *, batch: int = 1, optimize: bool = True) -> bytes:
    """``module`` as a serialised ONNX ``ModelProto`` with a fixed batch, made silently; it stands in evaluation mode.

    Args:
        module: any module in floating point; left as it was.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments; tensors may stand in tuples,
            lists and dicts, beside numbers and None, which become constants.
        batch: samples in one inference.
        optimize: without it every parameter keeps its name and tensor; one of several names has the first.

    Raises:
        NetworkError: an operator cannot be exported, or the network is too large for one file.
        DeviceError: a package is missing.
    """
    size = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
    if size > MAX_EMBEDDED_BYTES:
        raise NetworkError(f"Networks of at most {MAX_EMBEDDED_BYTES} bytes can be exported; this one has {size}.")
    inputs = as_batch(example_inputs, batch)
    # A dict in last place would be taken for the keyword arguments; an empty one behind it protects it.
    arguments: tuple[Any, ...] = () if isinstance(inputs, dict) else (*inputs, {})
    keywords = inputs if isinstance(inputs, dict) else None
    try:
        with quiet(), evaluated(module):
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
    with evaluated(module):
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
    with evaluated(module), contextlib.suppress(Exception):
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
