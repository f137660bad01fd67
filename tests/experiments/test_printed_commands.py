"""Every command that is printed runs as it stands, for networks of one's own and in folders with blanks too."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlprune.experiments.settings.options import changed_words
from rlprune.experiments.settings.verb_configs import TrainConfig
from tests.experiments.conftest import QUICK, TINY, Called, Trained, call, inside

RUN, BROKEN = "runs/it's mine", "runs/broken off"
PRINTED = re.compile(r"(?:^|(?<=: )|(?<=[`(]))(?:rlprune [a-z]+|tensorboard) [^`\n]*?(?=$|[`)])", re.M)
SHOWN = {"ddpg-seed0", "random-seed0", "uniform-seed0"}
NAMED = ["--network", "tiny_networks:network", "--task", "tiny_networks:task"]


@pytest.fixture(scope="module")
def place(workplace: Path, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workplace with a blank in its path, a finished run in it, and one that was broken off."""
    folder = tmp_path_factory.mktemp("with blanks") / "my networks"
    folder.mkdir()
    for name in ("tiny_networks.py", "profile.json"):
        shutil.copy(workplace / name, folder)
    with inside(folder):
        shutil.copytree(trained.path, RUN)
        shutil.copytree(trained.path, BROKEN)
        Path(BROKEN, "status.json").write_text('{"schema": "rlprune-run/1", "status": "interrupted"}')
        Path(BROKEN, "result.json").unlink()
        shown = call("report", RUN)
        assert shown.code == 0, shown.err
        (folder / "said.txt").write_text(shown.out)
        yield folder


def printed(text: str) -> list[str]:
    """The commands in a text, each once; what is no more than the name of a verb is none."""
    found = dict.fromkeys(match.strip() for match in PRINTED.findall(text))
    return [line for line in found if len(shlex.split(line)) > 2]


def run_as_printed(line: str) -> Called:
    words = shlex.split(line)
    assert shlex.join(words) == line, "a shell would read something else"
    return call(*words[1:])


def of_report(folder: Path) -> list[str]:
    return printed((folder / RUN / "report.md").read_text())


def test_a_report_holds_every_command_that_goes_on_with_its_run(place: Path) -> None:
    verbs = [line.split()[:2] for line in of_report(place)]
    assert [words[1] for words in verbs if words[0] == "rlprune"] == [
        *("train", "validate", "apply", "replay", "front", "report")
    ]
    assert of_report(place)[-1] == shlex.join(["tensorboard", "--logdir", f"{RUN}/tensorboard"])
    assert of_report(place)[-1] in printed((place / "said.txt").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["validate", "apply", "replay", "front", "report"])
def test_commands_of_a_report_run(place: Path, verb: str) -> None:
    (line,) = [line for line in of_report(place) if line.startswith(f"rlprune {verb} ")]
    called = run_as_printed(line)
    assert called.code == 0, called.err
    for more in printed(called.out + called.err):
        assert more.startswith("tensorboard ")


def test_whoever_meets_a_run_that_was_broken_off_is_told_how_to_go_on(place: Path) -> None:
    wanted = shlex.join(["rlprune", "train", "--resume", BROKEN, *NAMED])
    for called in (
        call("report", BROKEN),
        call("train", *TINY, *QUICK, "--out", BROKEN),
        call("compare", RUN, "runs"),
    ):
        assert wanted in printed(called.out + called.err), called
    refused = call("train", "--resume", BROKEN)
    assert refused.errors[0].endswith(f"If you trust that code, add {' '.join(NAMED)}")


@pytest.mark.slow
def test_a_run_that_was_broken_off_goes_on_by_the_command_that_is_printed(place: Path) -> None:
    (line,) = printed(call("report", BROKEN).err)
    again = run_as_printed(line)
    assert again.code == 0, again.err


@pytest.mark.slow
def test_an_inspection_and_a_profile_end_with_a_command_that_runs(place: Path) -> None:
    inspected = call("inspect", *NAMED, "--multiple", "2", "--ignore", "0", "--minimum", "0.25")
    quick = ("--plans", "8", "--checks", "1", "--samples", "5", "--no-pictures")
    profiled = call("profile", *NAMED, "--multiple", "2", *quick, "--out", "this machine.json")
    lines = [line for called in (inspected, profiled) for line in printed(called.out)]
    assert len(lines) == 2, lines
    assert "--multiple 2 --minimum 0.25" in lines[0]
    for line in lines:
        called = run_as_printed(line)
        assert called.code == 0, called.err


def test_without_a_task_no_command_is_made_up(place: Path) -> None:
    inspected = call("inspect", *NAMED[:2])
    assert printed(inspected.out) == []
    assert "name it as --task MODULE:FUNCTION" in inspected.out


@pytest.mark.slow
def test_tensorboard_serves_the_curves(place: Path) -> None:
    words = shlex.split(of_report(place)[-1])
    program = Path(sys.executable).with_name(words[0])
    with subprocess.Popen([program, *words[1:]], stderr=subprocess.PIPE, text=True) as served:
        try:
            assert served.stderr is not None
            address = next(
                found[0] for line in served.stderr if (found := re.search(r"http://localhost:\d+/", line)) is not None
            )
            assert runs_at(address) == SHOWN
        finally:
            served.terminate()


def runs_at(address: str) -> set[str]:
    """What TensorBoard knows, which takes it a moment."""
    for _ in range(60):
        with urllib.request.urlopen(f"{address}data/runs", timeout=10) as answer:
            found = set(re.findall(r'"([\w-]+)"', answer.read().decode()))
        if len(found) > 2:
            return found & SHOWN
        time.sleep(1)
    return set()


@pytest.mark.parametrize(
    ("settings", "names", "words"),
    [
        ({}, ("multiple", "rule", "baselines"), []),
        (
            {"multiple": 2, "rule": ["a*: multiple=4"]},
            ("multiple", "rule"),
            ["--multiple", "2", "--rule", "a*: multiple=4"],
        ),
        ({"only": ["a", "-b"]}, ("only",), ["--only", "a", "--only=-b"]),
        ({"minimum": 0.25}, ("minimum",), ["--minimum", "0.25"]),
    ],
)
def test_settings_are_given_by_the_flags_that_set_them(
    settings: dict[str, object], names: tuple[str, ...], words: list[str]
) -> None:
    assert changed_words(TrainConfig(**settings), *names) == words  # type: ignore[arg-type]
