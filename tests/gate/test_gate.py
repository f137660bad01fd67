"""The comparison of recordings notices what differs, and nothing that a clock tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.gate.cases import Case, small_cases, whole_cases
from tests.gate.comparing import differences

CASE = Case("run", ("train",))
RESULT = {"winner": "ddpg", "rows": [{"score": 0.98, "latency_measured_ms": 0.1}], "seconds": {"load": 1.0}}
TABLE = "number,reward,seconds\n1,0.25,{}\n"


def recording(folder: Path, load: float = 1.0) -> Path:
    """A recording of one run, in which everything that a clock tells is ``load``."""
    run = folder / "runs" / CASE.name
    run.mkdir(parents=True)
    (folder / "answers").mkdir()
    answer(folder, 0, f"Tables: 3 of 3 in {load} s\nbest: reward 0.25\n")
    write(run / "result.json", {**RESULT, "seconds": {"load": load}})
    (run / "evaluations.jsonl").write_text(f'{{"schema": "x"}}\n{{"plan": [8, 16], "score": 0.5, "time": {load}}}\n')
    (run / "episodes-ddpg.csv").write_text(TABLE.format(load))
    (run / "versions.json").write_text(f'{{"commit": "{load}"}}')
    save_file({"weight": np.arange(4, dtype=np.float32)}, run / "policy.safetensors")
    events = run / "tensorboard" / "ddpg"
    events.mkdir(parents=True)
    (events / f"events.out.tfevents.{load}").write_bytes(b"")
    return folder


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


def answer(folder: Path, code: int, stderr: str) -> None:
    write(folder / "answers" / f"{CASE.name}.json", {"code": code, "stdout": "", "stderr": stderr})


def other_bit(run: Path) -> None:
    save_file({"weight": np.nextafter(np.arange(4, dtype=np.float32), 9)}, run / "policy.safetensors")


def other_last_digit(run: Path) -> None:
    write(run / "result.json", {**RESULT, "rows": [{"score": np.nextafter(0.98, 1.0), "latency_measured_ms": 0.1}]})


def other_plan(run: Path) -> None:
    text = (run / "evaluations.jsonl").read_text()
    (run / "evaluations.jsonl").write_text(text.replace("16", "24"))


def other_reward(run: Path) -> None:
    (run / "episodes-ddpg.csv").write_text(TABLE.replace("0.25", "0.26").format(2))


def one_row_less(run: Path) -> None:
    (run / "episodes-ddpg.csv").write_text(TABLE.splitlines()[0] + "\n")


CHANGES: list[tuple[Callable[[Path], Any], str]] = [
    (other_bit, "policy.safetensors: other bytes"),
    (other_last_digit, "result.json: /0/rows/0/score"),
    (other_plan, "evaluations.jsonl: /1/plan/1"),
    (other_reward, "episodes-ddpg.csv: /0/reward"),
    (one_row_less, "episodes-ddpg.csv: /0/number"),
    (lambda run: (run / "result.json").unlink(), "result.json: missing"),
    (lambda run: (run / "more.json").write_text("{}"), "more.json: not recorded"),
    (lambda run: answer(run.parent.parent, 2, "rlprune: no\n"), "exit code: 0 -> 2"),
    (lambda run: answer(run.parent.parent, 0, "Tables: 3 of 3 in 9 s\nbest: reward 0.5\n"), "stderr: best"),
]


def test_what_a_clock_tells_is_left_out(tmp_path: Path) -> None:
    assert differences(CASE, recording(tmp_path / "old"), recording(tmp_path / "new", 2.5)) == []


@pytest.mark.parametrize(("change", "told"), CHANGES)
def test_a_change_is_told(tmp_path: Path, change: Callable[[Path], Any], told: str) -> None:
    old, new = recording(tmp_path / "old"), recording(tmp_path / "new", 2.5)
    change(new / "runs" / CASE.name)
    found = differences(CASE, old, new)
    assert found
    assert found[0].startswith(told)


def test_a_measured_latency_is_left_out_only_where_it_is_measured(tmp_path: Path) -> None:
    old, new = recording(tmp_path / "old"), recording(tmp_path / "new")
    write(new / "runs" / "run" / "result.json", {**RESULT, "rows": [{"score": 0.98, "latency_measured_ms": 0.2}]})
    assert differences(CASE, old, new)
    assert not differences(Case("run", ("train",), measured=True), old, new)


@pytest.mark.parametrize("cases", [small_cases(), whole_cases()])
def test_what_a_case_needs_is_among_the_cases_and_needs_nothing_itself(cases: list[Case]) -> None:
    by_name = {case.name: case for case in cases}
    assert len(by_name) == len(cases)
    assert not any(by_name[name].needs for case in cases for name in case.needs)
