"""Where the measured columns of a table come from: device, runtime, and what energy and tails rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from rlprune.devices import Device, DeviceProfile, Runtime, meter_of
from rlprune.devices.meters import PowerMeter, PowerModel
from rlprune.devices.profiles.records import EnergyModel, TailModel
from rlprune.devices.runtimes.base import RuntimeIdentity
from rlprune.experiments.runs.result import Facts


@dataclass(frozen=True)
class Provenance:
    """Device, runtime, energy and errors.

    Attributes:
        energy: of any plan; None where nothing is known but what was metered.
        tail: the 99th percentile of latency, where there is a profile.
        source: of the energy, for people.
        batch: samples in one inference.
        facts: by name, for the report.
        notes: sentences for people.
    """

    energy: EnergyModel | None
    tail: TailModel | None
    source: str
    batch: int
    facts: Facts
    notes: list[str]

    def p99(self, latency_ms: float | None) -> float | None:
        """The promised 99th percentile of a plan with this latency."""
        return None if latency_ms is None or self.tail is None else float(self.tail(np.array(latency_ms)))

    def energy_mj(self, metered: float | None, latency_ms: float | None, macs: float) -> float | None:
        """Energy of one inference: metered, else by the model."""
        if metered is not None or self.energy is None or latency_ms is None:
            return metered
        return float(self.energy(np.array(latency_ms), np.array(macs)))

    def above_idle_mj(self, energy_mj: float | None, latency_ms: float | None) -> float | None:
        """What of this energy an idle device would not use, where its idle power is known."""
        if self.energy is None or energy_mj is None or latency_ms is None:
            return None
        return self.energy.above_idle(energy_mj, latency_ms)


def provenance_of(
    device: Device, profile: DeviceProfile | None, watts: float | None, notes: Sequence[str]
) -> Provenance:
    """What a profile states about itself; without one what is known here, if anything is.

    Args:
        watts: power of the device, where no meter can be read.
        notes: come first; a profile adds its warnings.
    """
    if profile is not None:
        return _of_profile(profile, device, notes)
    if device.runtime is not None:
        return _here(device.runtime, meter_of(device, watts)[0], notes)
    return Provenance(energy=None, tail=None, source="not measured", batch=1, facts={}, notes=list(notes))


def _of_profile(profile: DeviceProfile, device: Device, notes: Sequence[str]) -> Provenance:
    facts: Facts = {"device": profile.device, **_named(profile.runtime), "energy": profile.energy.source}
    facts["profile error"] = f"{profile.held_out} on {profile.held_out.plans} unseen plans"
    tail = profile.tails["p99"]
    facts["profile p99 error"] = str(tail.error) if tail.holds else tail.refusal
    if profile.energy.measured:
        facts["profile energy error"] = str(profile.energy.error)
    here = None if device.runtime is None else device.runtime.device_name()
    return Provenance(
        energy=profile.energy,
        tail=tail if tail.holds else None,
        source=profile.energy.source,
        batch=profile.runtime.batch,
        facts=facts,
        notes=[*notes, *profile.warnings(here), *([energy_note(profile.energy)] if profile.energy.measured else [])],
    )


def _here(runtime: Runtime, meter: PowerMeter, notes: Sequence[str]) -> Provenance:
    """Energy is stated, or was metered plan by plan."""
    return Provenance(
        energy=EnergyModel.stated(meter.watts, meter.source) if isinstance(meter, PowerModel) else None,
        tail=None,
        source=meter.source,
        batch=runtime.identity.batch,
        facts={"device": runtime.device_name(), **_named(runtime.identity)},
        notes=[*notes, f"Energy: {meter.source} ({'measured' if meter.measured else 'stated, not measured'})."],
    )


def batch_note(batch: int) -> list[str]:
    """What a reader must know where an inference is of several samples."""
    words = f"Latency and energy are of a call of {batch} samples, MACs and speed of single ones."
    return [] if batch == 1 else [words]


def energy_note(energy: EnergyModel) -> str:
    """Where the energy comes from, and what of it an idle device would use too."""
    idle = "" if energy.idle_watts is None else f"; an idle device draws {energy.idle_watts:.3g} W of it"
    return f"Energy: {energy.source} ({'measured' if energy.measured else 'stated, not measured'}{idle})."


def _named(identity: RuntimeIdentity) -> Facts:
    values = asdict(identity)
    return {"runtime": values.pop("name"), **values}
