"""Devices: what is measured, with which runtime and meter, and the profile that comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rlprune.devices.profile import DeviceProfile
from rlprune.devices.runtimes.base import Runtime, RuntimeIdentity
from rlprune.devices.runtimes.onnxruntime_cpu import OnnxRuntimeCpu
from rlprune.devices.runtimes.torch_cuda import TorchCuda
from rlprune.errors import DeviceError, unknown_name

__all__ = ["Device", "DeviceProfile", "Runtime", "RuntimeIdentity", "resolve_device"]

Kind = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Device:
    """A device as the user named it.

    Attributes:
        kind: ``cpu`` or ``cuda``.
        runtime: measures on it; None where the profile was taken elsewhere.
        profile: was given, so nothing need be measured; else None.
        absent: why there is no runtime here, in one line.
    """

    kind: Kind
    runtime: Runtime | None
    profile: DeviceProfile | None = None
    absent: str | None = None


def resolve_device(name: str, *, threads: int = 1, batch: int = 1) -> Device:
    """The device that ``name`` stands for.

    Args:
        name: ``cpu`` (ONNX Runtime), ``cuda`` (torch eager), or the path of a profile (``*.json``).
        threads: threads inside one operator, on the processor. A profile brings its own.
        batch: samples in one inference. A profile brings its own.

    Raises:
        DeviceError: an unknown name, a device or runtime that is absent, or a bad number of threads or samples.
        ProfileError: a profile that cannot be read.
    """
    if name == "cpu":
        return Device("cpu", _present(name, OnnxRuntimeCpu(threads, batch)))
    if name == "cuda":
        return Device("cuda", _present(name, TorchCuda(batch)))
    if name.endswith(".json") or Path(name).is_file():
        return _of_profile(DeviceProfile.load(name))
    raise DeviceError(f"{unknown_name('device', name, ['cpu', 'cuda'])} Or give the path of a profile (*.json).")


def _present(name: str, runtime: Runtime) -> Runtime:
    if (reason := runtime.available()) is not None:
        raise DeviceError(f"Device {name!r} cannot be used here: {reason}.")
    return runtime


def _of_profile(profile: DeviceProfile) -> Device:
    """A profile, and a runtime like its own where this machine has one."""
    identity = profile.runtime
    kind: Kind = "cuda" if identity.name == "torch" else "cpu"
    runtime: Runtime = TorchCuda(identity.batch) if kind == "cuda" else OnnxRuntimeCpu(identity.threads, identity.batch)
    absent = runtime.available()
    if absent is None and (runtime.identity, runtime.device_name()) != (identity, profile.device):
        absent = (
            f"the profile was measured on {profile.device} with {identity.name} {identity.version}, "
            f"this is {runtime.device_name()} with {runtime.identity.name} {runtime.identity.version}"
        )
    return Device(kind, runtime if absent is None else None, profile, absent)
