"""Torch eager on an NVIDIA GPU, timed with CUDA events."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from rlprune.devices.runtimes.base import Inference, Runtime, RuntimeIdentity
from rlprune.errors import DeviceError
from rlprune.export import as_batch
from rlprune.network import FloatArray, IntArray, Network
from rlprune.pruning import surgery


class TorchCuda(Runtime):
    """Eager float32 inference. Each run stands between two CUDA events, so waiting for the launch is not counted.

    Args:
        batch: samples in one inference.
        cuda: a module with the functions of ``torch.cuda``.
        device: where modules and inputs are placed.
    """

    def __init__(self, batch: int = 1, *, cuda: Any = torch.cuda, device: str = "cuda") -> None:
        if batch < 1:
            raise DeviceError(f"Batch must be 1 or more, not {batch}.")
        self.identity = RuntimeIdentity(
            name="torch",
            version=str(torch.__version__),
            provider=f"cuda {torch.version.cuda or 'absent'}",
            threads=0,
            batch=batch,
            precision="float32",
        )
        self._cuda = cuda
        self._device = device

    def available(self) -> str | None:
        if self._cuda.is_available():
            return None
        if torch.version.cuda is None:
            return f"torch {torch.__version__} was built without CUDA"
        return "torch finds no NVIDIA GPU or driver"

    def device_name(self) -> str:
        return str(self._cuda.get_device_name(self._device))

    def load(self, network: Network, widths: IntArray) -> Inference:
        module = surgery.prune(network, surgery.leading_channels(network, widths))
        return self.load_module(module, network.example_inputs)

    def load_module(self, module: nn.Module, example_inputs: Any) -> Inference:
        reason = self.available()
        if reason is not None:
            raise DeviceError(f"Device 'cuda' cannot be used: {reason}.")
        placed = copy.deepcopy(module).to(self._device).eval()
        inputs = as_batch(example_inputs, self.identity.batch, self._device)

        def run() -> object:
            with torch.inference_mode():
                return placed(**inputs) if isinstance(inputs, dict) else placed(*inputs)

        return run

    def time(self, inference: Inference, repeats: int) -> FloatArray:
        events = [(self._event(), self._event()) for _ in range(repeats)]
        self._cuda.synchronize()
        for start, end in events:
            start.record()
            inference()
            end.record()
        self._cuda.synchronize()
        return np.array([start.elapsed_time(end) for start, end in events])

    def _event(self) -> Any:
        return self._cuda.Event(enable_timing=True)
