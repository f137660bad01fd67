"""Exports a network once and slices the exported graph for each plan that is only timed.

A true export takes seconds; cutting the initialisers of an exported graph takes milliseconds. The graph is exported
without the exporter's own optimisation, which would merge and rename parameters; ONNX Runtime folds BatchNorms itself.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from rlprune.arrays import IntArray
from rlprune.delivery.onnx import graph as onnx_graph
from rlprune.delivery.onnx.export import export_onnx_bytes
from rlprune.delivery.onnx.reading import input_arrays
from rlprune.delivery.onnx.session import Feed
from rlprune.delivery.onnx.verifying import verify_onnx
from rlprune.errors import DeviceError, NetworkError, first_line
from rlprune.networks import surgery
from rlprune.networks.network import Network

TOLERANCE = 1e-4


class OnnxTemplate:
    """ONNX models of ``network`` at any widths, for timing: the leading channels of each group are kept.

    On construction, one random plan is sliced and compared, in ONNX Runtime, with the pruned torch module. Where they
    disagree, :meth:`sliced` exports each plan truly instead, and ``reason`` says what was wrong.

    Args:
        network: the dense network.
        batch: samples in one inference.
        seed: of the plan that is compared.

    Attributes:
        exact: slicing was shown to give the same outputs as the pruned torch module (to 1e-4 of their scale).
        reason: why it was not, else None.
        feed: inputs for a session.

    Raises:
        NetworkError: the network cannot be exported.
    """

    def __init__(self, network: Network, batch: int = 1, seed: int = 0) -> None:
        self.network = network
        self.batch = batch
        exported = export_onnx_bytes(network.model, network.example_inputs, batch=batch, optimize=False)
        self.feed: Feed = input_arrays(exported, network.example_inputs, batch)
        self._model = onnx.load_from_string(exported)
        onnx_graph.drop_computed_biases(self._model.graph)
        onnx_graph.free_reshapes(self._model.graph)
        self._weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in self._model.graph.initializer}
        del self._model.graph.value_info[:]
        self.reason = self._disagreement(seed)

    @property
    def exact(self) -> bool:
        return self.reason is None

    def sliced(self, widths: IntArray) -> bytes:
        """A serialised ``ModelProto`` of the network at ``widths`` ``[G]``."""
        return self._slice(widths) if self.exact else self.exported(widths)

    def exported(self, widths: IntArray) -> bytes:
        """The same by a true export of the pruned module."""
        module = surgery.prune(self.network, surgery.leading_channels(self.network, widths))
        return export_onnx_bytes(module, self.network.example_inputs, batch=self.batch)

    def _slice(self, widths: IntArray) -> bytes:
        cuts = surgery.tensor_cuts(self.network, surgery.leading_channels(self.network, widths))
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        for tensor in model.graph.initializer:
            if tensor.name in cuts:
                array = self._weights[tensor.name]
                for dimension, kept in cuts[tensor.name].items():
                    array = np.take(array, kept.numpy(), axis=dimension)
                tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))
        onnx_graph.correct_groups(model.graph, self._groups(widths))
        return bytes(model.SerializeToString())

    def _groups(self, widths: IntArray) -> dict[str, int]:
        """Weights of grouped convolutions -> their number of groups at ``widths``."""
        sizes = self.network.sizes(widths).items()
        return {f"{module}.weight": size for (module, attribute, _), size in sizes if attribute == "groups"}

    def _disagreement(self, seed: int) -> str | None:
        """Why a sliced graph cannot be trusted, or None where it computes what the pruned module computes."""
        generator = np.random.default_rng(seed)
        widths = np.array([generator.choice(group.widths[:-1] or group.widths) for group in self.network.groups])
        module = surgery.prune(self.network, surgery.leading_channels(self.network, widths))
        inputs = self.network.example_inputs
        try:
            verify_onnx(self._slice(widths), module, inputs, batch=self.batch, tolerance=TOLERANCE)
        except (DeviceError, NetworkError) as reason:
            return first_line(reason)
        return None
