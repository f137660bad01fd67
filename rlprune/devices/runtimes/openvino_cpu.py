"""OpenVINO on the processor, from the ONNX form of a network."""

from __future__ import annotations

import re
import sys
from functools import cached_property
from typing import Any

from rlprune.delivery.onnx.session import Feed
from rlprune.devices.host import cpu_model
from rlprune.devices.runtimes.base import Inference, RuntimeIdentity
from rlprune.devices.runtimes.checks import check_counts, check_precision, check_present
from rlprune.devices.runtimes.exported import ExportedRuntime
from rlprune.errors import DeviceError, NetworkError, kind_and_line
from rlprune.support.quiet import quiet

HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
CAPABILITIES = {"float32": "FP32", "bfloat16": "BF16", "float16": "FP16"}

LACKING = re.compile(
    r"(?:No conversion rule found for operations|does not support the following ONNX operations): (.+)"
)
"""How OpenVINO says it, newer and older."""


class OpenVinoCpu(ExportedRuntime):
    """Models compiled for the processor with one stream and a fixed number of threads, which are not pinned to cores.

    Args:
        threads: inside one inference.
        batch: samples in one inference.
        precision: in which OpenVINO may compute; ``bfloat16`` and ``float16`` where the processor has them.

    Raises:
        DeviceError: a number that is too small, more threads than cores, or a precision that the processor lacks.
    """

    def __init__(self, threads: int = 1, batch: int = 1, precision: str = "float32") -> None:
        check_counts(threads, batch)
        version = _version()
        has = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") if version else CAPABILITIES.values()
        known = [name for name, capability in CAPABILITIES.items() if capability in has]
        check_precision("OpenVINO on this processor", precision, known)
        self.identity = RuntimeIdentity(
            name="openvino",
            version=version,
            provider="CPU",
            threads=threads,
            batch=batch,
            precision=precision,
        )

    def available(self) -> str | None:
        return None if self.identity.version else "the package openvino is not installed"

    def device_name(self) -> str:
        return cpu_model()

    def load_bytes(self, model: bytes, feed: Feed) -> Inference:
        check_present(self, "OpenVINO")
        request = self.compiled(model).create_infer_request()
        for name, array in feed.items():
            request.set_tensor(name, _library().Tensor(array))  # a copy, which the request keeps
        return lambda: request.infer(share_outputs=True)

    def compiled(self, model: bytes) -> Any:
        """An ``openvino.CompiledModel``. Raises as :meth:`load_bytes`."""
        properties = {
            "INFERENCE_NUM_THREADS": self.identity.threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": HINTS[self.identity.precision],
            "ENABLE_CPU_PINNING": False,  # a pinned thread stays on its core when another program takes it
        }
        try:
            with quiet():
                return self._core.compile_model(self._core.read_model(model), "CPU", properties)
        except RuntimeError as reason:
            lacking = LACKING.search(str(reason))
            if lacking is None:
                raise DeviceError(f"OpenVINO cannot load this network: {_cause(reason)}") from reason
            raise NetworkError(
                f"OpenVINO must know every operator of a network; it lacks {lacking[1].strip()}. Use cpu:onnxruntime."
            ) from reason

    @cached_property
    def _core(self) -> Any:
        return _library().Core()


def _library() -> Any:
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # else its use is reported home
    import openvino

    return openvino


def _version() -> str:
    try:
        return str(_library().__version__).partition("-")[0]
    except ImportError:
        return ""


def _cause(reason: RuntimeError) -> str:
    """The last line of OpenVINO's report that is no place in its sources."""
    lines = [line.strip() for line in str(reason).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Exception from", "Check "))]
    return told[-1] if told else kind_and_line(reason)
