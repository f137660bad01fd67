"""The run folder: whole or not there, one owner at a time, and what it says about how the run stands."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rlprune.errors import RunError
from rlprune.experiments.runs.free_folder import check_free
from rlprune.experiments.runs.run_folder import RunFolder
from rlprune.experiments.settings.verb_configs import TrainConfig

HOLD = """
import sys, time
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.experiments.runs.run_folder import RunFolder
with RunFolder.create(sys.argv[1], TrainConfig(), "rlprune train", {}) as run:
    print("held", flush=True)
    time.sleep(60)
"""


def status(path: Path) -> str:
    return str(json.loads((path / "status.json").read_text())["status"])


def finish(path: Path) -> None:
    with RunFolder.create(path, TrainConfig(), "rlprune train", {}):
        pass


def test_the_status_tells_how_a_run_ended(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(ZeroDivisionError), RunFolder.create(path, TrainConfig(), "rlprune train", {}):  # noqa: PT012
        assert status(path) == "running"
        raise ZeroDivisionError
    assert status(path) == "failed"
    with pytest.raises(RunError, match=rf"not complete \(failed\). Continue it: rlprune train --resume {path}"):
        RunFolder.open(path)
    with pytest.raises(KeyboardInterrupt), RunFolder.resume(path):
        raise KeyboardInterrupt
    with pytest.raises(RunError, match=r"not complete \(interrupted\)"):
        RunFolder.open(path)
    with RunFolder.resume(path) as run:
        assert run.path == path
    assert RunFolder.open(path, "config.yaml").path == path
    with pytest.raises(RunError, match=r"has no result\.json"):
        RunFolder.open(path, "result.json")
    with pytest.raises(RunError, match=r"another run \(complete\)"), RunFolder.create(path, TrainConfig(), "", {}):
        pass
    with pytest.raises(RunError, match="is complete: nothing is left to do"), RunFolder.resume(path):
        pass


def test_no_run_is_continued_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run folder"), RunFolder.resume(tmp_path / "nowhere"):
        pass
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("content", ['{"schema": "rlprune-run/1", "status": "odd"}', '{"schema": "other"}', "[]", "{"])
def test_a_strange_status_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "status.json").write_text(content)
    for opened in (RunFolder.open, lambda path: RunFolder.resume(path).__enter__()):
        with pytest.raises(RunError):
            opened(tmp_path)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with RunFolder.create(path, TrainConfig(), "rlprune train", {}):
        with pytest.raises(RunError, match=f"is in use by process {os.getpid()} on"), RunFolder.resume(path):
            pass
        assert status(path) == "running"
    assert status(path) == "complete"


def test_the_lock_of_a_killed_process_is_stale(tmp_path: Path) -> None:
    path = tmp_path / "run"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RunError, match=f"in use by process {holder.pid}"), RunFolder.resume(path):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (path / ".lock").exists()
    with pytest.raises(RunError, match="still running, or was killed"):
        RunFolder.open(path)
    with RunFolder.resume(path):
        assert status(path) == "running"
    assert status(path) == "complete"


def test_who_comes_second_leaves_the_run_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run"
    with RunFolder.create(path, TrainConfig(), "first", {}):
        with monkeypatch.context() as patch:  # it looked before the first one began
            patch.setattr("rlprune.experiments.runs.run_folder.check_free", lambda _: None)
            with (
                pytest.raises(RunError, match="Cannot write"),
                RunFolder.create(path, TrainConfig(seed=3), "second", {}),
            ):
                pass
        assert (path / "command.txt").read_text().strip() == "first"
        assert status(path) == "running"
    assert [item.name for item in tmp_path.iterdir()] == ["run"]


def test_many_may_look_for_folders_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: check_free(tmp_path / "members" / str(number % 3)), range(400)))
    assert list(tmp_path.iterdir()) == []


def test_what_was_left_half_written_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(ZeroDivisionError), RunFolder.create(path, TrainConfig(), "", {}):
        raise ZeroDivisionError
    (path / "plans").mkdir()
    for name in (".plan.json.abc123", "plans/.ddpg.json.x1"):
        (path / name).write_text('{"half": ')
    with RunFolder.resume(path):
        assert sorted(item.name for item in path.rglob(".*")) == [".lock"]


def test_a_folder_that_vanishes_is_told_of_and_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "run"
    vanished = pytest.raises(RunError, match="removed or replaced while the run")
    with vanished, RunFolder.create(path, TrainConfig(), "", {}) as run:
        shutil.rmtree(path)
        run.write_text("report.md", "text")
    assert not path.exists()


def test_another_folder_of_the_name_is_not_written_into(tmp_path: Path) -> None:
    path = tmp_path / "run"
    replaced = pytest.raises(RunError, match="removed or replaced")
    with replaced, RunFolder.create(path, TrainConfig(), "", {}) as run:
        path.rename(tmp_path / "moved")
        path.mkdir()
        run.write_text("report.md", "text")
    assert list(path.iterdir()) == []


def test_a_run_appears_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "rename", lambda *_: time.sleep(0) or (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        finish(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_that_is_there_becomes_the_run(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    finish(tmp_path / "run")
    assert status(tmp_path / "run") == "complete"
    assert not [item for item in tmp_path.iterdir() if item.name != "run"]
