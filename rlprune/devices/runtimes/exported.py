"""Runtimes that take ONNX: a network is exported once, and its graph sliced for every plan."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from torch import nn

from rlprune.arrays import IntArray
from rlprune.choices.space import Space
from rlprune.delivery.onnx.export import export_onnx_bytes
from rlprune.delivery.onnx.reading import input_arrays
from rlprune.delivery.onnx.session import Feed
from rlprune.devices.runtimes.base import Inference, Runtime
from rlprune.networks.network import Network
from rlprune.pruning.blocks.depth import shortened

if TYPE_CHECKING:
    from rlprune.delivery.onnx.template import OnnxTemplate


class ExportedRuntime(Runtime):
    """Base of the runtimes that take ONNX. Every loaded plan keeps its weights and buffers in memory."""

    _template: OnnxTemplate | None = None
    _shortened: dict[tuple[str, ...], OnnxTemplate] | None = None

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

    def load_mix(self, network: Network, space: Space, row: IntArray) -> Inference:
        from rlprune.delivery.onnx.int8 import quantize_for_timing  # it imports onnx, which a profile does not need

        template = self._without(network, space, space.dropped(row))
        model, int8 = template.sliced(space.widths(row[None])[0]), space.computed_in_int8(row)
        return self.load_bytes(quantize_for_timing(model, int8) if int8 else model, template.feed)

    def _without(self, network: Network, space: Space, dropped: tuple[str, ...]) -> OnnxTemplate:
        """The exported network without some blocks; each set of blocks is exported once."""
        from rlprune.delivery.onnx.template import OnnxTemplate  # as above

        if not dropped:
            return self.template(network)
        if self._shortened is None or self._template is None or self._template.network is not network:
            self.template(network)
            self._shortened = {}
        if dropped not in self._shortened:
            shorter = shortened(network, space.blocks, dropped)
            self._shortened[dropped] = OnnxTemplate(shorter, batch=self.identity.batch)
        return self._shortened[dropped]

    def load_module(self, module: nn.Module, example_inputs: Any) -> Inference:
        batch = self.identity.batch
        return self.load_onnx(export_onnx_bytes(module, example_inputs, batch=batch), example_inputs)

    def load_onnx(self, model: bytes, example_inputs: Any) -> Inference:
        return self.load_bytes(model, input_arrays(model, example_inputs, self.identity.batch))

    def template(self, network: Network) -> OnnxTemplate:
        """The exported dense network from which plans are sliced; made once for each network."""
        from rlprune.delivery.onnx.template import OnnxTemplate  # it imports onnx, which a profile does not need

        if self._template is None or self._template.network is not network:
            self._template = OnnxTemplate(network, batch=self.identity.batch)
        return self._template
