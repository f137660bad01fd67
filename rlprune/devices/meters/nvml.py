"""NVML: the power and energy readings of NVIDIA GPUs."""

from __future__ import annotations

import importlib
import time
from typing import Any

from rlprune.devices.meters.base import Clock, EnergyCounter, Work
from rlprune.errors import DeviceError


class NvmlMeter(EnergyCounter):
    """The total energy counter (Volta and newer), else power sampled after every piece of work.

    ``nvmlDeviceGetTotalEnergyConsumption`` counts millijoules since the driver was loaded;
    ``nvmlDeviceGetPowerUsage`` is in milliwatts.

    Args:
        index: NVML's number of the GPU.
        nvml: a module with the functions of ``pynvml`` (from nvidia-ml-py); imported on construction by default.
        clock: seconds, for the length of a window.
    """

    source = "NVML energy counter"

    def __init__(self, index: int = 0, nvml: Any = None, clock: Clock = time.perf_counter) -> None:
        super().__init__(clock)
        self._nvml: Any = nvml
        self._handle: Any = None
        self._counts = False
        self.reason = self._open(index)

    def _open(self, index: int) -> str | None:
        try:
            self._nvml = self._nvml or importlib.import_module("pynvml")
        except ImportError:
            return "the package nvidia-ml-py is not installed"
        try:
            self._nvml.nvmlInit()
            self._handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
            self._counts = self._has_counter()
            if not self._counts:
                self.source = "NVML power, sampled"
                self._nvml.nvmlDeviceGetPowerUsage(self._handle)
        except self._nvml.NVMLError as reason:
            return f"NVML answers: {reason}"
        return None

    def _has_counter(self) -> bool:
        try:
            self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
        except self._nvml.NVMLError:
            return False
        return True

    def energy_mj(self) -> float:
        """Energy of the GPU in millijoules since the driver was loaded."""
        return float(self._read("nvmlDeviceGetTotalEnergyConsumption"))

    def _average_watts(self, work: Work, seconds: float) -> float:
        if self._counts:
            return super()._average_watts(work, seconds)
        readings: list[float] = []
        start = self.clock()
        while not readings or self.clock() - start < seconds:
            work()
            readings.append(float(self._read("nvmlDeviceGetPowerUsage")))
        return sum(readings) / len(readings) / 1e3

    def _read(self, function: str) -> Any:
        try:
            return getattr(self._nvml, function)(self._handle)
        except self._nvml.NVMLError as reason:
            raise DeviceError(f"NVML stopped answering ({reason}). Check the driver and measure again.") from reason
