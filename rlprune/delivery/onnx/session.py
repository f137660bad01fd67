"""Runs ONNX networks in ONNX Runtime."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from rlprune.errors import DeviceError
from rlprune.support.quiet import quiet

Feed = dict[str, npt.NDArray[Any]]
"""Name of an input of an ONNX network -> its value."""


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
