"""Torch on an NVIDIA GPU, timed with CUDA events."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rlprune.arrays import FloatArray
from rlprune.devices.runtimes.base import Inference, RuntimeIdentity
from rlprune.devices.runtimes.checks import check_counts, check_precision
from rlprune.devices.runtimes.torch_modules import DTYPES, LoadedModule, TorchRuntime, missing_compiler


class TorchCuda(TorchRuntime):
    """Inference on the GPU. Each run stands between two CUDA events.

    What the GPU waits for its next kernel counts too: small layers take as long as they take to launch.

    float32 is torch's default one, whose convolutions may use TF32.

    Args:
        batch: samples in one inference.
        precision: ``float32``, ``bfloat16`` or ``float16``, of weights and inputs.
        mode: see :class:`TorchRuntime`.
        cuda: a module with the functions of ``torch.cuda``.
        device: where modules and inputs are placed.

    Raises:
        DeviceError: a batch below 1, another precision, or an unknown mode.
    """

    def __init__(
        self,
        batch: int = 1,
        precision: str = "float32",
        *,
        mode: str = "eager",
        cuda: Any = torch.cuda,
        device: str = "cuda",
    ) -> None:
        super().__init__(mode, device)
        check_counts(1, batch)
        check_precision("torch on a GPU", precision, list(DTYPES))
        self.identity = RuntimeIdentity(
            name="torch",
            version=str(torch.__version__),
            provider=f"cuda {torch.version.cuda or 'absent'} {mode}",
            threads=0,
            batch=batch,
            precision=precision,
        )
        self._cuda = cuda

    def available(self) -> str | None:
        if self._cuda.is_available():
            return missing_compiler("cuda") if self.mode == "compile" else None
        if torch.version.cuda is None:
            return f"torch {torch.__version__} was built without CUDA"
        return "torch finds no NVIDIA GPU or driver"

    def device_name(self) -> str:
        return str(self._cuda.get_device_name(self.device))

    def time(self, inference: Inference, repeats: int) -> FloatArray:
        with self.answering():
            events = [(self._event(), self._event()) for _ in range(repeats)]
            for _ in range(self.identity.warmup):
                inference()
            self._cuda.synchronize()
            for start, end in events:
                start.record()
                inference()
                end.record()
            self._cuda.synchronize()
            return np.array([start.elapsed_time(end) for start, end in events])

    def peak_bytes(self, inference: Inference) -> int | None:
        """The peak of one run, less what other loaded networks hold."""
        if not isinstance(inference, LoadedModule):
            return None
        with self.answering():
            self._cuda.synchronize()
            others = int(self._cuda.memory_allocated()) - inference.resident_bytes
            self._cuda.reset_peak_memory_stats()
            inference()
            self._cuda.synchronize()
            return int(self._cuda.max_memory_allocated()) - others

    def _first_run(self, inference: Inference) -> None:
        inference()
        self._cuda.synchronize()  # errors on a GPU come late

    def _event(self) -> Any:
        return self._cuda.Event(enable_timing=True)
