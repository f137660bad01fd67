"""Runtimes: one file for each way of running a network."""

from __future__ import annotations

from rlprune.devices.runtimes.base import Inference, Runtime, RuntimeIdentity
from rlprune.devices.runtimes.onnx_runtime import OnnxRuntime
from rlprune.devices.runtimes.openvino_cpu import OpenVinoCpu
from rlprune.devices.runtimes.torch_cpu import TorchCpu
from rlprune.devices.runtimes.torch_cuda import TorchCuda

__all__ = [
    "Inference",
    "OnnxRuntime",
    "OpenVinoCpu",
    "Runtime",
    "RuntimeIdentity",
    "TorchCpu",
    "TorchCuda",
]
