"""Torch on a GPU: every line but the driver's, with a stand-in for torch.cuda."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rlprune.devices.runtimes import TorchCuda
from rlprune.errors import DeviceError
from rlprune.network import Network


class FakeCuda:
    """Counts time in runs: each takes 2 ms of device time, which pass only when synchronised."""

    def __init__(self, present: bool = True) -> None:
        self.present = present
        self.clock = 0.0
        self.synchronised = 0

    def is_available(self) -> bool:
        return self.present

    def get_device_name(self, device: str) -> str:
        return f"Fake GPU on {device}"

    def synchronize(self) -> None:
        self.synchronised += 1

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


def test_times_with_events(residual_network: Network) -> None:
    cuda = FakeCuda()
    runtime = TorchCuda(cuda=cuda, device="cpu")
    runs: list[torch.Tensor] = []

    def inference() -> None:
        cuda.clock += 2.0
        runs.append(torch.zeros(1))

    assert list(runtime.time(inference, 3)) == [2.0, 2.0, 2.0]
    assert len(runs) == 3


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
    with pytest.raises(DeviceError, match="1 or more"):
        TorchCuda(batch=0)
