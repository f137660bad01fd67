"""Bars: what a log holds of them, and that a terminal gets a bar."""

from __future__ import annotations

import io
import sys
from itertools import count

import pytest

from rlprune.support import progress
from rlprune.support.progress import Bar, counted


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for the time finds that a second has passed."""
    ticks = count()
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(ticks)))


def test_a_log_gets_a_line_every_ten_seconds_and_the_true_end(
    seconds: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with Bar("time 80 plans", 60, unit="rounds") as bar:
        for number in range(1, 101):
            bar.step("" if number < 60 else "two halves differ by 4.0%, 3.0% wanted")
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert shown.out == ""
    assert "\r" not in shown.err
    assert 9 <= len(lines) <= 12
    assert " of 60 rounds in " in lines[0]
    assert lines[0].endswith(" s left")
    assert lines[-1].startswith("time 80 plans: 100 rounds in ")
    assert lines[-1].endswith("4.0%, 3.0% wanted")


@pytest.mark.parametrize(
    ("total", "steps", "end"),
    [(3, 3, "count: 3 of 3 in 0 s\n"), (None, 2, "count: 2 in 0 s\n"), (3, 1, "count: 1 of 3 in 0 s\n")],
)
def test_a_quick_bar_is_one_line(total: int | None, steps: int, end: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Bar("count", total) as bar:
        for _ in range(steps):
            bar.step()
    assert capsys.readouterr().err == end


def test_what_was_broken_off_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), Bar("count", 3, done=1) as bar:  # noqa: PT012
        bar.step()
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "count: 2 of 3 in 0 s, stopped\n"


def test_a_hidden_bar_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar("count", 1, hidden=True) as bar:
        bar.step()
    assert capsys.readouterr() == ("", "")


def test_items_pass_through(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(counted([1, 2], "items")) == [1, 2]
    assert list(counted(iter("ab"), "letters")) == ["a", "b"]
    assert [line.partition(" in ")[0] for line in capsys.readouterr().err.splitlines()] == [
        "items: 2 of 2",
        "letters: 2",
    ]


def test_a_terminal_gets_a_bar_whose_total_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Bar("time", 2, unit="rounds", stays=True) as bar:
        for _ in range(3):
            bar.step("wanted")
    shown = terminal.getvalue()
    assert "\r" in shown
    assert "0/2" in shown
    assert "3/3" not in shown
    assert "3 rounds" in shown
