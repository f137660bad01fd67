"""ONNX Runtime: on the processor, where it is what is measured by default, and on NVIDIA GPUs."""

from __future__ import annotations

from typing import Any

from rlprune.delivery.onnx.session import Feed, onnxruntime_module, open_session
from rlprune.devices.host import cpu_model
from rlprune.devices.runtimes.base import Inference, RuntimeIdentity
from rlprune.devices.runtimes.checks import check_counts, check_precision, check_present
from rlprune.devices.runtimes.exported import ExportedRuntime
from rlprune.devices.runtimes.gpu import gpu_name
from rlprune.errors import DeviceError

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"


class OnnxRuntime(ExportedRuntime):
    """Sessions with all graph optimisations and a fixed number of threads.

    On a GPU, inputs and outputs stay in its memory, each run waits until the GPU has finished, and time is wall clock.
    Operators that a GPU provider lacks run on the processor. TensorRT builds an engine for every plan, which takes
    seconds to minutes. Providers compute float32 as they do by default: on a GPU, products may use TF32.

    Args:
        threads: inside one operator, on the processor; for a GPU they are not used.
        batch: samples in one inference.
        precision: ``float32``.
        provider: one of ``onnxruntime.get_available_providers()``.

    Raises:
        DeviceError: a number that is too small, more threads than cores, or another precision.
    """

    def __init__(self, threads: int = 1, batch: int = 1, precision: str = "float32", *, provider: str = CPU) -> None:
        check_counts(threads if provider == CPU else 1, batch)
        check_precision("ONNX Runtime", precision, ["float32"])
        self.int8 = provider == CPU
        self.identity = RuntimeIdentity(
            name="onnxruntime",
            version=_version(),
            provider=provider,
            threads=threads if provider == CPU else 0,
            batch=batch,
            precision=precision,
        )

    def available(self) -> str | None:
        provider = self.identity.provider
        try:
            library = onnxruntime_module()
        except DeviceError:
            return "the package onnxruntime is not installed"
        if provider not in (known := library.get_available_providers()):
            return f"this build of onnxruntime has no {provider}; it has {', '.join(known)}"
        if provider != CPU and gpu_name() is None:
            return "no NVIDIA GPU or driver is found"
        return None

    def device_name(self) -> str:
        return cpu_model() if self.identity.provider == CPU else gpu_name() or "absent GPU"

    def load_bytes(self, model: bytes, feed: Feed) -> Inference:
        provider = self.identity.provider
        check_present(self, f"ONNX Runtime with {provider}")
        session = open_session(model, self.identity.threads or 1, provider)
        if provider != CPU:
            return bound(session, feed, "cuda")
        outputs = [output.name for output in session.get_outputs()]
        return lambda: session.run(outputs, feed)


def bound(session: Any, feed: Feed, place: str) -> Inference:
    """A run whose inputs lie on a device and whose outputs stay there; it returns the binding once all is computed.

    Args:
        session: an ``onnxruntime.InferenceSession``.
        feed: name of an input -> array; copied to the device now.
        place: the device in ONNX Runtime's words: ``cuda`` or ``cpu``.
    """
    library = onnxruntime_module()
    binding = session.io_binding()
    for name, array in feed.items():
        binding.bind_ortvalue_input(name, library.OrtValue.ortvalue_from_numpy(array, place, 0))
    for output in session.get_outputs():
        binding.bind_output(output.name, place)

    def run() -> object:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return binding

    return run


def _version() -> str:
    try:
        return str(onnxruntime_module().__version__)
    except DeviceError:
        return ""
