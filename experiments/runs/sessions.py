"""What a run itself takes: wall time, processor time and energy, over all the sessions it was worked on in."""

from __future__ import annotations

import datetime
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from msgspec import Struct

from rlprune.devices.meters import PowerMeter, meters_of
from rlprune.devices.meters.base import EnergyCounter
from rlprune.errors import DeviceError, RunError
from rlprune.experiments.runs.result import TotalCost
from rlprune.experiments.runs.run_folder import RunFolder
from rlprune.support.files import read_json
from rlprune.support.records import NotNegative, as_plain, as_record

SCHEMA = "rlprune-sessions/1"
FILE = "sessions.json"
EVERY_S = 10.0


class WorkSession(Struct, forbid_unknown_fields=True):
    """One uninterrupted piece of work on a run.

    Attributes:
        started: UTC, ISO 8601.
        seconds: from its begin; of a killed session, to the last write of anything in its folder.
        cpu_seconds: of the process and its workers; of a killed session, as of its last episode or so.
        energy_j: of the processor packages, other programs included; None where no meter can be read.
        ended: how, if it did.
    """

    started: str
    seconds: NotNegative
    cpu_seconds: NotNegative
    energy_j: NotNegative | None
    ended: Literal["running", "complete", "interrupted", "failed", "killed"]

    def __post_init__(self) -> None:
        datetime.datetime.fromisoformat(self.started)


class RunCost:
    """Keeps ``sessions.json`` of a run up to date, so that the cost of a killed session is known too.

    It counts from when it is made. The energy is that of the processor, which evaluates the plans.
    """

    def __init__(self) -> None:
        self._run: RunFolder | None = None
        self._earlier: list[WorkSession] = []
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._now = WorkSession(now, 0.0, 0.0, None, "running")
        self._start, self._cpu = time.monotonic(), _cpu_seconds()
        found = meters_of("cpu")
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
            if session.ended == "running":
                session.ended = "killed"
                session.seconds = max(session.seconds, _until_last_write(session, self._now, run.path))
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

    def total(self, evaluations: int) -> TotalCost:
        """Over all sessions so far; the energy is None where it is not known of each of them."""
        self._write()
        sessions = [*self._earlier, self._now]
        energies = [session.energy_j for session in sessions if session.energy_j is not None]
        return TotalCost(
            evaluations=evaluations,
            wall_seconds=sum(session.seconds for session in sessions),
            cpu_seconds=sum(session.cpu_seconds for session in sessions),
            sessions=len(sessions),
            energy_j=sum(energies) if len(energies) == len(sessions) else None,
            energy_source=self.energy_source,
        )

    def _write(self) -> None:
        now = self._now
        now.seconds, now.cpu_seconds = time.monotonic() - self._start, _cpu_seconds() - self._cpu
        after = self._energy_j()
        now.energy_j = None if after is None or self._before is None else after - self._before
        self._written = now.seconds
        if self._run is not None:
            self._run.write_json(FILE, {"schema": SCHEMA, "sessions": as_plain([*self._earlier, now])})

    def _energy_j(self) -> float | None:
        try:
            return sum(meter.energy_mj() for meter in self._meters) / 1e3 if self._meters else None
        except DeviceError:
            return None


def read_sessions(path: Path) -> list[WorkSession]:
    """The sessions of a run; none where the file is not there yet.

    Raises:
        RunError: it is malformed.
    """
    if not path.is_file():
        return []
    try:
        return as_record(read_json(path, RunError).get("sessions"), list[WorkSession])
    except ValueError as reason:
        raise RunError(f"{path} must list the sessions of the run ({reason!s:.200}). Start a new run.") from reason


def _told(found: Sequence[PowerMeter], read: Sequence[PowerMeter]) -> str:
    if read:
        return " + ".join(meter.source for meter in read) + " (measured, other programs included)"
    return "not measured: " + "; ".join(meter.describe() for meter in found)


def _until_last_write(session: WorkSession, following: WorkSession, folder: Path) -> float:
    """Seconds from the begin of a session to the last write in its folder before the next one, which writes too."""
    began, end = (datetime.datetime.fromisoformat(one.started).timestamp() for one in (session, following))
    written = (path.stat().st_mtime for path in folder.rglob("*") if path.is_file())
    return max((at for at in written if began <= at < end), default=began) - began


def _cpu_seconds() -> float:
    """Of this process, of those that it waited for, and of its workers."""
    times = os.times()
    workers = sum(_cpu_seconds_of(child.pid) for child in multiprocessing.active_children())
    return times.user + times.system + times.children_user + times.children_system + workers


def _cpu_seconds_of(process: int | None) -> float:
    """Of a process that runs; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0
