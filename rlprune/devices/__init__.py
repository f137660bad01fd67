"""Devices: what is measured, with which runtime and meter, and the profile that comes of it."""

from __future__ import annotations

from dataclasses import dataclass

from rlprune.devices.catalogue import DeviceKind, device_named, device_of
from rlprune.devices.meters import PowerMeter, choose_meter
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.runtimes.base import Runtime, RuntimeIdentity
from rlprune.devices.simulated import SimulatedGpu
from rlprune.devices.sources import ProfileSource, is_source, open_source
from rlprune.errors import DeviceError

__all__ = ["Device", "DeviceProfile", "Runtime", "RuntimeIdentity", "meter_of", "resolve_device"]


@dataclass(frozen=True)
class Device:
    """A device as the user named it.

    Attributes:
        name: ``DEVICE:RUNTIME`` of the catalogue.
        kind: ``cpu`` or ``cuda``; ``synthetic`` for a formula.
        runtime: measures on it; None where the profile was taken elsewhere.
        source: gives the profile of a network, where one was named, so that nothing need be measured.
        absent: why there is no runtime here, in one line.
    """

    name: str
    kind: DeviceKind
    runtime: Runtime | None
    source: ProfileSource | None = None
    absent: str | None = None


def resolve_device(name: str, *, threads: int = 1, batch: int = 1, precision: str = "float32") -> Device:
    """The device that ``name`` stands for.

    Args:
        name: ``DEVICE[:RUNTIME]`` of :data:`rlprune.devices.catalogue.CATALOGUE`, the path of a profile (``*.json``, or
            with a folder in it), or ``ready:NAME``.
        threads: threads inside one operator, on the processor. A profile brings its own.
        batch: samples in one inference. A profile brings its own.
        precision: of the arithmetic. A profile brings its own.

    Raises:
        DeviceError: an unknown name, a device or runtime that is absent, or a bad number of threads or samples.
        ProfileError: a profile that cannot be read.
    """
    if is_source(name):
        return _of_source(open_source(name))
    found = device_named(name)
    runtime = found.make(threads, batch, precision)
    if (reason := runtime.available()) is not None:
        remedy = f" To get it: {found.remedy}." if found.remedy else ""
        raise DeviceError(f"Device {name!r} cannot be used here: {reason}.{remedy}")
    return Device(found.name, found.kind, runtime)


def meter_of(device: Device, watts: float | None = None) -> tuple[PowerMeter, list[str]]:
    """The best meter of a device, and one line for each better one that is absent."""
    if isinstance(device.runtime, SimulatedGpu):
        return device.runtime.meter(), []
    return choose_meter("cpu" if device.kind == "cpu" else "cuda", watts)


def _of_source(source: ProfileSource) -> Device:
    """A profile, and a runtime like its own where this machine has one."""
    identity = source.runtime
    found = device_of(identity)
    if found is None:
        unknown = f"the profile was measured on {source.device} with {identity}, a runtime that this rlprune has not"
        return Device("cpu", "cpu", None, source, unknown)
    try:
        runtime = found.make(identity.threads, identity.batch, identity.precision)
    except DeviceError as reason:
        return Device(found.name, found.kind, None, source, f"its runtime cannot be used here ({reason})")
    absent = runtime.available()
    if absent is None and (runtime.identity, runtime.device_name()) != (identity, source.device):
        absent = (
            f"the profile was measured on {source.device} with {identity}; "
            f"this is {runtime.device_name()} with {runtime.identity}"
        )
    return Device(found.name, found.kind, runtime if absent is None else None, source, absent)
