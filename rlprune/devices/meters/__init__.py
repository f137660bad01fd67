"""Power meters: one file for each source, and the choice between them."""

from __future__ import annotations

from collections.abc import Sequence

from rlprune.devices.meters.base import MIN_WINDOW_S, PowerMeter
from rlprune.devices.meters.nvml import NvmlMeter
from rlprune.devices.meters.power_model import ASSUMED_WATTS, PowerModel
from rlprune.devices.meters.rapl import RaplMeter

__all__ = ["ASSUMED_WATTS", "MIN_WINDOW_S", "NvmlMeter", "PowerMeter", "PowerModel", "RaplMeter", "choose_meter"]


def choose_meter(
    device: str, watts: float | None = None, meters: Sequence[PowerMeter] | None = None
) -> tuple[PowerMeter, list[str]]:
    """The best meter that is present, and one line for each better one that is not.

    Args:
        device: ``cpu`` or ``cuda``.
        watts: power of the power model, which is used where nothing can be measured; our assumption by default.
        meters: the real meters to try, best first; those of the device by default.

    Raises:
        DeviceError: watts that are not a positive number.
    """
    model = PowerModel(ASSUMED_WATTS[device], assumed=True) if watts is None else PowerModel(watts)
    if meters is None:
        meters = [NvmlMeter()] if device == "cuda" else [RaplMeter()]
    absent: list[str] = []
    for meter in meters:
        if meter.reason is None:
            return meter, absent
        absent.append(f"{meter.source}: {meter.reason}")
    return model, absent
