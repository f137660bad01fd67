"""The files of a pruned network, each compared with the network itself before it is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rlprune.delivery.compact.file import data_bytes, verify_compact
from rlprune.delivery.delivered import Delivered
from rlprune.delivery.onnx.reading import initializers
from rlprune.delivery.onnx.verifying import verify_onnx
from rlprune.errors import DeviceError, NetworkError, RunError
from rlprune.experiments.pipeline.reasons import alike
from rlprune.experiments.pipeline.scoring import weights
from rlprune.experiments.runs.run_folder import COMPACT, ONNX, TENSORS
from rlprune.networks.network import Network
from rlprune.support.files import write_atomic
from rlprune.tasks import Split


@dataclass
class NetworkFiles:
    """What is handed over of one network.

    Attributes:
        contents: by name of the file.
        missing: name of a file that cannot be written -> why.
        held: bytes of the weights in the ONNX file by type, where some were treated.
        wide: layers of few bits of which it holds float32.
    """

    contents: dict[str, bytes] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    wide: list[str] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write them into a folder, each atomically.

        Raises:
            RunError: one cannot be written.
        """
        for name, content in self.contents.items():
            write_atomic(folder / name, content, RunError)

    @property
    def notes(self) -> list[str]:
        """What is not there, and what is stored in what, for people."""
        lines = [f"{name} is not written: {reason}" for name, reason in self.missing.items()]
        if self.held:
            largest = sorted(self.held.items(), key=lambda pair: -pair[1])
            kinds = ", ".join(f"{size / 1e3:.1f} kB {kind}" for kind, size in largest)
            lines.append(f"Weights in {ONNX}: {kinds}; in {COMPACT}: {self._size_of(COMPACT)}.")
        if self.wide:
            lines.append(
                f"Of few bits, but float32 in {ONNX}, changed by the exporter or filled by means: {alike(self.wide)}."
            )
        return lines

    def _size_of(self, name: str) -> str:
        return f"{data_bytes(self.contents[name]) / 1e3:.1f} kB" if name in self.contents else "not written"


def network_files(delivered: Delivered, network: Network, calibration: Split, batch: int = 1) -> NetworkFiles:
    """The module's tensors, ONNX where that computes the same, and where weights were treated the compact file.

    ONNX is compared with the module on every output, the compact file with its tensors, bit for bit.
    """
    files = NetworkFiles({TENSORS: weights(delivered.module)})
    if (compact := delivered.compact()) is not None:
        try:
            verify_compact(compact, delivered.module.state_dict())
            files.contents[COMPACT] = compact
        except NetworkError as reason:
            files.missing[COMPACT] = str(reason)
    try:
        model = delivered.onnx(network.example_inputs, calibration, batch=batch)
        verify_onnx(model, delivered.module, network.example_inputs, batch=batch, tolerance=delivered.tolerance)
    except (NetworkError, DeviceError) as reason:
        files.missing[ONNX] = str(reason)
        return files
    files.contents[ONNX] = model
    if delivered.stored:
        files.wide = delivered.wide_in(model)
        for kind, size in initializers(model).values():
            files.held[kind] = files.held.get(kind, 0) + size
    return files
