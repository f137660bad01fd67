"""What a run itself takes: wall time, processor time and energy, over all the sessions it was worked on in."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlprune.devices.meters import PowerMeter, meters_of
from rlprune.devices.meters.base import EnergyCounter
from rlprune.errors import DeviceError, RunError
from rlprune.experiments.run_folder import RunFolder
from rlprune.files import read_json

SCHEMA = "rlprune-sessions/1"
FILE = "sessions.json"
EVERY_S = 10.0
ENDINGS = ("running", "complete", "interrupted", "failed", "killed")


@dataclass
class Session:
    """One uninterrupted piece of work on a run.

    Attributes:
        started: UTC, ISO 8601.
        seconds, cpu_seconds: until the file was last written; a killed session is known to ten seconds.
        energy_j: of the processor packages (and the GPU, where plans are evaluated on one), other programs included;
            None where no meter can be read.
        ended: one of ``ENDINGS``.
    """

    started: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    energy_j: float | None = None
    ended: str = "running"


class RunCost:
    """Keeps ``sessions.json`` of a run up to date, so that the cost of a killed session is known too.

    It counts from when it is made.

    Args:
        device: where plans are evaluated, ``cpu`` or ``cuda``: its meter is read beside the processor's.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._run: RunFolder | None = None
        self._earlier: list[Session] = []
        self._now = Session(datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))
        self._start, self._cpu = time.monotonic(), _cpu_seconds()
        found = [meter for kind in dict.fromkeys(["cpu", device]) for meter in meters_of(kind)]
        self._meters = [meter for meter in found if isinstance(meter, EnergyCounter) and meter.reason is None]
        self.energy_source = _told(found, self._meters)
        self._before = self._energy_j()
        self._written = 0.0

    @contextmanager
    def kept(self, run: RunFolder) -> Iterator[None]:
        """Written into a run while the block runs, after the sessions that are there.

        Raises:
            RunError: the file of the earlier sessions cannot be read, or it cannot be written.
        """
        self._run = run
        self._earlier = read_sessions(run.path / FILE)
        for session in self._earlier:
            session.ended = "killed" if session.ended == "running" else session.ended
        self._write()
        try:
            yield
        except BaseException as reason:
            self._now.ended = "interrupted" if isinstance(reason, KeyboardInterrupt) else "failed"
            with suppress(RunError):  # what ended the run is told, not that its cost cannot be written
                self._write()
            raise
        self._now.ended = "complete"
        self._write()

    def tick(self) -> None:
        """Note what was taken so far, every ten seconds at most."""
        if time.monotonic() - self._start >= self._written + EVERY_S:
            self._write()

    def total(self, evaluations: int) -> dict[str, Any]:
        """Over all sessions so far; the energy is None where it is not known of each of them."""
        self._write()
        sessions = [*self._earlier, self._now]
        energies = [session.energy_j for session in sessions if session.energy_j is not None]
        return {
            "evaluations": evaluations,
            "wall_seconds": sum(session.seconds for session in sessions),
            "cpu_seconds": sum(session.cpu_seconds for session in sessions),
            "sessions": len(sessions),
            "energy_j": sum(energies) if len(energies) == len(sessions) else None,
            "energy_source": self.energy_source,
        }

    def _write(self) -> None:
        now = self._now
        now.seconds, now.cpu_seconds = time.monotonic() - self._start, _cpu_seconds() - self._cpu
        after = self._energy_j()
        now.energy_j = None if after is None or self._before is None else after - self._before
        self._written = now.seconds
        if self._run is not None:
            sessions = [asdict(session) for session in (*self._earlier, now)]
            self._run.write_json(FILE, {"schema": SCHEMA, "sessions": sessions})

    def _energy_j(self) -> float | None:
        try:
            return sum(meter.energy_mj() for meter in self._meters) / 1e3 if self._meters else None
        except DeviceError:
            return None


def read_sessions(path: Path) -> list[Session]:
    """The sessions of a run; none where the file is not there yet.

    Raises:
        RunError: it is malformed.
    """
    if not path.is_file():
        return []
    listed: Any = read_json(path, RunError).get("sessions")
    try:
        if not isinstance(listed, list):
            raise TypeError("no list")
        sessions = [Session(**item) for item in listed]
        whole = all(
            float(session.seconds) >= 0
            and float(session.cpu_seconds) >= 0
            and (session.energy_j is None or float(session.energy_j) >= 0)
            and session.ended in ENDINGS
            for session in sessions
        )
    except (TypeError, ValueError) as reason:
        raise RunError(f"{path} must list the sessions of the run; it holds something else ({reason}).") from reason
    if not whole:
        raise RunError(f"{path} must list the sessions of the run; it holds something else.")
    return sessions


def _told(found: Sequence[PowerMeter], read: Sequence[PowerMeter]) -> str:
    if read:
        return " + ".join(meter.source for meter in read) + " (measured, other programs included)"
    return "not measured: " + "; ".join(meter.describe() for meter in found)


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
