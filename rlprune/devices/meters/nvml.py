"""NVML: the power and energy readings of NVIDIA GPUs."""

from __future__ import annotations

import importlib
import time
from typing import Any

import torch

from rlprune.devices.meters.base import Clock, EnergyCounter
from rlprune.errors import DeviceError


def gpu_uuid(device: int | None = None, cuda: Any = torch.cuda) -> str | None:
    """NVML's name (``GPU-...``) of the GPU that torch numbers ``device``, its current one by default.

    None where there is no GPU, or this torch cannot tell.
    """
    if not cuda.is_available():
        return None
    properties = cuda.get_device_properties(cuda.current_device() if device is None else device)
    uuid = getattr(properties, "uuid", None)
    return None if uuid is None else f"GPU-{str(uuid).removeprefix('GPU-')}"


class NvmlMeter(EnergyCounter):
    """The total energy counter (Volta and newer), else power that is sampled after every piece of work.

    ``nvmlDeviceGetTotalEnergyConsumption`` counts millijoules since the driver was loaded and moves about every 100 ms.
    ``nvmlDeviceGetPowerUsage`` is in milliwatts (on Ampere and newer the average of the last second, before that the
    present power) and is integrated over time by the trapezoid rule: a piece of work much longer than 100 ms is seen by
    its two ends alone.

    Args:
        gpu: NVML's number of the GPU, or its UUID (``GPU-...``); :func:`gpu_uuid` gives that of torch's. Beware of
            numbers: NVML counts all GPUs of the machine in the order of their slots and knows nothing of
            ``CUDA_VISIBLE_DEVICES``; torch counts the visible ones, fastest first.
        nvml: a module with the functions of ``pynvml`` (from nvidia-ml-py); imported on construction by default.
        clock: seconds, for the length of a window.
    """

    source = "NVML energy counter"
    update_s = 0.1

    def __init__(self, gpu: int | str = 0, nvml: Any = None, clock: Clock = time.perf_counter) -> None:
        super().__init__(clock)
        self._nvml: Any = nvml
        self._handle: Any = None
        self._gpu = gpu
        self._name = gpu if isinstance(gpu, str) else f"GPU {gpu}"
        self._sampled: _Integral | None = None
        self._open()

    def _open(self) -> None:
        try:
            self._nvml = self._nvml or importlib.import_module("pynvml")
        except ImportError:
            self.reason, self.remedy = "the package nvidia-ml-py is not installed", "pip install nvidia-ml-py"
            return
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as reason:
            self.reason, self.remedy = f"NVML answers: {reason}", "install the NVIDIA driver"
            return
        try:
            self._find()
        except self._nvml.NVMLError as reason:
            self.reason = f"NVML answers for {self._name}: {reason}"
            self.remedy = "choose a GPU that nvidia-smi lists with its power, or state the watts"

    def _find(self) -> None:
        by = "UUID" if isinstance(self._gpu, str) else "Index"
        self._handle = getattr(self._nvml, f"nvmlDeviceGetHandleBy{by}")(self._gpu)
        if not self._has_counter():
            self.source, self.update_s = "NVML power, sampled", 0.0  # its integral grows with every sample
            self._sampled = _Integral()
            self._nvml.nvmlDeviceGetPowerUsage(self._handle)

    def _has_counter(self) -> bool:
        try:
            self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
        except self._nvml.NVMLError:
            return False
        return True

    def energy_mj(self) -> float:
        """Energy of the GPU in millijoules: since the driver was loaded, or since power was first sampled.

        Raises:
            DeviceError: the GPU or its driver is gone.
        """
        if self._sampled is None:
            return self._read("nvmlDeviceGetTotalEnergyConsumption")
        return self._sampled.advance(self.clock(), self._read("nvmlDeviceGetPowerUsage"))

    def _read(self, function: str) -> float:
        try:
            return float(getattr(self._nvml, function)(self._handle))
        except self._nvml.NVMLError as reason:
            raise DeviceError(
                f"{self._name} stopped answering NVML ({reason}). Check with nvidia-smi that it is still there, and "
                "measure again."
            ) from reason


class _Integral:
    """Milliwatts over seconds, by the trapezoid rule: millijoules."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._total = 0.0

    def advance(self, now: float, milliwatts: float) -> float:
        """The integral of power up to ``now``, in millijoules."""
        then, before = self._last or (now, milliwatts)
        self._total += (now - then) * (before + milliwatts) / 2
        self._last = (now, milliwatts)
        return self._total
