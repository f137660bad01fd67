"""A run that is killed at any moment and continued ends as the run that nobody broke off."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.conftest import content

TINY = ("--network", "tiny_networks:network", "--task", "tiny_networks:task", "--samples", "32", "--multiple", "2")
PROFILED = ("--device", "synthetic:gpu", "--budget", "latency=0.6", "--profile-plans", "16", "--profile-checks", "4")
SHORT = ("--profile-samples", "20", "--episodes", "12", "--finalists", "2", "--baselines", "evolutionary")
MOMENTS = 24


class Server:
    """Runs commands in forked processes; see ``fork_server.py``.

    Attributes:
        seconds: that the last one took.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.seconds = folder, 0.0
        program = Path(__file__).with_name("fork_server.py")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._server = subprocess.Popen(
            [sys.executable, str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=environment,
        )

    def run(self, *arguments: object, kill_after: float | None = None, **die: Any) -> tuple[int, int]:
        """Exit code, -9 where the process was killed, and how many writes it made."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        order = {"arguments": [str(item) for item in arguments], "stderr": str(self.folder / "stderr.txt"), **die}
        print(json.dumps(order), file=self._server.stdin, flush=True)
        process = int(self._server.stdout.readline())
        started = time.monotonic()
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):  # it was faster
                os.kill(process, signal.SIGKILL)
        code, writes = map(int, self._server.stdout.readline().split())
        self.seconds = time.monotonic() - started
        return code, writes

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(60)


@pytest.fixture(scope="module")
def server(workplace: Path) -> Iterator[Server]:
    server = Server(workplace)
    yield server
    server.close()


def command(out: str, *more: object) -> tuple[object, ...]:
    return ("train", *TINY, *PROFILED, *SHORT, "--out", out, *more)


def finish(server: Server, out: str, *more: object) -> None:
    """Continue the run; where it was killed before it had a folder, begin it again."""
    again = ("train", *TINY[:4], "--resume", out) if (server.folder / out).exists() else command(out, *more)
    code, _ = server.run(*again)
    assert code == 0, (server.folder / "stderr.txt").read_text()


def content_and_choice(run: Path) -> dict[str, Any]:
    """The same, with the finalists and the counts of the searches."""
    result = json.loads((run / "result.json").read_text())
    searches = {
        name: {key: value for key, value in search.items() if "seconds" not in key}
        for name, search in result["searches"].items()
    }
    return {**content(run), "finalists": result["finalists"], "searches": searches}


def steps(run: Path) -> dict[str, dict[str, list[int]]]:
    """Steps of the curves of each method in TensorBoard."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for folder in sorted((run / "tensorboard").iterdir()):
        events = EventAccumulator(str(folder))
        events.Reload()
        tags = events.Tags()["scalars"]
        assert tags
        found[folder.name] = {tag: [event.step for event in events.Scalars(tag)] for tag in tags}
    return found


def hparams(run: Path) -> list[str]:
    """The settings that TensorBoard shows of the agent."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    events = EventAccumulator(str(run / "tensorboard" / "ddpg-seed0"))
    events.Reload()
    data = HParamsPluginData.FromString(events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content)
    return sorted(f"{name} {value}" for name, value in data.session_start_info.hparams.items())


@pytest.fixture(scope="module")
def unbroken(server: Server) -> dict[str, Any]:
    code, writes = server.run(*command("unbroken"))
    assert code == 0, (server.folder / "stderr.txt").read_text()
    seconds = server.seconds
    run = server.folder / "unbroken"
    return {"content": content_and_choice(run), "steps": steps(run), "writes": writes, "seconds": seconds}


@pytest.mark.slow
def test_two_runs_of_one_seed_are_equal(server: Server, unbroken: dict[str, Any]) -> None:
    code, _ = server.run(*command("again"))
    assert code == 0
    assert content_and_choice(server.folder / "again") == unbroken["content"]


@pytest.mark.slow
def test_another_seed_gives_another_run(server: Server, unbroken: dict[str, Any]) -> None:
    code, _ = server.run(*command("other", "--seed", 1))
    assert code == 0
    other = content_and_choice(server.folder / "other")
    assert other["episodes-ddpg.csv"] != unbroken["content"]["episodes-ddpg.csv"]
    assert other["policy.safetensors"] != unbroken["content"]["policy.safetensors"]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["half", "after"])
def test_a_run_that_died_in_its_search_goes_on(server: Server, unbroken: dict[str, Any], where: str) -> None:
    out, die = f"search-{where}", int(0.7 * unbroken["writes"])
    assert server.run(*command(out), die=die, where=where)[0] == -signal.SIGKILL
    before = (server.folder / out / "evaluations.jsonl").read_text().count("\n")
    finish(server, out)
    assert content_and_choice(server.folder / out) == unbroken["content"]
    assert steps(server.folder / out) == unbroken["steps"]
    assert before > 1
    assert hparams(server.folder / out) == hparams(server.folder / "unbroken")
    sessions = json.loads((server.folder / out / "sessions.json").read_text())["sessions"]
    assert [session["ended"] for session in sessions] == ["killed", "complete"]
    assert json.loads((server.folder / out / "result.json").read_text())["cost"]["sessions"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(MOMENTS))
def test_killed_at_any_moment_and_continued(server: Server, unbroken: dict[str, Any], moment: int) -> None:
    """Every second one dies at a write: before it, after it, halfway; the others whenever the time has come."""
    draw = random.Random(moment)
    out = f"moment-{moment}"
    code = 0
    while code != -signal.SIGKILL:
        if moment % 2:
            die, where = draw.randint(1, unbroken["writes"]), draw.choice(("before", "half", "after"))
            code, _ = server.run(*command(out), die=die, where=where)
        else:
            code, _ = server.run(*command(out), kill_after=draw.uniform(0, unbroken["seconds"]))
        if code == 0:  # it was faster than its moment: once more
            os.rename(server.folder / out, server.folder / f"{out}-was-faster-{draw.random()}")
    if moment % 5 == 0 and (server.folder / out).exists():
        server.run("train", *TINY[:4], "--resume", out, kill_after=draw.uniform(0, unbroken["seconds"]))
    if (server.folder / out / "status.json").exists() and _status(server.folder / out) == "complete":
        pass  # killed after its last write
    else:
        finish(server, out)
    assert content_and_choice(server.folder / out) == unbroken["content"]
    assert steps(server.folder / out) == unbroken["steps"]
    assert not [path for path in (server.folder / out).rglob(".*.*") if path.is_file()]


def _status(run: Path) -> str:
    return str(json.loads((run / "status.json").read_text())["status"])


@pytest.mark.slow
def test_several_processes_find_the_same_and_go_on_too(server: Server, unbroken: dict[str, Any]) -> None:
    out = "workers"
    code, _ = server.run(*command(out, "--workers", 2), die=int(0.8 * unbroken["writes"]))
    assert code == -signal.SIGKILL
    finish(server, out)
    assert content_and_choice(server.folder / out) == unbroken["content"]
