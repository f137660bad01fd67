"""The journal: exact, append-only, tolerant of a torn end and of nothing else."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlprune.errors import RunError
from rlprune.evaluation.quality import Quality
from rlprune.experiments.runs.journal import FILE, Evaluation, Journal, read_journal
from rlprune.support.records import as_record

FIRST, SECOND = (8, 16), (16, 0)  # the second drops a block
MEASURED = Quality(0.1 + 0.2, 1e-17, 32), 0.25


def written(folder: Path, *plans: tuple[int, ...]) -> Path:
    journal = Journal(folder)
    memory = journal.memory_of("ddpg")
    for plan in plans:
        assert memory.recall([plan]) == []
        memory.record(plan, MEASURED)
    journal.close()
    return folder / FILE


def test_what_was_recorded_is_recalled_to_the_last_bit(tmp_path: Path) -> None:
    written(tmp_path, FIRST, SECOND)
    journal = Journal(tmp_path)
    assert len(read_journal(tmp_path)[0]) == 2
    memory = journal.memory_of("ddpg")
    assert memory.recall([FIRST]) == [MEASURED]
    assert memory.recall([SECOND, (32, 32)]) == [MEASURED]
    assert memory.recall([(32, 32)]) == []


@given(score=st.floats(allow_infinity=False), divergence=st.floats(0, 1e6), at=st.floats(0, 2e9))
def test_any_number_survives(score: float, divergence: float, at: float) -> None:
    entry = Evaluation.of("ddpg", FIRST, (Quality(score, divergence, 7), at), at, at)
    again = as_record(json.loads(entry.line()), Evaluation)
    if math.isnan(score):
        assert math.isnan(again.measured[0].score)
    else:
        assert again == entry


def test_methods_do_not_see_each_others_evaluations(tmp_path: Path) -> None:
    written(tmp_path, FIRST)
    assert Journal(tmp_path).memory_of("random").recall([FIRST]) == []


def test_time_goes_on_where_it_stood(tmp_path: Path) -> None:
    path = written(tmp_path, FIRST, SECOND)
    lines = path.read_text().splitlines()
    late = [json.loads(line) | {"elapsed": 100.0 * place, "time": place} for place, line in enumerate(lines[1:], 1)]
    path.write_text("\n".join([lines[0], *map(json.dumps, late)]) + "\n")
    memory = Journal(tmp_path).memory_of("ddpg")
    assert memory.clock() == 0
    memory.recall([FIRST])
    assert (memory.clock(), memory.wall_time()) == (100.0, 1)
    memory.recall([SECOND])
    assert 200 < memory.clock() < 210
    assert memory.wall_time() > 1e9


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_half_line_at_the_end_is_dropped(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path, FIRST, SECOND)
    path.write_bytes(path.read_bytes()[:-cut])
    journal = Journal(tmp_path)
    memory = journal.memory_of("ddpg")
    assert memory.recall([FIRST, SECOND]) == [MEASURED]
    memory.record(SECOND, MEASURED)
    journal.close()
    assert len(read_journal(tmp_path)[0]) == 2


@pytest.mark.parametrize("size", [0, 1, 20])
def test_even_the_first_line_may_be_torn(tmp_path: Path, size: int) -> None:
    path = written(tmp_path, FIRST)
    path.write_bytes(path.read_bytes()[:size])
    assert len(read_journal(tmp_path)[0]) == 0
    assert len(written(tmp_path, FIRST).read_text().splitlines()) == 2


def test_a_search_that_does_not_repeat_itself_is_refused(tmp_path: Path) -> None:
    written(tmp_path, FIRST)
    with pytest.raises(RunError, match=r"number 1 of ddpg was of \[8, 16\] and now is of \[16, 0\].*start a new run"):
        Journal(tmp_path).memory_of("ddpg").recall([SECOND])


@pytest.mark.parametrize(
    "line",
    ["{}", "[]", "3", "{", '{"search": "ddpg", "plan": ["8"]}', "NaN", "\xff"],
)
def test_a_line_that_is_none_is_refused(tmp_path: Path, line: str) -> None:
    path = written(tmp_path, FIRST)
    path.write_bytes(path.read_bytes() + line.encode("latin-1") + b"\n")
    with pytest.raises(RunError, match="is not the journal of a run"):
        Journal(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("plan", [-1]),
        ("plan", [True]),
        ("plan", [1.5]),
        ("plan", 8),
        ("score", "1"),
        ("score", 1e999),
        ("samples", -1),
        ("seconds", -1),
        ("elapsed", None),
        ("time", {}),
    ],
)
def test_a_value_that_is_none_is_refused(tmp_path: Path, name: str, value: object) -> None:
    path = written(tmp_path, FIRST)
    entry = json.loads(path.read_text().splitlines()[1]) | {name: value}
    path.write_text(path.read_text() + json.dumps(entry) + "\n")
    with pytest.raises(RunError, match="is not the journal of a run"):
        Journal(tmp_path)


def test_another_file_of_the_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"schema": "other"}\n')
    with pytest.raises(RunError, match="schema"):
        Journal(tmp_path)
    assert (tmp_path / FILE).read_text() == '{"schema": "other"}\n'


def test_a_folder_that_vanished_is_noticed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    (tmp_path / FILE).unlink()
    with pytest.raises(RunError, match="Cannot write"):
        journal.memory_of("ddpg").record(FIRST, MEASURED)
