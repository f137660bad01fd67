"""Measurements that are not finished yet, so that they go on where they were interrupted."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rlprune.arrays import FloatArray
from rlprune.devices.profiles.records import EnergyReading
from rlprune.errors import ProfileError, RlpruneError
from rlprune.support.files import read_json, write_json
from rlprune.support.records import as_record

SCHEMA = "rlprune-partial-profile/2"
DECIMALS = 7
"""Of stored milliseconds: a tenth of a nanosecond, less than any clock tells."""


class PartialProfile:
    """What was measured so far, in ``<path>.partial.json``: rounds of samples by phase, and energy readings.

    What is stored for another network, runtime, seed or count of plans is not used. Without a path nothing is stored.

    Args:
        path: of the profile that is being measured.
        key: everything the measurements depend on.
    """

    def __init__(self, path: str | Path | None, key: dict[str, Any]) -> None:
        self.path = None if path is None else Path(f"{path}.partial.json")
        self._key = key
        self._phases: dict[str, Any] = {}
        self._readings: list[Any] = []
        if self.path is not None and self.path.exists():
            self._take(self.path)

    @classmethod
    def key_at(cls, path: str | Path) -> dict[str, Any]:
        """What the unfinished measurements of a profile depend on; nothing where there are none."""
        key = _read(Path(f"{path}.partial.json")).get("key")
        return key if isinstance(key, dict) else {}

    def _take(self, path: Path) -> None:
        value = _read(path)
        phases, readings = value.get("phases"), value.get("readings")
        if value.get("key") != self._key:
            return
        self._phases = dict(phases) if isinstance(phases, dict) else {}
        self._readings = list(readings) if isinstance(readings, list) else []

    def rounds(self, phase: str, shape: tuple[int, int]) -> list[FloatArray]:
        """Complete rounds of a phase, each ``[plans, repeats]`` milliseconds; none where the stored ones do not fit."""
        stored = self._phases.get(phase, [])
        if not isinstance(stored, list) or not all(_is_round(item, shape) for item in stored):
            return []
        return [np.array(item, dtype=np.float64) for item in stored]

    def store(self, phase: str, rounds: list[FloatArray]) -> None:
        """Write the rounds of a phase, atomically.

        Raises:
            ProfileError: the folder cannot be written.
        """
        self._phases[phase] = [item.tolist() for item in rounds]
        self._write()

    def readings(self) -> list[EnergyReading]:
        """Energy readings so far; none where the stored ones are not whole."""
        try:
            return as_record(self._readings, list[EnergyReading])
        except ValueError:
            return []

    def store_readings(self, readings: list[EnergyReading]) -> None:
        """Write the energy readings, atomically. Raises as :meth:`store`."""
        self._readings = [asdict(reading) for reading in readings]
        self._write()

    def _write(self) -> None:
        if self.path is not None:
            value = {"schema": SCHEMA, "key": self._key, "phases": self._phases, "readings": self._readings}
            write_json(self.path, value, ProfileError)

    def remove(self) -> None:
        """Delete the file of what was measured so far: the profile is finished."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    """Unfinished measurements; nothing where the file is missing or spoilt."""
    try:
        value = read_json(path, ProfileError)
    except RlpruneError:
        return {}
    return value if value.get("schema") == SCHEMA else {}


def _is_round(value: Any, shape: tuple[int, int]) -> bool:
    plans, repeats = shape
    return isinstance(value, list) and len(value) == plans and all(_are_times(item, repeats) for item in value)


def _are_times(value: Any, count: int) -> bool:
    numbers = isinstance(value, list) and len(value) == count and all(isinstance(item, float) for item in value)
    return numbers and all(math.isfinite(item) and item > 0 for item in value)
