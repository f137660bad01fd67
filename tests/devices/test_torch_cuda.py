"""Torch on a GPU: every line but the driver's, with a stand-in for torch.cuda."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from rlprune.devices.runtimes import TorchCuda
from rlprune.errors import DeviceError
from rlprune.networks.network import Network


class FakeCuda:
    """Counts time in runs: each takes 2 ms of device time, which pass only when synchronised."""

    def __init__(self, present: bool = True) -> None:
        self.present = present
        self.clock = 0.0
        self.synchronised = 0
        self.allocated = self.peak = 0

    def is_available(self) -> bool:
        return self.present

    def get_device_name(self, device: str) -> str:
        return f"Fake GPU on {device}"

    def synchronize(self) -> None:
        self.synchronised += 1

    def memory_allocated(self) -> int:
        return self.allocated

    def max_memory_allocated(self) -> int:
        return self.peak

    def reset_peak_memory_stats(self) -> None:
        self.peak = self.allocated

    def Event(self, enable_timing: bool) -> Any:
        assert enable_timing
        return FakeEvent(self)


class FakeEvent:
    def __init__(self, cuda: FakeCuda) -> None:
        self.cuda = cuda
        self.when = -1.0

    def record(self) -> None:
        self.when = self.cuda.clock

    def elapsed_time(self, end: FakeEvent) -> float:
        assert self.cuda.synchronised == 2  # asking earlier raises on a real GPU
        return end.when - self.when


def test_times_with_events_after_warming_up() -> None:
    cuda = FakeCuda()
    runtime = TorchCuda(cuda=cuda, device="cpu")
    runs: list[torch.Tensor] = []

    def inference() -> None:
        cuda.clock += 2.0
        runs.append(torch.zeros(1))

    runtime.identity = replace(runtime.identity, warmup=2)
    assert list(runtime.time(inference, 3)) == [2.0, 2.0, 2.0]
    assert len(runs) == 5


def test_runs_the_pruned_network(residual_network: Network) -> None:
    runtime = TorchCuda(batch=3, cuda=FakeCuda(), device="cpu")
    outputs = runtime.load(residual_network, np.array([4, 8]))()
    assert isinstance(outputs, torch.Tensor)
    assert outputs.shape == (3, 4)
    assert outputs.is_inference()


def test_the_module_given_is_left_as_it_was(residual_network: Network) -> None:
    module = torch.nn.Linear(2, 2).train()
    TorchCuda(cuda=FakeCuda(), device="meta").load_module(module, torch.zeros(1, 2))
    assert module.training
    assert module.weight.device.type == "cpu"


def test_keyword_inputs() -> None:
    class Takes(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images * 2

    outputs = TorchCuda(cuda=FakeCuda(), device="cpu").load_module(Takes(), {"images": torch.ones(2, 1)})()
    assert isinstance(outputs, torch.Tensor)
    assert outputs.tolist() == [[2.0]]


def test_says_what_is_missing(residual_network: Network) -> None:
    runtime = TorchCuda(cuda=FakeCuda(present=False))
    reason = runtime.available()
    assert reason is not None
    assert "\n" not in reason
    with pytest.raises(DeviceError, match="'cuda' cannot be used"):
        runtime.load(residual_network, residual_network.dense_widths)


def test_identity() -> None:
    runtime = TorchCuda(batch=4, cuda=FakeCuda(), device="cuda")
    assert runtime.available() is None
    assert runtime.device_name() == "Fake GPU on cuda"
    assert (runtime.identity.name, runtime.identity.batch, runtime.identity.precision) == ("torch", 4, "float32")
    assert runtime.identity.provider.startswith("cuda ")
    assert runtime.identity.provider.endswith(" eager")
    with pytest.raises(DeviceError, match="1 or more"):
        TorchCuda(batch=0)
    with pytest.raises(DeviceError, match="float32 or bfloat16 or float16; 'int8' came"):
        TorchCuda(precision="int8")


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_other_precisions(residual_network: Network, precision: str) -> None:
    runtime = TorchCuda(2, precision, mode="channels_last", cuda=FakeCuda(), device="cpu")
    outputs = runtime.load(residual_network, np.array([4, 8]))()
    assert isinstance(outputs, torch.Tensor)
    assert str(outputs.dtype) == f"torch.{precision}"
    assert runtime.identity.precision == precision


def test_compiling_needs_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    runtime = TorchCuda(mode="compile", cuda=FakeCuda())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert runtime.available() == "torch.compile needs the package triton, which is not installed"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert runtime.available() is None
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert runtime.available() == "torch.compile needs a compiler; none of cc, gcc, clang is found"


def test_peak_memory_is_that_of_one_network() -> None:
    cuda = FakeCuda()
    runtime = TorchCuda(cuda=cuda, device="cpu")

    class Works(torch.nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            cuda.peak = cuda.allocated + 1000
            return super().forward(input)

    inference = runtime.load_module(Works(8, 8), torch.zeros(1, 8))
    own = 4 * (8 * 8 + 8 + 8)
    cuda.allocated = 5000 + own  # other networks hold 5000 bytes
    assert runtime.peak_bytes(inference) == own + 1000
    assert runtime.peak_bytes(lambda: None) is None


class Lost(FakeCuda):
    """Fails when it is asked to wait, as real GPUs do."""

    def synchronize(self) -> None:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure\nCompile with more flags")


def test_a_gpu_that_disappears_is_one_clear_error() -> None:
    module, images = torch.nn.Linear(2, 2), torch.zeros(1, 2)
    inference = TorchCuda(cuda=FakeCuda(), device="cpu").load_module(module, images)
    runtime = TorchCuda(cuda=Lost(), device="cpu")
    for fails in (lambda: runtime.time(inference, 2), lambda: runtime.peak_bytes(inference)):
        with pytest.raises(DeviceError, match=r"stopped answering \(.*unspecified launch failure\)") as caught:
            fails()
        assert "\n" not in str(caught.value)
    with pytest.raises(DeviceError, match=r"eager in float32; it said .*unspecified launch failure"):
        runtime.load_module(module, images)
