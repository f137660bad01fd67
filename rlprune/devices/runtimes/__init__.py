"""Runtimes: one file for each way of running a network."""

from __future__ import annotations

from rlprune.devices.runtimes.base import Inference, Runtime, RuntimeIdentity
from rlprune.devices.runtimes.onnxruntime_cpu import OnnxRuntimeCpu
from rlprune.devices.runtimes.torch_cuda import TorchCuda

__all__ = ["Inference", "OnnxRuntimeCpu", "Runtime", "RuntimeIdentity", "TorchCuda"]
