"""What a run takes is counted over its sessions, whatever ended them."""

from __future__ import annotations

import datetime
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from rlprune.devices.meters import RaplMeter
from rlprune.errors import RunError
from rlprune.experiments.runs import run_cost as cost
from rlprune.experiments.runs.run_cost import FILE, RunCost, Session, read_sessions
from rlprune.experiments.runs.run_folder import RunFolder
from rlprune.experiments.settings.verb_configs import TrainConfig

WHOLE = asdict(Session("2026-01-01T00:00:00+00:00"))


@contextmanager
def opened(path: Path) -> Iterator[RunFolder]:
    there = RunFolder.resume(path) if path.exists() else RunFolder.create(path, TrainConfig(), "rlprune train", {})
    with there as run:
        yield run


def session(path: Path, reason: BaseException | None = None) -> dict[str, Any]:
    counted = RunCost()
    with opened(path) as run, counted.kept(run):
        if reason is not None:
            raise reason
        return counted.total(7)


@pytest.fixture
def counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The counter of a processor package, in microjoules."""
    zone = tmp_path / "powercap" / "intel-rapl:0"
    zone.mkdir(parents=True)
    for name, text in (("name", "package-0"), ("max_energy_range_uj", "262143328850"), ("energy_uj", "1000000")):
        (zone / name).write_text(text)
    monkeypatch.setattr(cost, "meters_of", lambda _: [RaplMeter(tmp_path / "powercap")])
    return zone / "energy_uj"


def test_sessions_add_up(tmp_path: Path) -> None:
    path = tmp_path / "run"
    for reason in (KeyboardInterrupt(), ValueError()):
        with pytest.raises(type(reason)):
            session(path, reason)
    total = session(path)
    sessions = read_sessions(path / FILE)
    assert [one.ended for one in sessions] == ["interrupted", "failed", "complete"]
    assert (total.sessions, total.evaluations) == (3, 7)
    assert 0 < total.wall_seconds <= sum(one.seconds for one in sessions)
    assert 0 <= total.cpu_seconds <= sum(one.cpu_seconds for one in sessions)


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_workers_count_while_they_run_and_afterwards() -> None:
    counted = RunCost()
    worker = multiprocessing.get_context("spawn").Process(target=burn, args=(0.6,))
    worker.start()
    worker.join(200)  # it ended, but what it took is asked for in both states
    assert counted.total(0).cpu_seconds > 0.6
    waiting = multiprocessing.get_context("spawn").Process(target=burn, args=(300.0,))
    waiting.start()
    until = time.monotonic() + 200
    try:
        while counted.total(0).cpu_seconds <= 1.2:
            assert time.monotonic() < until
            time.sleep(0.1)
    finally:
        waiting.kill()
        waiting.join()


def test_a_session_that_never_ended_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        session(path, KeyboardInterrupt())
    listed = json.loads((path / FILE).read_text())
    listed["sessions"][0] |= {"ended": "running", "seconds": 100.0}
    (path / FILE).write_text(json.dumps(listed))
    assert session(path).wall_seconds > 100
    assert [one.ended for one in read_sessions(path / FILE)] == ["killed", "complete"]


def test_a_killed_session_lasted_until_its_last_write_whenever_it_is_continued(tmp_path: Path) -> None:
    path, hour_ago = tmp_path / "run", time.time() - 3600
    with pytest.raises(KeyboardInterrupt):
        session(path, KeyboardInterrupt())
    listed = json.loads((path / FILE).read_text())
    began = datetime.datetime.fromtimestamp(hour_ago, datetime.UTC).isoformat()
    listed["sessions"][0] |= {"ended": "running", "started": began, "seconds": 10.0}
    (path / FILE).write_text(json.dumps(listed))
    for file in path.rglob("*"):
        os.utime(file, (hour_ago + 30, hour_ago + 30))
    session(path)  # opens the folder, and so writes into it, before it reads how long others took
    assert read_sessions(path / FILE)[0].seconds == pytest.approx(30, abs=0.1)


def test_the_energy_is_what_the_counter_counted(tmp_path: Path, counter: Path) -> None:
    counted = RunCost()
    with opened(tmp_path / "run") as run, counted.kept(run):
        counter.write_text("4500000")
        total = counted.total(1)
    assert total.energy_j == pytest.approx(3.5)
    assert total.energy_source.startswith("RAPL package counters (measured")


def test_the_energy_of_a_run_is_unknown_where_that_of_a_session_is(tmp_path: Path, counter: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        session(path, KeyboardInterrupt())
    listed = json.loads((path / FILE).read_text())
    assert listed["sessions"][0]["energy_j"] == 0
    listed["sessions"][0]["energy_j"] = None
    (path / FILE).write_text(json.dumps(listed))
    assert session(path).energy_j is None


def test_without_a_meter_it_is_said_why(tmp_path: Path) -> None:
    total = RunCost().total(0)
    assert total.energy_j is not None or total.energy_source.startswith("not measured: ")


@pytest.mark.parametrize(
    "sessions",
    [
        7,
        {},
        [3],
        [{"odd": 1}],
        [{"started": "2026-01-01T00:00:00+00:00"}],
        [WHOLE, {**WHOLE, "seconds": -1}],
        [{**WHOLE, "seconds": "1.5"}],
        [{**WHOLE, "cpu_seconds": True}],
        [{**WHOLE, "energy_j": [1]}],
        [{**WHOLE, "ended": "odd"}],
        [{**WHOLE, "started": "yesterday"}],
    ],
)
def test_strange_sessions_are_refused(tmp_path: Path, sessions: object) -> None:
    (tmp_path / FILE).write_text(json.dumps({"schema": cost.SCHEMA, "sessions": sessions}))
    with pytest.raises(RunError, match="must list the sessions"):
        read_sessions(tmp_path / FILE)
