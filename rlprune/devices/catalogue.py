"""Every device and runtime by the name that ``--device`` takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rlprune.devices.runtimes.base import Runtime, RuntimeIdentity
from rlprune.devices.runtimes.onnx_runtime import CPU, CUDA, TENSORRT, OnnxRuntime
from rlprune.devices.runtimes.openvino_cpu import OpenVinoCpu
from rlprune.devices.runtimes.torch_cpu import TorchCpu
from rlprune.devices.runtimes.torch_cuda import TorchCuda
from rlprune.devices.simulated import SimulatedGpu
from rlprune.errors import DeviceError, unknown_name

DeviceKind = Literal["cpu", "cuda", "synthetic"]
Make = Callable[[int, int, str], Runtime]
DEFAULTS = {"cpu": "cpu:onnxruntime", "cuda": "cuda:torch", "synthetic": "synthetic:gpu"}


@dataclass(frozen=True)
class KnownDevice:
    """One way of running networks.

    Attributes:
        name: ``DEVICE:RUNTIME``.
        about: what it is, in a few words.
        remedy: how to get it where it is absent.
        make: from threads, batch and precision.
    """

    name: str
    about: str
    remedy: str
    make: Make

    @property
    def kind(self) -> DeviceKind:
        """The device, without the runtime."""
        kind = self.name.partition(":")[0]
        return "cpu" if kind == "cpu" else "cuda" if kind == "cuda" else "synthetic"


def _onnx(provider: str) -> Make:
    return lambda threads, batch, precision: OnnxRuntime(threads, batch, precision, provider=provider)


def _cpu(mode: str) -> Make:
    return lambda threads, batch, precision: TorchCpu(threads, batch, precision, mode=mode)


def _cuda(mode: str) -> Make:
    return lambda _threads, batch, precision: TorchCuda(batch, precision, mode=mode)


_GPU_TORCH = "install a CUDA build of torch and the NVIDIA driver"
_GPU_ONNX = "pip install onnxruntime-gpu in place of onnxruntime"
CATALOGUE = {
    known.name: known
    for known in (
        KnownDevice("cpu:onnxruntime", "ONNX Runtime, all graph optimisations", "pip install onnxruntime", _onnx(CPU)),
        KnownDevice(
            "cpu:openvino",
            "OpenVINO, from the same ONNX graph",
            "pip install 'rlprune[openvino]'",
            lambda threads, batch, precision: OpenVinoCpu(threads, batch, precision),
        ),
        KnownDevice("cpu:torch", "torch eager", "", _cpu("eager")),
        KnownDevice("cpu:torch-channels-last", "torch eager, channels last in memory", "", _cpu("channels_last")),
        KnownDevice("cpu:torch-compile", "torch.compile; slow to load", "install g++ or clang++", _cpu("compile")),
        KnownDevice("cuda:torch", "torch eager, timed with CUDA events", _GPU_TORCH, _cuda("eager")),
        KnownDevice(
            "cuda:torch-channels-last", "the same, channels last in memory", _GPU_TORCH, _cuda("channels_last")
        ),
        KnownDevice("cuda:torch-compile", "torch.compile, timed with CUDA events", _GPU_TORCH, _cuda("compile")),
        KnownDevice("cuda:onnxruntime", "ONNX Runtime with CUDA", _GPU_ONNX, _onnx(CUDA)),
        KnownDevice("cuda:tensorrt", "ONNX Runtime with TensorRT", f"{_GPU_ONNX}, and TensorRT", _onnx(TENSORRT)),
        KnownDevice(
            "synthetic:gpu",
            "a formula in place of a GPU, to try things out",
            "",
            lambda _threads, batch, _precision: SimulatedGpu(batch),
        ),
    )
}


def device_named(name: str) -> KnownDevice:
    """The device of a name, with or without runtime.

    Raises:
        DeviceError: there is none; the nearest is offered.
    """
    full = DEFAULTS.get(name, name)
    if full not in CATALOGUE:
        known = [*(short for short in DEFAULTS if short != "synthetic"), *CATALOGUE]
        raise DeviceError(f"{unknown_name('device', name, known)} Or give the path of a profile (*.json).")
    return CATALOGUE[full]


def device_of(identity: RuntimeIdentity) -> KnownDevice | None:
    """The device whose runtime has this name and provider, whatever versions; None where there is none."""
    for candidate in CATALOGUE.values():
        own = candidate.make(1, identity.batch, "float32").identity
        if own.name == identity.name and _plain(own.provider) == _plain(identity.provider):
            return candidate
    return None


def _plain(provider: str) -> list[str]:
    """A provider without the version of CUDA that stands in it."""
    return [word for word in provider.split() if not word[0].isdigit() and word != "absent"]
