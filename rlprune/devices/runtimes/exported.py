"""Runtimes that take ONNX: a network is exported once, and its graph sliced for every plan."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from torch import nn

from rlprune.devices.runtimes.base import Inference, Runtime
from rlprune.export import Feed, export_onnx_bytes, input_arrays
from rlprune.network import IntArray, Network

if TYPE_CHECKING:
    from rlprune.devices.template import OnnxTemplate


class ExportedRuntime(Runtime):
    """Base of the runtimes that take ONNX. Every loaded plan keeps its weights and buffers in memory."""

    _template: OnnxTemplate | None = None

    @abstractmethod
    def load_bytes(self, model: bytes, feed: Feed) -> Inference:
        """An ONNX model, ready to run on the inputs of ``feed``.

        Args:
            model: serialised ``ModelProto``.
            feed: name of an input -> array.

        Raises:
            NetworkError: the runtime lacks an operator.
            DeviceError: the runtime is absent or refuses the model.
        """

    def load(self, network: Network, widths: IntArray) -> Inference:
        template = self.template(network)
        return self.load_bytes(template.sliced(widths), template.feed)

    def load_module(self, module: nn.Module, example_inputs: Any) -> Inference:
        batch = self.identity.batch
        return self.load_onnx(export_onnx_bytes(module, example_inputs, batch=batch), example_inputs)

    def load_onnx(self, model: bytes, example_inputs: Any) -> Inference:
        return self.load_bytes(model, input_arrays(model, example_inputs, self.identity.batch))

    def template(self, network: Network) -> OnnxTemplate:
        """The exported dense network from which plans are sliced; made once for each network."""
        from rlprune.devices.template import OnnxTemplate  # it imports onnx, which a profile does not need

        if self._template is None or self._template.network is not network:
            self._template = OnnxTemplate(network, batch=self.identity.batch)
        return self._template
