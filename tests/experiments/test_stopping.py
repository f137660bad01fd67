"""Runs that are stopped, or whose disk fails: what was found stays, and what to do is said in one line."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rlprune.experiments.tensorboard.events import EpisodeWriter
from rlprune.plans.plan import PruningPlan
from tests.experiments.conftest import QUICK, TINY, Call, Called, Train, call

PROGRAM = (sys.executable, "-m", "rlprune.experiments.cli")
LONG = ("train", *TINY, *QUICK, "--episodes", "4000", "--baselines", "[]", "--agent", "random")


def broken_off(monkeypatch: pytest.MonkeyPatch, after: int, reason: BaseException, train: Train, out: str) -> Called:
    """A training in which ``reason`` is raised after so many episodes."""
    add, count = EpisodeWriter.add, 0

    def failing(self: EpisodeWriter, *arguments: Any, **named: Any) -> None:
        nonlocal count
        count += 1
        if count > after:
            raise reason
        add(self, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(EpisodeWriter, "add", failing)
        return train(out)


def status(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "status.json").read_text())
    return found


def one_line(called: Called) -> str:
    assert "Traceback" not in called.err
    assert len(called.errors) == 1, called.err
    return called.errors[0]


def test_ctrl_c_keeps_the_best_plan_and_names_what_continues(
    here: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = broken_off(monkeypatch, 18, KeyboardInterrupt(), train, "stopped")
    assert called.code == 130
    line = one_line(called)
    assert "rlprune: interrupted. Best plan so far: stopped/plan.json, of " in line
    assert line.endswith(f"Continue with: rlprune train --resume stopped {' '.join(TINY[:4])}")
    plan = PruningPlan.load("stopped/plan.json")
    assert plan.notes["interrupted"] is True
    assert status(here / "stopped")["status"] == "interrupted"
    assert call("train", *TINY, *QUICK, "--out", "whole").code == 0
    assert call("train", *TINY[:4], "--resume", "stopped").code == 0
    for name in ("plan.json", "policy.safetensors"):
        assert (here / "stopped" / name).read_bytes() == (here / "whole" / name).read_bytes()
    assert "interrupted" not in PruningPlan.load("stopped/plan.json").notes


def test_the_plan_of_a_stopped_run_can_be_applied(here: Path, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_off(monkeypatch, 3, KeyboardInterrupt(), train, "early")
    applied = call("apply", "early/plan.json", *TINY[:4], "--device", "cpu:torch", "--samples", "5", "--out", "cut")
    assert applied.code == 0, applied.err


def test_ctrl_c_before_the_first_episode_names_what_continues(
    here: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = broken_off(monkeypatch, 0, KeyboardInterrupt(), train, "first")
    assert one_line(called).startswith("rlprune: interrupted. Continue with: rlprune train --resume first")
    assert not (here / "first" / "plan.json").exists()


def test_ctrl_c_before_there_is_a_run_leaves_nothing(here: Path, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rlprune.experiments.pipeline.training.load_material", stop)
    called = train("nothing")
    assert (called.code, one_line(called)) == (130, "rlprune: interrupted.")
    assert not (here / "nothing").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_signals_stop_a_run_cleanly(here: Path, tmp_path: Path, number: signal.Signals) -> None:
    run = tmp_path / "run"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*PROGRAM, *LONG, "--out", str(run)], stderr=subprocess.PIPE, text=True, env=environment, cwd=here
    )
    deadline = time.monotonic() + 300
    while _lines(run / "evaluations.jsonl") < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert f"Continue with: rlprune train --resume {run}" in err
    assert "Traceback" not in err
    assert status(run)["status"] == "interrupted"
    assert PruningPlan.load(run / "plan.json").decisions


def _lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


def test_resuming_takes_no_other_settings(here: Path, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_off(monkeypatch, 2, KeyboardInterrupt(), train, "own-settings")
    called = call("train", *TINY[:4], "--resume", "own-settings", "--episodes", "13", "--budget", "macs=0.5")
    assert called.code == 2
    assert "--budget, --episodes came beside --resume" in one_line(called)
    called = call("search", *TINY[:4], "--resume", "own-settings", "--method", "tpe")
    assert called.code == 2
    assert "--method came beside --resume" in one_line(called)
    assert status(here / "own-settings")["status"] == "interrupted"
    assert call("search", *TINY[:4], "--resume", "own-settings").code == 0


def test_a_run_does_not_choose_whose_code_is_run(here: Path, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_off(monkeypatch, 2, KeyboardInterrupt(), train, "code")
    called = call("train", "--resume", "code")
    assert called.code == 2
    assert "If you trust that code, add --network tiny_networks:network" in one_line(called)
    called = call("train", "--resume", "code", "--network", "tiny_networks:wider")
    assert called.code == 2
    assert "its network is tiny_networks:network, tiny_networks:wider came" in one_line(called)
    assert status(here / "code")["status"] == "interrupted"


def test_a_complete_run_has_nothing_to_continue(here: Path, trained: Any) -> None:
    before = (trained.path / "status.json").read_bytes()
    called = call("train", *TINY[:4], "--resume", trained.path)
    assert called.code == 2
    assert "is complete: nothing is left to do" in one_line(called)
    assert (trained.path / "status.json").read_bytes() == before


def test_a_journal_of_other_code_is_refused(here: Path, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_off(monkeypatch, 6, KeyboardInterrupt(), train, "other-code")
    journal = here / "other-code" / "evaluations.jsonl"
    lines = journal.read_text().splitlines()
    entry = json.loads(lines[2])
    entry["plan"] = [2, 2, 2, 2]
    journal.write_text("\n".join([*lines[:2], json.dumps(entry), *lines[3:]]) + "\n")
    called = call("train", *TINY[:4], "--resume", "other-code")
    assert called.code == 2
    assert "goes on where its search repeats itself" in one_line(called)


def test_a_run_of_which_the_folder_is_removed_says_so(
    here: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = EpisodeWriter.add

    def removing(self: EpisodeWriter, *arguments: Any, **named: Any) -> None:
        shutil.rmtree("removed", ignore_errors=True)
        add(self, *arguments, **named)

    monkeypatch.setattr(EpisodeWriter, "add", removing)
    called = train("removed")
    assert called.code == 2
    assert "removed" in one_line(called)
    assert not (here / "removed").exists()


@pytest.mark.parametrize("kilobytes", [16, *(pytest.param(size, marks=pytest.mark.slow) for size in (1, 4, 60))])
def test_a_full_disk_is_one_error_and_the_run_goes_on_later(here: Path, tmp_path: Path, kilobytes: int) -> None:
    """Files may not grow beyond a limit, which fails as a full disk does, wherever it strikes first."""
    run, limit = tmp_path / "run", kilobytes * 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        called = call("train", *TINY, *QUICK, "--episodes", "40", "--out", run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert called.code == 2, called.err
    assert "Make room" in one_line(called)
    for path in run.rglob("*.json"):
        json.loads(path.read_text())
    assert not [path for path in run.rglob(".*.*") if path.is_file()]
    assert call("train", *TINY[:4], "--resume", run).code == 0
    assert call("report", run).code == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_becomes_read_only_is_one_error(
    here: Path, train: Train, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_off(monkeypatch, 2, KeyboardInterrupt(), train, "read-only")
    (here / "read-only").chmod(0o500)
    called = call("train", *TINY[:4], "--resume", "read-only")
    (here / "read-only").chmod(0o700)
    assert called.code == 2
    assert "Cannot" in one_line(called)
