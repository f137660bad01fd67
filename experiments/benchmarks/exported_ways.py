"""ONNX Runtime and OpenVINO as ways of evaluating plans: one exported graph, filled with the weights of each plan."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper

from rlprune.delivery.onnx import graph as onnx_graph
from rlprune.delivery.onnx.reading import input_arrays
from rlprune.delivery.onnx.session import Feed, open_session
from rlprune.delivery.onnx.template import OnnxTemplate
from rlprune.devices.runtimes import OpenVinoCpu
from rlprune.devices.runtimes.checks import check_present
from rlprune.errors import NetworkError
from rlprune.experiments.benchmarks.ways import Forward, Subject, Tensors, Way
from rlprune.networks.network import Network


class FilledGraph:
    """ONNX models of plans with the weights that the tables give.

    Args:
        batch: samples in one inference. A last batch that is short is filled up.

    Attributes:
        feeds: the search samples, batch by batch.

    Raises:
        NetworkError: the network cannot be exported or its graph not sliced, or it answers more than one tensor.
    """

    def __init__(self, subject: Subject, batch: int) -> None:
        self._network: Network = subject.tables.network
        template = OnnxTemplate(self._network, batch=batch)
        if template.reason is not None:
            raise NetworkError(f"its exported graph cannot be sliced: {template.reason}")
        dense = template.sliced(self._network.dense_widths)
        self._model = onnx.load_from_string(dense)
        if len(self._model.graph.output) != 1:
            raise NetworkError("it answers more than one tensor")
        self._fill(self._model, subject.tables.shell().module.state_dict())
        starts = range(0, len(subject.split), batch)
        self.feeds: list[Feed] = [input_arrays(dense, subject.split.batch(at, at + batch), batch) for at in starts]

    def filled(self, widths: npt.ArrayLike, tensors: Tensors) -> bytes:
        """A serialised ``ModelProto`` of the plan with ``widths`` (``[G]``)."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        self._fill(model, tensors)
        sizes = self._network.sizes(widths).items()
        groups = {f"{module}.weight": size for (module, attribute, _), size in sizes if attribute == "groups"}
        onnx_graph.correct_groups(model.graph, groups)
        return bytes(model.SerializeToString())

    def _fill(self, model: onnx.ModelProto, tensors: Tensors) -> None:
        for initializer in model.graph.initializer:
            name = self._network.aliases.get(initializer.name, initializer.name)
            if name in tensors:
                array = np.ascontiguousarray(tensors[name].detach().cpu().numpy())
                initializer.CopyFrom(numpy_helper.from_array(array, initializer.name))


class ExportedWay(Way):
    """A library that takes ONNX. Start-up fills the graph and loads it; BatchNorms are folded by the library."""

    library: str

    def __init__(self, subject: Subject, name: str, graph: FilledGraph, batch: int) -> None:
        self.name, self.batch = name, batch
        self.kernels = f"{self.library}, batch {batch}"
        self._task, self._samples, self._graph = subject.task, len(subject.split), graph

    @abstractmethod
    def load(self, model: bytes) -> Callable[[Feed], npt.NDArray[Any]]:
        """A model, ready to run: the output for each feed."""

    def start(self, widths: npt.ArrayLike, tensors: Tensors) -> Forward:
        answer = self.load(self._graph.filled(widths, tensors))

        def run() -> torch.Tensor:
            outputs = [torch.from_numpy(answer(feed)) for feed in self._graph.feeds]
            return self._task.outputs(torch.cat(outputs)[: self._samples])

        return run


class OnnxRuntimeWay(ExportedWay):
    """ONNX Runtime on one thread of the processor."""

    library = "ONNX Runtime"

    def load(self, model: bytes) -> Callable[[Feed], npt.NDArray[Any]]:
        session = open_session(model)
        return lambda feed: np.asarray(session.run(None, feed)[0])


class OpenVinoWay(ExportedWay):
    """OpenVINO on one thread of the processor, in float32.

    Raises:
        DeviceError: the package is not installed.
    """

    library = "OpenVINO"

    def __init__(self, subject: Subject, name: str, graph: FilledGraph, batch: int) -> None:
        super().__init__(subject, name, graph, batch)
        self._runtime = OpenVinoCpu()
        check_present(self._runtime, "OpenVINO")

    def load(self, model: bytes) -> Callable[[Feed], npt.NDArray[Any]]:
        request = self._runtime.compiled(model).create_infer_request()
        # The next inference overwrites an output, so each is copied.
        return lambda feed: np.array(request.infer(feed, share_inputs=True)[0])


EXPORTED: Sequence[type[ExportedWay]] = (OnnxRuntimeWay, OpenVinoWay)
