"""Bad input: one clear error, exit code 2, nothing written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NET, TASK = ("--network", "tiny_networks:network"), ("--task", "tiny_networks:task")
TINY = (*NET, *TASK, "--device", "profile.json", "--episodes", "2", "--samples", "16")

TRAINING = [
    ("unknown network", ("--network", "digit-resnet"), "Did you mean 'digits-resnet'?"),
    ("unknown task", (*NET, "--task", "digit"), "Did you mean 'digits'?"),
    ("unknown agent", (*TINY, "--agent", "ddgp"), "Did you mean 'ddpg'?"),
    ("unknown baseline", (*TINY, "--baselines", "randm"), "Did you mean 'random'?"),
    ("unknown device", (*TINY, "--device", "cpus"), "Did you mean 'cpu'?"),
    ("unknown reward", (*TINY, "--reward", "agrement"), "Did you mean 'agreement'?"),
    ("unknown metric", (*TINY, "--budget", "latencies=0.5"), "Did you mean 'latency'?"),
    ("unknown flag", (*TINY, "--episode-count", "3"), "--episode-count"),
    ("uniform does not search", (*TINY, "--agent", "uniform"), "cannot be uniform"),
    ("unknown preset", (*TINY, "--preset", "no-modle"), "Did you mean 'no-model'?"),
    ("setting of the agent that is unknown", (*TINY, "--setting", "optimsm=2"), "Did you mean 'optimism'?"),
    ("setting of the agent that is no number", (*TINY, "--setting", "optimism=much"), "'optimism' must be a float"),
    ("setting of the agent without a value", (*TINY, "--setting", "optimism"), "--setting reads key=value"),
    ("setting of the agent that comes twice", (*TINY, "--setting", "batch=8", "--setting", "batch=9"), "key once"),
    ("setting of what has none", (*TINY, "--agent", "random", "--setting", "optimism=2"), "no settings"),
    ("fewer episodes than a warm-up needs", (*TINY, "--episodes", "1"), "ddpg needs at least 2 episodes here; 1 came"),
    ("fewer episodes than a baseline needs", (*TINY, "--baselines", "greedy"), "greedy needs at least"),
    ("range upside down", (*TINY, "--budget", "latency=0.8..0.4"), "Turn its ends round"),
    ("range that is a point", (*TINY, "--budget", "latency=0.5..0.5"), "from the smaller to the larger"),
    ("range without an end", (*TINY, "--budget", "latency=0.5.."), "metric=low..high"),
    ("range of words", (*TINY, "--budget", "latency=low..high"), "not a number"),
    ("range over the dense network", (*TINY, "--budget", "latency=0.5..1.5"), "at most 1"),
    ("two ranges", (*TINY, "--budget", "latency=0.4..0.8", "--budget", "macs=0.2..0.9"), "One budget may be a range"),
    ("range whose lower end is impossible", (*TINY, "--budget", "latency=0.0001..0.9"), "cannot be met"),
    ("range of one level", (*TINY, "--budget", "latency=0.5..0.9", "--levels", "1"), "--levels must be at least 2"),
    (
        "range with fewer episodes than its warm-up needs",
        (*TINY, "--budget", "latency=0.6..0.9", "--episodes", "12", "--baselines", "[]"),
        "ddpg needs at least 22 episodes here; 12 came",
    ),
    ("preference without a range", (*TINY, "--prefer", "accuracy=1"), "it needs a range"),
    (
        "unknown preference",
        (*TINY, "--budget", "latency=0.6..0.9", "--prefer", "acuracy=1"),
        "Did you mean 'accuracy'?",
    ),
    ("preference below 0", (*TINY, "--budget", "latency=0.6..0.9", "--prefer", "accuracy=-1"), "at least 0"),
    ("preferences of 0", (*TINY, "--budget", "latency=0.6..0.9", "--prefer", "accuracy=0"), "one weight over 0"),
    ("no workers", (*TINY, "--workers", "0"), "--workers must be at least 1"),
    ("unknown answer to NaN", (*TINY, "--on-nan", "stopp"), "Did you mean 'stop'?"),
    ("NaN in the scores", (*NET, "--task", "tiny_networks:undefined_task", *TINY[4:]), "score"),
    ("module that is not there", ("--network", "no_such_module:network"), "no_such_module"),
    ("function that is not there", ("--network", "tiny_networks:netwrk"), "netwrk"),
    ("function that returns a number", ("--network", "tiny_networks:number"), "must return"),
    ("function that fails", ("--network", "tiny_networks:fails"), "the disk is on fire"),
    ("task function that returns a number", (*NET, "--task", "tiny_networks:number"), "must return"),
    ("network without a task", NET, "--task"),
    ("inputs the model cannot take", ("--network", "tiny_networks:bad_inputs", *TASK), "inputs"),
    ("images the model cannot take", (*NET, "--task", "tiny_networks:colour_task"), "calibration samples"),
    ("more classes than outputs", (*NET, "--task", "digits", "--budget", "macs=0.5"), "outputs of shape [N, 10"),
    ("nothing to prune", ("--network", "tiny_networks:nothing_to_prune", *TASK), "at least one group"),
    ("NaN in the weights", ("--network", "tiny_networks:bad_weights", *TASK), "holds NaN"),
    ("function that ends the program", ("--network", "tiny_networks:leaves"), "SystemExit"),
    (
        "network that cannot be exported",
        ("--network", "tiny_networks:not_exportable", *TASK, "--budget", "macs=0.5", "--episodes", "2"),
        "cannot be exported to ONNX",
    ),
    ("NaN in the outputs", ("--network", "tiny_networks:bad_outputs", *TASK, "--samples", "16"), "finite"),
    ("labels out of range", (*NET, "--task", "tiny_networks:bad_labels"), "Labels must be in [0, 4)"),
    ("budget of zero", (*TINY, "--budget", "latency=0"), "over 0"),
    ("negative budget", (*TINY, "--budget", "macs=-5"), "macs"),
    ("budget without a value", (*TINY, "--budget", "latency"), "metric=value"),
    ("no budget", (*TINY, "--budget", "[]"), "--budget"),
    ("impossible latency", (*TINY, "--budget", "latency=0.0001"), "cannot be met"),
    (
        "impossible MACs, before any profile",
        (*NET, *TASK, "--budget", "latency=0.5", "--budget", "macs=10"),
        "cannot be met",
    ),
    (
        "profile of another network",
        ("--network", "tiny_networks:wider", "--task", "tiny_networks:wider_task", "--device", "profile.json"),
        "another network",
    ),
    ("profile of another schema", (*TINY, "--device", "schema.json"), "schema"),
    ("truncated profile", (*TINY, "--device", "truncated.json"), "truncated"),
    ("missing profile", (*TINY, "--device", "missing.json"), "missing.json"),
    ("no data", ("--network", "fashion-resnet20", "--data-dir", "empty"), "empty"),
    ("no episodes", (*TINY, "--episodes", "0"), "--episodes must be at least 1"),
    ("episodes that are no number", (*TINY, "--episodes", "many"), "episodes"),
    ("no samples", (*TINY, "--samples", "0"), "--samples must be at least 1"),
    ("seed that NumPy cannot take", (*TINY, "--seed", str(2**32)), "--seed must be below 2**32"),
    ("negative seed", (*TINY, "--seed", "-1"), "--seed must be at least 0"),
    ("no threads", (*TINY, "--threads", "0"), "--threads must be at least 1"),
    ("no watts", (*TINY, "--watts", "0"), "--watts must be a positive number"),
    ("ignored layer that is not there", (*TINY, "--ignore", "head*"), "head*"),
    ("settings that are not there", ("--config", "missing.yaml"), "missing.yaml"),
    ("setting that is unknown", ("--config", "unknown.yaml"), "episods"),
    ("setting of the wrong kind", ("--config", "wrong.yaml"), "episodes"),
    ("settings that run code", ("--config", "code.yaml"), "could not determine a constructor"),
]


@pytest.fixture
def workshop(here: Path) -> Path:
    """The workplace with files that are wrong in one way each."""
    text = (here / "profile.json").read_text()
    (here / "truncated.json").write_text(text[: len(text) // 2])
    (here / "schema.json").write_text(json.dumps({**json.loads(text), "schema": "rlprune-device-profile/99"}))
    (here / "unknown.yaml").write_text("episods: 3\n")
    (here / "wrong.yaml").write_text("episodes: [3]\n")
    (here / "code.yaml").write_text("network: !!python/object/apply:os.mkdir [hacked]\n")
    (here / "empty").mkdir(exist_ok=True)
    (here / "file").write_text("not a folder")
    (here / "full").mkdir(exist_ok=True)
    (here / "full" / "notes.txt").write_text("mine")
    return here


def refused(called: Any, message: str) -> None:
    """Exit code 2, one line that says it, nothing on stdout."""
    assert called.code == 2, called.err
    assert len(called.errors) == 1, called.err
    assert called.err.rstrip().splitlines()[-1] == called.errors[0], "the error is the last line"
    assert message in called.errors[0]
    assert "Traceback" not in called.err
    assert called.out == ""


@pytest.mark.parametrize(("flags", "message"), [case[1:] for case in TRAINING], ids=[case[0] for case in TRAINING])
def test_train_refuses(call: Any, workshop: Path, flags: tuple[str, ...], message: str) -> None:
    before = sorted(workshop.rglob("*"))
    refused(call("train", *flags, "--out", "refused", "--json"), message)
    assert [path for path in sorted(workshop.rglob("*")) if path not in before and "__pycache__" not in str(path)] == []


@pytest.mark.parametrize(
    ("out", "message"),
    [("file", "is a file"), ("file/run", "Cannot write"), ("full", "other files"), ("run", "another run (complete)")],
)
def test_train_refuses_a_folder_it_cannot_have(call: Any, trained: Any, workshop: Path, out: str, message: str) -> None:
    before = sorted(workshop.rglob("*"))
    refused(call("train", *TINY, "--out", out), message)
    assert sorted(workshop.rglob("*")) == before


def test_cuda_without_a_gpu_is_refused(call: Any, here: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    refused(call("train", *NET, *TASK, "--device", "cuda", "--out", "refused"), "cannot be used here")


def plan(here: Path, name: str, **changes: Any) -> str:
    value = json.loads((here / "run" / "plan.json").read_text())
    (here / name).write_text(json.dumps({**value, **changes}))
    return name


@pytest.mark.parametrize("ratio", [0, 1.5, -0.5, True, "half"])
def test_apply_refuses_a_plan_that_keeps(call: Any, trained: Any, workshop: Path, ratio: object) -> None:
    decisions = json.loads((trained.path / "plan.json").read_text())["decisions"]
    first = next(iter(decisions))
    wrong = plan(workshop, "wrong-plan.json", decisions={**decisions, first: {"keep_ratio": ratio}})
    refused(call("apply", wrong, *NET, *TASK, "--out", "refused"), "keep_ratio")
    assert not (workshop / "refused").exists()


def test_apply_refuses_the_plan_of_another_network(call: Any, trained: Any, workshop: Path) -> None:
    flags = ("--network", "tiny_networks:wider", "--task", "tiny_networks:wider_task", "--out", "refused")
    refused(call("apply", "run/plan.json", *flags), "fits only the network it was made for")
    assert not (workshop / "refused").exists()


def test_apply_refuses_files_that_are_no_plan(call: Any, trained: Any, workshop: Path) -> None:
    (workshop / "cut.json").write_text((trained.path / "plan.json").read_text()[:40])
    nan = plan(workshop, "nan.json", notes={"score_test": float("nan")})
    refused(call("apply", nan, *NET, *TASK, "--out", "refused"), "NaN is no finite number")
    refused(call("apply", "cut.json", *NET, *TASK, "--out", "refused"), "truncated")
    refused(call("apply", "profile.json", *NET, *TASK, "--out", "refused"), "schema")
    refused(call("apply", "nowhere.json", *NET, *TASK, "--out", "refused"), "nowhere.json")
    refused(call("apply", "run/plan.json", *NET, *TASK, "--out", "full"), "new or empty")


def test_replay_and_report_refuse_what_is_no_complete_run(call: Any, trained: Any, workshop: Path) -> None:
    refused(call("replay", "full", *NET), "no run folder")
    refused(call("report", "full"), "no run folder")
    refused(call("report", "nowhere"), "no run folder")
    (workshop / "full" / "status.json").write_text(json.dumps({"schema": "rlprune-run/1", "status": "interrupted"}))
    refused(call("replay", "full", *NET), "not complete (interrupted)")
    (workshop / "full" / "status.json").write_text(json.dumps({"schema": "rlprune-run/9", "status": "complete"}))
    refused(call("report", "full"), "schema")


def test_replay_refuses_bad_settings(call: Any, trained: Any, workshop: Path) -> None:
    refused(call("replay", "run", *NET, *TASK, "--budget", "latency=-1"), "over 0")
    refused(call("replay", "run", "--samples", "0"), "--samples")
    refused(call("replay", "run"), "--network tiny_networks:network")
    refused(call("replay", "run", *NET), "--task tiny_networks:task")
    refused(call("replay", "run", "--network", "fashion-resnet2"), "Did you mean 'fashion-resnet20'?")
    refused(call("replay", "run", *NET, *TASK, "--out", "full"), "new or empty")


def test_profile_refuses(call: Any, workshop: Path) -> None:
    refused(call("profile", *NET, "--out", "empty"), "is a folder")
    refused(call("profile", *NET, "--out", "truncated.json"), "truncated")
    refused(call("profile", "--network", "tiny_networks:wider", "--out", "profile.json"), "network")
    refused(call("profile", *NET, "--plans", "0"), "--plans")
    refused(call("profile", *NET, "--plans", "3", "--out", "new.json"), "at least")
    refused(call("profile", *NET, "--device", "profile.json", "--out", "new.json"), "--device")
    refused(call("profile", "--network", "digits-resne"), "Did you mean 'digits-resnet'?")
    assert not (workshop / "new.json").exists()


def test_verbs(call: Any) -> None:
    refused(call("trian"), "Did you mean 'train'?")
    assert call().code == 2
