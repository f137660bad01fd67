"""ONNX Runtime on the processor: the runtime that is measured by default."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

from torch import nn

from rlprune.devices.host import cpu_model
from rlprune.devices.runtimes.base import Inference, Runtime, RuntimeIdentity
from rlprune.errors import DeviceError
from rlprune.export import Feed, export_onnx_bytes, input_arrays, open_session
from rlprune.network import IntArray, Network

if TYPE_CHECKING:
    from rlprune.devices.template import OnnxTemplate


class OnnxRuntimeCpu(Runtime):
    """Sessions with all graph optimisations and a fixed number of threads.

    Every loaded plan keeps its weights and buffers in memory.

    Args:
        threads: threads inside one operator.
        batch: samples in one inference.
    """

    def __init__(self, threads: int = 1, batch: int = 1) -> None:
        if threads < 1 or batch < 1:
            raise DeviceError(f"Threads and batch must be 1 or more, not {threads} and {batch}.")
        self.identity = RuntimeIdentity(
            name="onnxruntime",
            version=_version(),
            provider="CPUExecutionProvider",
            threads=threads,
            batch=batch,
            precision="float32",
        )
        self._template: OnnxTemplate | None = None

    def available(self) -> str | None:
        return None if self.identity.version else "the package onnxruntime is not installed"

    def device_name(self) -> str:
        return cpu_model()

    def load(self, network: Network, widths: IntArray) -> Inference:
        template = self.template(network)
        return self._session(template.sliced(widths), template.feed)

    def load_module(self, module: nn.Module, example_inputs: Any) -> Inference:
        batch = self.identity.batch
        model = export_onnx_bytes(module, example_inputs, batch=batch)
        return self._session(model, input_arrays(model, example_inputs, batch))

    def template(self, network: Network) -> OnnxTemplate:
        """The exported dense network from which plans are sliced; made once for each network."""
        from rlprune.devices.template import OnnxTemplate  # it imports onnx, which a profile does not need

        if self._template is None or self._template.network is not network:
            self._template = OnnxTemplate(network, batch=self.identity.batch)
        return self._template

    def _session(self, model: bytes, feed: Feed) -> Inference:
        session = open_session(model, self.identity.threads)
        outputs = [output.name for output in session.get_outputs()]
        return lambda: session.run(outputs, feed)


def _version() -> str:
    try:
        return importlib.metadata.version("onnxruntime")
    except importlib.metadata.PackageNotFoundError:
        return ""
