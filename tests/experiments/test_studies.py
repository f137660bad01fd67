"""Studies: how they are read, what they refuse, and what their members are called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rlprune.errors import ConfigError, RunError
from rlprune.experiments.sweeping.elsewhere import files_of, write_files
from rlprune.experiments.sweeping.names import LONGEST, member_name
from rlprune.experiments.sweeping.orders import end_of
from rlprune.experiments.sweeping.profiles import profile_name, profile_of
from rlprune.experiments.sweeping.study import SHIPPED, read_study

SETTINGS = {"network": "tiny_networks:network", "task": "tiny_networks:task", "device": "profile.json"}


def written(folder: Path, **study: Any) -> str:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    return str(path)


def test_members_are_the_product_in_a_fixed_order(tmp_path: Path) -> None:
    over = {"agent": ["ddpg", "random"], "budget": ["latency=0.5", ["latency=0.5", "params=0.4"]], "seed": [0, 1]}
    study = read_study(written(tmp_path, name="mine", settings={"episodes": 40}, over=over))
    assert study.name == "mine"
    assert [member.name for member in study.members] == [
        "ddpg-latency0.5-seed0",
        "ddpg-latency0.5-seed1",
        "ddpg-latency0.5+params0.4-seed0",
        "ddpg-latency0.5+params0.4-seed1",
        "random-latency0.5-seed0",
        "random-latency0.5-seed1",
        "random-latency0.5+params0.4-seed0",
        "random-latency0.5+params0.4-seed1",
    ]
    third = study.members[2].config
    assert (third.agent, third.budget, third.seed, third.episodes) == ("ddpg", ["latency=0.5", "params=0.4"], 0, 40)


def test_members_may_be_excepted(tmp_path: Path) -> None:
    over = {"budget": ["macs=0.5", "macs=0.3"], "seed": [0, 1]}
    study = read_study(written(tmp_path, over=over, **{"except": [{"budget": "macs=0.3", "seed": 1}]}))
    assert [member.name for member in study.members] == ["macs0.5-seed0", "macs0.5-seed1", "macs0.3-seed0"]
    assert study.name == "study"  # of the file


@pytest.mark.parametrize(
    ("varied", "name"),
    [
        ({}, "run"),
        ({"device": "ready:epyc-onnxruntime", "seed": 3}, "ready.epyc-onnxruntime-seed3"),
        ({"device": "/some/where/here.json"}, "here"),
        ({"network": "mine:network", "minimum": 0.25}, "mine.network-minimum0.25"),
        ({"watts": None}, "wattsNone"),
        ({"baselines": []}, "baselines-none"),
        ({"network": "../../etc/passwd"}, "etc.passwd"),
    ],
)
def test_names_are_readable_and_stay_in_their_folder(varied: dict[str, Any], name: str) -> None:
    assert member_name(varied) == name


def test_long_names_stay_different() -> None:
    one, other = (member_name({"setting": ["optimism=2"] * 30, "seed": seed}) for seed in (0, 1))
    assert one != other
    assert len(one) == len(other) == LONGEST


BAD = [
    ("no mapping", "- 1", "must hold settings by name"),
    ("no YAML", "over: [", "must be plain YAML"),
    ("alias", "over: &a {seed: [0]}\nsettings: *a", "it has an alias"),
    ("key twice", "over: {seed: [0], seed: [1]}", "'seed' twice"),
    ("code", "over: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
    ("unknown key", "ovr: {seed: [0]}", "Did you mean 'over'?"),
    ("unknown setting", "settings: {episode: 3}", "Did you mean 'episodes'?"),
    ("unknown setting that varies", "over: {sed: [0]}", "Did you mean 'seed'?"),
    ("setting of the sweep", "settings: {out: x}", "Unknown setting under 'settings' 'out'"),
    ("settings that are a list", "settings: [1]", "maps settings to values; a list came"),
    ("no list of values", "over: {seed: 3}", "seed has a int"),
    ("empty list of values", "over: {seed: []}", "seed has an empty list"),
    ("common and varying", "settings: {seed: 0}\nover: {seed: [0]}", "'seed' stands in settings and in over"),
    ("value of the wrong kind", "over: {seed: [zero]}", "'seed' must be a whole number"),
    ("setting out of range", "over: {episodes: [0]}", "Member episodes0 of the study: --episodes must be at least 1"),
    ("bad budget", "over: {budget: [latencies=0.5]}", "Did you mean 'latency'?"),
    ("bad agent", "over: {agent: [ddgp]}", "Did you mean 'ddpg'?"),
    ("bad preset", "over: {preset: [no-shapng]}", "Did you mean 'no-shaping'?"),
    ("value twice", "over: {seed: [0, 0]}", "seed0 comes twice"),
    ("one name for two", "over: {network: ['a:b', a.b]}", "two are called a.b: network 'a:b' and 'a.b'"),
    ("equal members", "over: {minimum: [0, 0.0]}", "minimum0 and minimum0.0 have the same settings"),
    ("too many", f"over: {{seed: {list(range(200))}, episodes: {list(range(1, 100))}}}", "at most 10000 members"),
    ("name that is a path", "name: ../x\nover: {seed: [0]}", "name of a study is a word"),
    ("exception that is none's", "over: {seed: [0]}\nexcept: [{seed: 4}]", "no member has {'seed': 4}"),
    ("nothing left", "over: {seed: [0]}\nexcept: [{seed: 0}]", "at least one member"),
    ("exceptions that are no list", "over: {seed: [0]}\nexcept: {seed: 0}", "'except' of a study is a list"),
    ("nodes that are a list", "nodes: [cpu]", "maps devices to the names of Ray resources"),
    ("nodes of another device", "nodes: {cuda: box}", "Unknown device under 'nodes' 'cuda'"),
    ("too deep", "over: " + "[" * 50_000, "must be plain YAML"),
    ("too large", "#" * 300_000, "at most 65536 are read"),
]


@pytest.mark.parametrize(("text", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_studies_are_one_error(text: str, message: str, tmp_path: Path, call: Any) -> None:
    path, out = tmp_path / "study.yaml", tmp_path / "out"
    path.write_text(text, encoding="utf-8")
    called = call("sweep", path, "--out", out)
    assert called.code == 2
    assert len(called.errors) == 1
    assert message in called.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.yaml"], "the name of one that ships ("),
        (["digits", "--processes", "0"], "--processes must be at least 1"),
    ],
)
def test_bad_flags(arguments: list[str], message: str, call: Any) -> None:
    called = call("sweep", *arguments)
    assert called.code == 2
    assert message in called.err


def test_devices_and_profiles_that_are_not_there(tmp_path: Path, call: Any) -> None:
    for device, message in (("cpus", "Did you mean 'cpu'?"), ("none.json", "Cannot read none.json")):
        path = written(tmp_path, over={"device": [device]})
        called = call("sweep", path, "--out", tmp_path / "out")
        assert called.code == 2
        assert message in called.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.yaml")))
def test_studies_that_ship_can_be_read(name: str) -> None:
    study = read_study(name)
    assert study.name == name
    assert len(study.members) > 2


def test_members_that_differ_in_seed_and_agent_share_a_profile(tmp_path: Path) -> None:
    over = {"agent": ["ddpg", "random"], "seed": [0, 1], "profile_plans": [16, 32]}
    members = read_study(written(tmp_path, over=over)).members
    profiles = [profile_of(member.config) for member in members]
    assert len({profile_name(profile) for profile in profiles if profile is not None}) == 2


def test_a_profile_is_shared_only_where_one_is_measured(tmp_path: Path) -> None:
    over = {"device": ["cpu", "ready:epyc-onnxruntime"], "budget": ["macs=0.5", "latency=0.5"]}
    members = read_study(written(tmp_path, over=over)).members
    assert [profile_of(member.config) is not None for member in members] == [False, True, False, False]


@pytest.mark.parametrize(
    ("code", "said", "state", "error"),
    [
        (0, "rlprune: never mind", "done", ""),
        (130, "rlprune: interrupted.", "interrupted", ""),
        (-9, "working", "failed", "ended by SIGKILL (out of memory?)"),
        (-11, "", "failed", "ended by SIGSEGV"),
        (2, "bar\rrlprune: one line\nlast words\n", "failed", "one line"),
        (1, "Traceback\n  in\nValueError: wrong\n\n", "failed", "ValueError: wrong"),
        (1, "", "failed", "exit code 1, without a word"),
    ],
)
def test_how_a_piece_of_work_ended(code: int, said: str, state: str, error: str) -> None:
    end = end_of(code, said)
    assert (end.state, end.error) == (state, error)


def test_a_folder_travels_whole(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "a.bin").write_bytes(b"\0" * 1000)
    (source / ".lock").write_text("")
    (source / "link").symlink_to("/etc/passwd")
    write_files(files_of(source), tmp_path / "copy")
    copied = [path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*")]
    assert sorted(copied) == ["deep", "deep/a.bin"]
    assert (tmp_path / "copy" / "deep" / "a.bin").read_bytes() == b"\0" * 1000


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a\\x", "C:x", "a/", ".lock", "a/./.b", ""])
def test_what_comes_back_stays_in_its_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="plain files below its folder"):
        write_files({"fine": b"", name: b""}, tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_study_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match="must be UTF-8"):
        read_study(str(tmp_path / "s.yaml"))


def test_a_piece_of_work_waits_for_its_turn_before_it_computes() -> None:
    """Importing torch takes seconds of all cores, which would disturb whoever measures."""
    program = (
        "import sys, rlprune.experiments.sweeping.piece; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
