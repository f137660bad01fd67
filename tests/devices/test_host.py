"""What the machine is, and what else it does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rlprune.devices import host
from rlprune.devices.host import LoadWatch, current_load, usable_cores

TICKS = os.sysconf("SC_CLK_TCK")


def write(stat: Path, user: float, steal: float = 0.0, idle: float = 0.0) -> None:
    """Seconds that all cores together spent, as the kernel counts them."""
    fields = [user, 0, 0, idle, 0, 0, 0, steal, 0, 0]
    stat.write_text("cpu " + " ".join(str(int(field * TICKS)) for field in fields) + "\ncpu0 1 2 3\n")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Moment, and seconds that this process ran."""
    now = [0.0, 0.0]
    monkeypatch.setattr("rlprune.devices.host.time.monotonic", lambda: now[0])
    monkeypatch.setattr(host, "_own_seconds", lambda: now[1])
    return now


def test_other_load_is_what_ran_less_our_own(tmp_path: Path, clock: list[float]) -> None:
    stat = tmp_path / "stat"
    write(stat, user=100)
    with LoadWatch(stat) as watch:
        assert watch.other_load is None
        clock[:] = [10.0, 9.0]
        write(stat, user=114, steal=3, idle=50)
    assert watch.other_load == pytest.approx((14 + 3 - 9) / 10)


def test_rounding_never_makes_it_negative(tmp_path: Path, clock: list[float]) -> None:
    stat = tmp_path / "stat"
    write(stat, user=100)
    with LoadWatch(stat) as watch:
        clock[:] = [1.0, 1.1]
        write(stat, user=101)
    assert watch.other_load == 0.0


@pytest.mark.parametrize("content", [None, "", "cpu 1 2", "intr 1 2 3 4 5 6 7 8 9", "cpu a b c d e f g h"])
def test_without_counters_nothing_is_claimed(tmp_path: Path, content: str | None) -> None:
    stat = tmp_path / "stat"
    if content is not None:
        stat.write_text(content)
    with LoadWatch(stat) as watch:
        pass
    assert watch.other_load is None


def test_load_of_this_moment(tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    stat = tmp_path / "stat"
    write(stat, user=100)

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        write(stat, user=100 + 1.5 * seconds)

    monkeypatch.setattr("rlprune.devices.host.time.sleep", sleep)
    assert current_load(2.0, stat) == pytest.approx(1.5)
    assert current_load(2.0, tmp_path / "nothing") is None


def test_cores_of_this_process() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
