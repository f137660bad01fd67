"""``rlprune sweep``: what is missing is run, nothing twice, and whatever stops it, it goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from rlprune.errors import RunError
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.sweeping.folder import StudyFolder
from rlprune.experiments.sweeping.turns import PoliteProgress, Turns
from tests.experiments.conftest import content

SETTINGS = {
    "network": "tiny_networks:network",
    "task": "tiny_networks:task",
    "device": "profile.json",
    "budget": "latency=0.6",
    "samples": 32,
    "multiple": 2,
    "episodes": 12,
    "finalists": 2,
    "baselines": [],
}


def write_study(here: Path, over: dict[str, Any], **settings: Any) -> str:
    common = {name: value for name, value in {**SETTINGS, **settings}.items() if name not in over}
    (here / "tiny.yaml").write_text(yaml.safe_dump({"settings": common, "over": over}, sort_keys=False))
    return "tiny.yaml"


def states(called: Any) -> dict[str, str]:
    return {member["name"]: member["state"] for member in called.json["members"]}


def stamps(out: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in (out / "members").rglob("*") if path.is_file()}


def log_of(out: Path, name: str) -> str:
    return (out / "logs" / f"{name}.txt").read_text(errors="replace")


def test_a_dry_run_writes_nothing(here: Path, call: Any) -> None:
    study = write_study(here, {"seed": [0, 1], "device": ["synthetic:gpu", "profile.json"]})
    called = call("sweep", study, "--out", "dry", "--dry-run", "--json")
    assert called.code == 0
    names = ("seed0-synthetic.gpu", "seed0-profile", "seed1-synthetic.gpu", "seed1-profile")
    assert states(called) == dict.fromkeys(names, "missing")
    assert called.json["counts"] == {"complete": 0, "failed": 0, "interrupted": 0, "missing": 4}
    assert len({member["missing_profile"] for member in called.json["members"]} - {None}) == 1
    assert not (here / "dry").exists()
    shown = call("sweep", study, "--out", "dry", "--dry-run").out
    assert "To be measured first: dry/profiles/tiny_networks.network-synthetic.gpu-" in shown


@pytest.mark.slow
def test_members_are_run_once_and_failures_stop_nobody(here: Path, call: Any) -> None:
    """One study: run, run again, tried again, extended, changed."""
    (here / "mortal.py").write_text("import os\n\n\ndef network():\n    os.kill(os.getpid(), 9)\n")
    networks, out = ["tiny_networks:fails", "mortal:network", "tiny_networks:network"], here / "flow"
    study = write_study(here, {"network": networks, "seed": [0]})
    arguments = ("sweep", study, "--out", out, "--processes", 2)
    first = call(*arguments, "--json")
    bad, dead, good = "tiny_networks.fails-seed0", "mortal.network-seed0", "tiny_networks.network-seed0"
    assert first.code == 1, first.err
    assert states(first) == {bad: "failed", dead: "failed", good: "complete"}
    assert "the disk is on fire" in first.json["members"][0]["error"]
    assert "the disk is on fire" in log_of(out, bad)
    assert first.json["members"][1]["error"] == "ended by SIGKILL (out of memory?)"
    assert first.json["comparison"]["sections"][0]["runs"] == [str(out / "members" / good)]
    assert (out / "comparison" / "compare.md").is_file()

    before = stamps(out)
    again = call(*arguments)
    assert again.code == 1
    assert f"Failed: {bad}: " in again.out
    assert "1 complete, 2 failed" in again.out
    assert stamps(out) == before
    assert log_of(out, bad).count("--- train") == 1

    write_study(here, {"network": [networks[0], networks[2]], "seed": [0, 1]})
    text = yaml.safe_load((here / study).read_text()) | {"except": [{"network": networks[0], "seed": 1}]}
    (here / study).write_text(yaml.safe_dump(text, sort_keys=False))
    more = call(*arguments, "--retry", "--json")
    assert states(more) == {bad: "failed", good: "complete", "tiny_networks.network-seed1": "complete"}
    assert log_of(out, bad).count("--- train") == 2
    assert {path: stamp for path, stamp in stamps(out).items() if "seed1" not in path} == before
    section = more.json["comparison"]["sections"][0]
    assert len(section["runs"]) == 2

    write_study(here, {"network": networks[2:], "seed": [0]}, episodes=13)
    changed = call(*arguments)
    assert changed.code == 2
    assert f"{out}/members/{good} and the study differ: episodes 12 and 13" in changed.err


@pytest.mark.slow
def test_two_processes_find_what_one_run_finds(here: Path, call: Any) -> None:
    study = write_study(here, {"seed": [0, 1]})
    assert call("sweep", study, "--out", "pair", "--processes", 2).code == 0
    flags = [item for name, value in SETTINGS.items() for item in (f"--{name}", str(value))]
    for seed in (0, 1):
        assert call("train", *flags, "--seed", seed, "--out", f"alone-{seed}").code == 0
        assert content(here / "pair" / "members" / f"seed{seed}") == content(here / f"alone-{seed}")


@pytest.mark.slow
def test_a_measured_profile_is_shared(here: Path, call: Any) -> None:
    settings = {"profile_plans": 16, "profile_checks": 4, "profile_samples": 20, "budget": "latency=0.9"}
    study = write_study(here, {"device": ["synthetic:gpu"], "agent": ["random", "evolutionary"]}, **settings)
    called = call("sweep", study, "--out", "shared", "--processes", 2, "--json")
    assert called.code == 0, called.err
    (profile,) = (here / "shared" / "profiles").glob("*.json")
    for name in states(called):
        run = json.loads((here / "shared" / "members" / name / "profile.json").read_text())
        assert run == json.loads(profile.read_text())
    assert call("sweep", study, "--out", "shared").code == 0


@pytest.mark.slow
def test_members_of_a_profile_that_cannot_be_measured_fail(here: Path, call: Any) -> None:
    study = write_study(here, {"network": ["tiny_networks:not_exportable"], "device": ["cpu"], "seed": [0]})
    called = call("sweep", study, "--out", "unmeasured", "--json")
    assert called.code == 1
    assert "its profile could not be measured" in called.json["members"][0]["error"]
    assert not (here / "unmeasured" / "members").exists()


class Sweeping:
    """A sweep in a process, to be stopped."""

    def __init__(self, here: Path, study: str, out: Path) -> None:
        command = [
            sys.executable,
            "-m",
            "rlprune.experiments.cli",
            "sweep",
            study,
            "--out",
            str(out),
            "--processes",
            "2",
        ]
        self.out, self.stderr = out, (here / "sweep-stderr.txt").open("w+")
        self.process = subprocess.Popen(command, cwd=here, stdout=subprocess.DEVNULL, stderr=self.stderr)

    def searching(self, beyond: int) -> None:
        """Wait until members have evaluated more than so many plans in all."""
        until = time.monotonic() + 120
        while self.evaluations() <= beyond:
            assert time.monotonic() < until
            assert self.process.poll() is None, self.said()
            time.sleep(0.01)

    def evaluations(self) -> int:
        return sum(path.read_text().count("\n") for path in self.out.glob("members/*/evaluations.jsonl"))

    def ends(self, code: int) -> None:
        assert self.process.wait(180) == code, self.said()

    def said(self) -> str:
        self.stderr.seek(0)
        return self.stderr.read()


@pytest.mark.slow
def test_a_sweep_that_is_killed_and_interrupted_goes_on(here: Path, call: Any) -> None:
    study, out = write_study(here, {"seed": [0, 1]}, episodes=150), here / "stopped"
    killed = Sweeping(here, study, out)
    killed.searching(beyond=4)
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.ends(-signal.SIGKILL)

    interrupted = Sweeping(here, study, out)  # it waits until the members of the first one have ended
    interrupted.searching(beyond=killed.evaluations() + 10)
    interrupted.process.send_signal(signal.SIGINT)
    interrupted.ends(130)
    assert f"members are done. Continue with: rlprune sweep {study} --out {out}" in interrupted.said()
    told = states(call("sweep", study, "--out", out, "--dry-run", "--json"))
    assert "interrupted" in told.values()
    with StudyFolder(out).locked(Progress()):  # no process of it is left
        pass

    assert call("sweep", study, "--out", out, "--processes", 2).code == 0
    flags = [item for name, value in {**SETTINGS, "episodes": 150}.items() for item in (f"--{name}", str(value))]
    assert call("train", *flags, "--seed", 1, "--out", "unbroken-1").code == 0
    assert content(out / "members" / "seed1") == content(here / "unbroken-1")
    assert json.loads((out / "members" / "seed1" / "result.json").read_text())["cost"]["sessions"] >= 2


def test_a_study_that_is_worked_on_is_refused(here: Path, call: Any) -> None:
    study = write_study(here, {"seed": [0]})
    with StudyFolder(here / "busy").locked(Progress()):
        called = call("sweep", study, "--out", "busy")
    assert called.code == 2
    assert "One sweep at a time works on a study; busy is in use" in called.err
    assert f'"pid": {os.getpid()}' in called.err


def test_members_of_a_sweep_that_is_gone_are_waited_for(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    program = "import time; print('begun', flush=True); time.sleep(0.5)"
    with folder.locked(Progress()) as inherited:
        left = subprocess.Popen([sys.executable, "-c", program], pass_fds=[inherited], stdout=subprocess.PIPE)
        assert left.stdout is not None
        left.stdout.readline()
    assert left.poll() is None
    with folder.locked(Progress()):
        assert left.wait(1) == 0


def test_a_folder_that_holds_something_else_is_refused(here: Path, call: Any) -> None:
    study, path = write_study(here, {"seed": [0]}), here / "else" / "members" / "seed0" / "config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("network: [")
    called = call("sweep", study, "--out", "else")
    assert called.code == 2
    assert "else/members/seed0/config.yaml must be plain YAML" in called.err


def test_whoever_measures_is_alone_and_is_not_starved(tmp_path: Path) -> None:
    """Others compute again and again; one measures several times."""
    inside, worst, done = 0, 0, threading.Event()
    guard = threading.Lock()

    def compute() -> None:
        nonlocal inside
        while not done.is_set():
            with Turns(tmp_path).shared():
                with guard:
                    inside += 1
                time.sleep(0.002)
                with guard:
                    inside -= 1

    others = [threading.Thread(target=compute) for _ in range(3)]
    for other in others:
        other.start()
    turns = Turns(tmp_path)
    with turns.shared():
        progress = PoliteProgress(turns)
        for _ in range(5):
            with progress.phase("measure"):
                for _ in range(5):
                    worst = max(worst, inside)
                    time.sleep(0.002)
            with progress.phase("search"):
                time.sleep(0.002)
    done.set()
    for other in others:
        other.join(20)
        assert not other.is_alive()
    assert worst == 0
    assert progress.seconds.keys() == {"measure", "search"}


def test_a_process_gives_way_between_phases(tmp_path: Path) -> None:
    measured, turns = threading.Event(), Turns(tmp_path)

    def measure() -> None:
        other = Turns(tmp_path)
        with other.shared(), other.alone(), other.alone():
            other.give_way()  # to nobody: it has its turn
            measured.set()

    with turns.shared():
        waiting = threading.Thread(target=measure)
        waiting.start()
        assert not measured.wait(0.2)
        while not measured.is_set():
            with PoliteProgress(turns).phase("search"):
                time.sleep(0.001)
        waiting.join(20)
    assert not waiting.is_alive()


def test_locks_that_cannot_be_made_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="Cannot lock"), Turns(tmp_path / "file").shared():
        pass
