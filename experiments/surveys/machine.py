"""What this machine can run, and what it can measure with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

from rlprune.devices.catalogue import CATALOGUE, DEFAULTS, KnownDevice
from rlprune.devices.host import cpu_model, current_load, operating_system, usable_cores
from rlprune.devices.meters import ASSUMED_WATTS, PowerMeter, PowerModel, meters_of
from rlprune.devices.ready import ready_files, ready_names
from rlprune.devices.sources import READY, ReadyProfiles
from rlprune.experiments.runs.tables import print_table
from rlprune.experiments.settings.verb_configs import DevicesConfig

SCHEMA = "rlprune-devices/1"
TITLES = {"meters": "Meters", "timers": "Timers", "ready": "Ready profiles, of other machines"}
COLUMNS = ("device", "", "library", "what runs")
EVENT_RESOLUTION_US = 0.5
"""Of CUDA events, by the documentation of ``cudaEventElapsedTime``."""


@dataclass(frozen=True)
class DevicesAnswer:
    """What was found."""

    result: dict[str, Any]

    def as_dict(self) -> dict[str, object]:
        """The result as plain values."""
        return self.result

    def show(self) -> None:
        """Print a table of devices, why the absent ones are absent, meters and timers."""
        result = self.result
        devices = result["devices"]
        machines = dict.fromkeys(
            device["device"] for device in devices if device["usable"] and "synthetic" not in device["name"]
        )
        print(f"{'; '.join(machines)}; {result['os']}; {result['cores']} core(s) may be used here{_load(result)}")
        print_table("--device", COLUMNS, [_cells(device) for device in devices])
        absent = [device for device in devices if not device["usable"]]
        print("\nAbsent:" if absent else "\nNothing is absent.")
        for device in absent:
            print(f"- {device['name']}: {device['reason']}{_remedy(device)}")
        for title in ("meters", "timers", "ready"):
            print(f"\n{TITLES[title]}:")
            for item in result[title]:
                print(f"- {item['text']}")


def find_devices(config: DevicesConfig) -> DevicesAnswer:
    """Ask every runtime and meter whether it can be used here."""
    return DevicesAnswer(
        {
            "schema": SCHEMA,
            "processor": cpu_model(),
            "os": operating_system(),
            "cores": usable_cores(),
            "other_load": current_load(),
            "devices": [_device(entry) for entry in CATALOGUE.values()],
            "meters": [_meter(kind, meter) for kind in ASSUMED_WATTS for meter in _meters(kind)],
            "timers": _timers(),
            "ready": [_ready(name) for name in ready_names()],
        }
    )


def _ready(name: str) -> dict[str, Any]:
    source = ReadyProfiles(name)
    networks = list(ready_files(name))
    text = f"{READY}{name}: {source.device} with {source.runtime}; {', '.join(networks)}"
    return {"name": f"{READY}{name}", "device": source.device, "networks": networks, "text": text}


def _device(entry: KnownDevice) -> dict[str, Any]:
    runtime = entry.make(1, 1, "float32")
    reason, identity = runtime.available(), runtime.identity
    return {
        "name": entry.name,
        "short": next((short for short, name in DEFAULTS.items() if name == entry.name), None),
        "about": entry.about,
        "usable": reason is None,
        "library": identity.name,
        "version": identity.version,
        "provider": identity.provider,
        "device": runtime.device_name() if reason is None else None,
        "reason": reason,
        "remedy": entry.remedy if reason is not None else None,
    }


def _meters(kind: str) -> list[PowerMeter]:
    """The real ones, best first, and what is used where all are absent."""
    return [*meters_of(kind), PowerModel(ASSUMED_WATTS[kind], assumed=True)]


def _meter(kind: str, meter: PowerMeter) -> dict[str, Any]:
    return {
        "kind": kind,
        "source": meter.source,
        "measured": meter.measured,
        "usable": meter.reason is None,
        "reason": meter.reason,
        "remedy": meter.remedy,
        "text": f"{kind}: {meter.describe()}",
    }


def _timers() -> list[dict[str, Any]]:
    clock_us = time.get_clock_info("perf_counter").resolution * 1e6
    clock = f"monotonic clock, in steps of {clock_us:.2g} us: every runtime but torch on a GPU"
    events = f"CUDA events, in steps of about {EVENT_RESOLUTION_US} us: torch on a GPU"
    found = torch.cuda.is_available()
    return [
        {"name": "monotonic clock", "usable": True, "resolution_us": clock_us, "text": clock},
        {
            "name": "CUDA events",
            "usable": found,
            "resolution_us": EVENT_RESOLUTION_US if found else None,
            "text": events if found else "CUDA events: torch finds no NVIDIA GPU",
        },
    ]


def _cells(device: dict[str, Any]) -> list[str]:
    name = device["name"] + (f" (= {device['short']})" if device["short"] else "")
    library = f"{device['library']} {device['version']}".strip()
    return [name, "usable" if device["usable"] else "absent", library, device["about"]]


def _load(result: dict[str, Any]) -> str:
    load = result["other_load"]
    return "" if load is None else f"; other programs keep {load:.1f} core(s) busy"


def _remedy(device: dict[str, Any]) -> str:
    return f"; to get it: {device['remedy']}" if device["remedy"] else ""
