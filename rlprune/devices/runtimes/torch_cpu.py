"""Torch on the processor: eager, with channels last, or compiled."""

from __future__ import annotations

import torch

from rlprune.arrays import FloatArray
from rlprune.devices.host import cpu_model
from rlprune.devices.runtimes.base import Inference, RuntimeIdentity
from rlprune.devices.runtimes.checks import check_counts, check_precision
from rlprune.devices.runtimes.torch_modules import TorchRuntime, missing_compiler
from rlprune.support.threads import torch_threads


class TorchCpu(TorchRuntime):
    """Inference with exactly its own number of threads, whatever torch is set to elsewhere.

    Args:
        threads: inside one operator.
        batch: samples in one inference.
        precision: ``float32`` or ``bfloat16``.
        mode: see :class:`TorchRuntime`.

    Raises:
        DeviceError: a number that is too small, more threads than cores, another precision, or an unknown mode.
    """

    def __init__(self, threads: int = 1, batch: int = 1, precision: str = "float32", *, mode: str = "eager") -> None:
        super().__init__(mode, "cpu")
        check_counts(threads, batch)
        check_precision("torch on the processor", precision, ["float32", "bfloat16"])
        self.identity = RuntimeIdentity(
            name="torch",
            version=str(torch.__version__),
            provider=f"cpu {mode}",
            threads=threads,
            batch=batch,
            precision=precision,
        )

    def available(self) -> str | None:
        return missing_compiler("cpu") if self.mode == "compile" else None

    def device_name(self) -> str:
        return cpu_model()

    def time(self, inference: Inference, repeats: int) -> FloatArray:
        with torch_threads(self.identity.threads):
            return super().time(inference, repeats)

    def _first_run(self, inference: Inference) -> None:
        with torch_threads(self.identity.threads):  # compiled code is made for a number of threads
            inference()
