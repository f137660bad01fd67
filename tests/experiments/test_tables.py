"""Tables in a pipe are whole, however wide."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rlprune.experiments.runs.tables import print_table

BENCHMARKS = Path(__file__).parents[2] / "experiments" / "benchmarks"


def test_nothing_of_a_table_in_a_pipe_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    heads = [f"a rather long head, number {number}" for number in range(12)]
    cells = [["x" * 90, *(str(10**20 + number) for number in range(11))]]
    print_table("wide", heads, cells)
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert all(text in shown for text in [*heads, *cells[0]])


def test_benchmarks_have_no_tables_of_their_own() -> None:
    own = [path.name for path in BENCHMARKS.glob("*.py") if re.search(r"\bConsole\(", path.read_text())]
    assert own == []
