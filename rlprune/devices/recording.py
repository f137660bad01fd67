"""What a recording of a device holds, its checks and its JSON form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rlprune.devices.profiles.fields import Fields
from rlprune.devices.profiles.profile_json import check_schema, runtime_identity
from rlprune.devices.runtimes.base import RuntimeIdentity
from rlprune.errors import DeviceError, ProfileError

SCHEMA = "rlprune-recording/2"
FIRST_SCHEMA = "rlprune-recording/1"
SYNTHETIC = "synthetic "
"""So begins the name of every device that is a formula."""
Plan = tuple[int, ...]
"""Channel count of each group."""
Samples = Mapping[Plan, Sequence[float]]


@dataclass(frozen=True)
class Extras:
    """What a recording holds beside samples.

    Attributes:
        energy_mj: of one inference of a plan.
        peak_bytes: memory that one run of a plan takes at most.
        idle_watts: of the device.
        meter: the energy's source; None where no energy was read.
        measured: False where that source only states it.
        synthetic: a formula was recorded, not a device.
    """

    energy_mj: Mapping[Plan, float] = field(default_factory=dict)
    peak_bytes: Mapping[Plan, int] = field(default_factory=dict)
    idle_watts: float | None = None
    meter: str | None = None
    measured: bool = True
    synthetic: bool = False


def check(device: str, samples_ms: Samples, extras: Extras) -> None:
    """Refuse a recording that no device can have given.

    Raises:
        DeviceError: it says which value is wrong.
    """
    for widths, samples in samples_ms.items():
        if not samples or not all(_is_positive(sample) for sample in samples):
            raise DeviceError(f"Recorded samples must be positive milliseconds; those of {list(widths)} are not.")
    for kind, values in {"energies": extras.energy_mj, "peaks of memory": extras.peak_bytes}.items():
        for widths, value in values.items():
            if widths not in samples_ms or not _is_positive(value):
                raise DeviceError(
                    f"Recorded {kind} must be above 0 and belong to a plan with samples; {value} of {list(widths)} "
                    "came. Record it again."
                )
    if extras.idle_watts is not None and not _is_positive(extras.idle_watts):
        raise DeviceError(f"A recorded idle power must be above 0 W; {extras.idle_watts} came. Leave it out instead.")
    if extras.meter is None and (extras.energy_mj or extras.idle_watts is not None):
        raise DeviceError("A recording with energy must name the meter that it comes from. Record it again.")
    if extras.synthetic != device.startswith(SYNTHETIC):
        raise DeviceError(
            f"A recording must say that it is synthetic exactly where its device's name begins with {SYNTHETIC!r}; "
            f"synthetic={extras.synthetic} and {device!r} came. A formula must not pass for a measurement."
        )


def as_json(device: str, identity: RuntimeIdentity, samples_ms: Samples, extras: Extras) -> dict[str, Any]:
    """The JSON form."""
    return {
        "schema": SCHEMA,
        "device": device,
        "synthetic": extras.synthetic,
        "runtime": asdict(identity),
        "meter": extras.meter,
        "measured": extras.measured,
        "idle_watts": extras.idle_watts,
        "plans": [
            {
                "widths": list(plan),
                "samples_ms": list(samples),
                "energy_mj": extras.energy_mj.get(plan),
                "peak_bytes": extras.peak_bytes.get(plan),
            }
            for plan, samples in samples_ms.items()
        ],
    }


def parse(value: dict[str, Any], origin: str) -> tuple[RuntimeIdentity, str, Samples, Extras]:
    """Read the JSON form of this or the first schema, which had no energy, memory or formulas.

    Raises:
        DeviceError: another schema, a value that is missing or of another kind, or a plan that comes twice.
    """
    try:
        if value.get("schema") != FIRST_SCHEMA:
            check_schema(value, SCHEMA, origin)
        elif isinstance(value.get("runtime"), dict):
            value = {**value, "runtime": {"warmup": 0, **value["runtime"]}}  # there was none, and it was not told
        fields = Fields(value, origin)
        items = fields.objects("plans")
        plans = {item.integers("widths"): item for item in items}
        if len(plans) != len(items):
            raise DeviceError(f"{origin}: every plan must stand in a recording once. Record it again.")
        samples = {widths: plan.numbers("samples_ms") for widths, plan in plans.items()}
        extras = Extras() if value["schema"] == FIRST_SCHEMA else _extras(fields, plans)
        return runtime_identity(fields.inner("runtime")), fields.text("device"), samples, extras
    except ProfileError as reason:
        raise DeviceError(str(reason)) from reason


def _extras(fields: Fields, plans: Mapping[Plan, Fields]) -> Extras:
    return Extras(
        energy_mj={key: plan.number("energy_mj") for key, plan in plans.items() if plan.has("energy_mj")},
        peak_bytes={key: plan.integer("peak_bytes") for key, plan in plans.items() if plan.has("peak_bytes")},
        idle_watts=fields.optional("idle_watts"),
        meter=fields.text("meter") if fields.has("meter") else None,
        measured=fields.flag("measured"),
        synthetic=fields.flag("synthetic"),
    )


def _is_positive(value: float) -> bool:
    return math.isfinite(value) and value > 0
