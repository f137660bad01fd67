"""Samples of a measurement that is not finished yet, so that it goes on where it was interrupted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from rlprune.errors import ProfileError, RlpruneError
from rlprune.files import read_json, write_json
from rlprune.network import FloatArray

SCHEMA = "rlprune-partial-profile/1"


class PartialProfile:
    """Rounds that were timed so far, by phase, in ``<path>.partial.json``.

    What is stored for another network, runtime, seed or count of plans is not used. Without a path nothing is stored.

    Args:
        path: of the profile that is being measured.
        key: everything the samples depend on.
    """

    def __init__(self, path: str | Path | None, key: dict[str, Any]) -> None:
        self.path = None if path is None else Path(f"{path}.partial.json")
        self._key = key
        self._phases: dict[str, list[list[float]]] = {}
        if self.path is not None and self.path.exists():
            self._phases = self._stored(self.path)

    def _stored(self, path: Path) -> dict[str, list[list[float]]]:
        try:
            value = read_json(path, ProfileError)
        except RlpruneError:
            return {}
        phases = value.get("phases")
        alike = value.get("schema") == SCHEMA and value.get("key") == self._key and isinstance(phases, dict)
        return dict(phases) if alike and isinstance(phases, dict) else {}

    def rounds(self, phase: str, plans: int) -> list[FloatArray]:
        """Complete rounds of a phase, each ``[plans]`` milliseconds; none where the stored ones do not fit."""
        stored = self._phases.get(phase, [])
        if not isinstance(stored, list) or not all(_is_round(item, plans) for item in stored):
            return []
        return [np.array(item) for item in stored]

    def store(self, phase: str, rounds: list[FloatArray]) -> None:
        """Write the rounds of a phase, atomically.

        Raises:
            ProfileError: the folder cannot be written.
        """
        self._phases[phase] = [[float(value) for value in item] for item in rounds]
        if self.path is not None:
            write_json(self.path, {"schema": SCHEMA, "key": self._key, "phases": self._phases}, ProfileError)

    def remove(self) -> None:
        """The profile is finished."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _is_round(value: Any, plans: int) -> bool:
    numbers = isinstance(value, list) and len(value) == plans and all(isinstance(item, float) for item in value)
    return numbers and all(math.isfinite(item) and item > 0 for item in value)
