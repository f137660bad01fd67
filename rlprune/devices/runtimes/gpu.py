"""What the NVIDIA GPU is called."""

from __future__ import annotations

import importlib
from typing import Any

import torch


def gpu_name(cuda: Any = torch.cuda, nvml: Any = None) -> str | None:
    """The first NVIDIA GPU, by torch, else (where torch is built without CUDA) by NVML; None where there is none.

    Args:
        cuda: a module with the functions of ``torch.cuda``.
        nvml: a module with the functions of ``pynvml``; imported by default.
    """
    if cuda.is_available():
        return str(cuda.get_device_name("cuda"))
    try:
        nvml = nvml or importlib.import_module("pynvml")
        nvml.nvmlInit()
        return str(nvml.nvmlDeviceGetName(nvml.nvmlDeviceGetHandleByIndex(0)))
    except Exception:  # no package, no driver, no GPU: all mean the same here
        return None
