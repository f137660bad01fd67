"""Power meters: one file for each source, and the choice between them."""

from __future__ import annotations

from collections.abc import Sequence

from rlprune.devices.meters.base import MIN_WINDOW_S, WINDOW_S, PowerMeter, Window
from rlprune.devices.meters.nvml import NvmlMeter, gpu_uuid
from rlprune.devices.meters.power_model import ASSUMED_WATTS, PowerModel
from rlprune.devices.meters.rapl import RaplMeter
from rlprune.errors import DeviceError, unknown_name

__all__ = [
    "ASSUMED_WATTS",
    "MIN_WINDOW_S",
    "WINDOW_S",
    "NvmlMeter",
    "PowerMeter",
    "PowerModel",
    "RaplMeter",
    "Window",
    "choose_meter",
    "gpu_uuid",
    "meters_of",
]


def meters_of(device: str, gpu: int | str | None = None) -> list[PowerMeter]:
    """The real meters of ``cpu`` or ``cuda``, best first, absent ones among them; each says so (``describe()``)."""
    if device != "cuda":
        return [RaplMeter()]
    return [NvmlMeter(gpu if gpu is not None else gpu_uuid() or 0)]


def choose_meter(
    device: str, watts: float | None = None, meters: Sequence[PowerMeter] | None = None, gpu: int | str | None = None
) -> tuple[PowerMeter, list[str]]:
    """The best meter that is present, and one line for each better one that is not.

    Args:
        device: ``cpu`` or ``cuda``.
        watts: power of the power model, which is used where nothing can be measured; our assumption by default.
        meters: the real meters to try, best first; those of the device by default.
        gpu: which one, for ``cuda`` (see :class:`NvmlMeter`); that of torch by default.

    Raises:
        DeviceError: watts that are not a positive number, or another device.
    """
    if device not in ASSUMED_WATTS:
        raise DeviceError(unknown_name("kind of device", device, ASSUMED_WATTS))
    model = PowerModel(ASSUMED_WATTS[device], assumed=True) if watts is None else PowerModel(watts)
    absent: list[str] = []
    for meter in meters_of(device, gpu) if meters is None else meters:
        if meter.reason is None:
            return meter, absent
        absent.append(meter.describe())
    return model, absent
