"""replay, apply, report and profile on what a training left, and what every verb shares."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import yaml
from safetensors.torch import load_file

from rlprune.devices import DeviceProfile
from rlprune.experiments.cli.verbs import VERBS, Verb
from rlprune.experiments.runs.plan_results import ApplyResult, ReplayResult
from rlprune.experiments.settings.options import GROUPS
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.networks.network import Network
from rlprune.plans.plan import PruningPlan
from rlprune.support.records import as_plain, as_record
from rlprune.zoo import resolve_network
from tests.experiments.cli_page import page
from tests.experiments.conftest import TINY, winner

CLI_PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
WIDER = ("--network", "tiny_networks:wider", "--task", "tiny_networks:wider_task")


def test_replay_on_another_network_needs_no_profile_for_macs(
    call: Any, trained: Any, here: Path, tmp_path: Path
) -> None:
    out = tmp_path / "replayed"
    called = call("replay", "run", *WIDER, "--budget", "macs=0.5", "--out", out, "--json")
    assert called.code == 0, called.err
    dense, uniform, filled, probe, learned = called.json["rows"]
    assert [row["role"] for row in called.json["rows"]] == ["dense", "uniform", "filled", "probe", "learned"]
    assert max(row["macs"] for row in (uniform, filled, probe, learned)) <= 0.5 * dense["macs"]
    assert all(row["latency_measured_ms"] is None for row in called.json["rows"])
    assert any("no budget and no reward is on latency or energy" in note for note in called.json["notes"])
    assert not {"Profiling", "Exporting", "time"} & set(called.err.replace(":", " ").split())
    loaded = resolve_network("tiny_networks:wider")
    network = Network(loaded.model, loaded.example_inputs, multiple=2)
    assert PruningPlan.load(out / "plan.json").widths(network).tolist() == learned["widths"]
    written = json.loads((out / "result.json").read_text())
    assert written == called.json
    assert json.loads(json.dumps(as_plain(as_record(written, ReplayResult)))) == written


def test_replay_uses_the_profile_of_the_run_where_it_fits(call: Any, trained: Any, here: Path) -> None:
    called = call("replay", "run", *TINY[:4], "--budget", "latency=0.6")
    assert called.code == 0, called.err
    assert "Invented processor" in called.err
    assert "Profiling" not in called.err
    assert "What is kept:" in called.out
    assert "latency=0.6" in called.out


def test_replay_measures_a_profile_where_the_budget_asks_for_one(
    call: Any, trained: Any, here: Path, tmp_path: Path
) -> None:
    config = yaml.safe_load((trained.path / "config.yaml").read_text())
    other = tmp_path / "run"
    shutil.copytree(trained.path, other)
    quick = {"profile_plans": 8, "profile_checks": 1, "profile_samples": 5}
    (other / "config.yaml").write_text(yaml.safe_dump({**config, **quick}))
    called = call("replay", other, *WIDER, "--budget", "latency=0.95", "--json")
    assert called.code == 0, called.err
    assert "Profiling" in called.err
    assert "no profile of this network (its own is of another, on Invented processor): it is" in called.err
    assert all(row["latency_measured_ms"] > 0 and row["latency_promised_ms"] > 0 for row in called.json["rows"])


def test_replay_takes_other_networks_from_the_profile_that_the_run_was_told_to_use(
    call: Any, trained: Any, here: Path, tmp_path: Path
) -> None:
    config = yaml.safe_load((trained.path / "config.yaml").read_text())
    other = tmp_path / "run"
    shutil.copytree(trained.path, other)
    (other / "config.yaml").write_text(yaml.safe_dump({**config, "device": "ready:epyc-onnxruntime"}))
    called = call("replay", other, "--network", "digits-resnet", "--budget", "latency=0.7", "--json")
    assert called.code == 0, called.err
    assert "Profiling" not in called.err
    assert "AMD EPYC" in called.json["device"]["device"]


def test_replay_measures_where_a_device_is_named(call: Any, trained: Any, here: Path) -> None:
    quick = ("--budget", "macs=0.5", "--device", "cpu", "--profile-minutes", "0.001", "--json")
    called = call("replay", "run", *WIDER, *quick)
    assert called.code == 0, called.err
    assert "Profiling" not in called.err
    assert all(row["latency_measured_ms"] > 0 for row in called.json["rows"])
    assert " 2 of " in next(line for line in called.err.splitlines() if line.startswith("time 5 networks"))


def test_replay_of_a_run_without_policy_is_refused(call: Any, trained: Any, here: Path, tmp_path: Path) -> None:
    other = tmp_path / "run"
    shutil.copytree(trained.path, other)
    (other / "policy.json").unlink()
    called = call("replay", other, *TINY[:4])
    assert called.code == 2
    assert "is missing. Put it back" in called.errors[0]


@pytest.mark.parametrize("flags", [(), ("--no-repair", "--watts", "7"), ("--device", "cpu:torch")])
def test_apply_writes_a_network_that_runs(
    call: Any, trained: Any, here: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    out = tmp_path / "pruned"
    task = ("--network", "tiny_networks:network", "--task", "tiny_networks:task")
    called = call("apply", "run/plan.json", *task, "--out", out, "--samples", 10, "--json", *flags)
    assert called.code == 0, called.err
    dense, pruned = called.json["rows"]
    learned = winner(json.loads((trained.path / "result.json").read_text()))
    assert pruned["widths"] == learned["widths"]
    if not flags:  # repaired, it is the network of the training
        assert pruned["score_test"] == learned["score_test"]
        assert pruned["divergence"] == pytest.approx(learned["divergence"], rel=1e-4)
    written = json.loads((out / "result.json").read_text())
    assert json.loads(json.dumps(as_plain(as_record(written, ApplyResult)))) == written == called.json
    assert pruned["macs"] < dense["macs"]
    assert dense["score_test"] == 1.0
    assert pruned["latency_measured_ms"] > 0
    if "--device" in flags:
        assert called.json["device"]["provider"] == "cpu eager"
    if "--watts" in flags:
        assert pruned["energy_mj"] == pytest.approx(7 * pruned["latency_measured_ms"])
        assert "7 W stated" in called.json["energy_source"]
    loaded = resolve_network("tiny_networks:network")
    module = PruningPlan.load(out / "plan.json").apply(Network(loaded.model, loaded.example_inputs, multiple=1))
    module.load_state_dict(load_file(out / "pruned.safetensors"))
    session = onnxruntime.InferenceSession(out / "pruned.onnx", providers=["CPUExecutionProvider"])
    assert session.run(None, {session.get_inputs()[0].name: loaded.example_inputs[0].numpy()})[0].shape == (1, 4)


def test_report_is_made_again_from_the_files_alone(call: Any, trained: Any, tmp_path: Path, monkeypatch: Any) -> None:
    run = tmp_path / trained.path.name
    shutil.copytree(trained.path, run)
    reports = [run / "report.md", run / "report.html"]
    before = [path.read_text() for path in reports]
    for path in reports:
        path.unlink()
    pictures = sorted(path.name for path in (run / "pictures").iterdir())
    shutil.rmtree(run / "pictures")
    monkeypatch.chdir(tmp_path)  # the user's own module is out of reach
    called = call("report", run.name)
    assert called.code == 0, called.err
    assert [path.read_text() for path in reports] == before
    assert sorted(path.name for path in (run / "pictures").iterdir()) == pictures
    assert "ddpg" in called.out


@pytest.mark.parametrize(("name", "content"), [("result.json", "{}"), ("episodes-ddpg.csv", "a,b\n1,2\n")])
def test_report_of_damaged_files_is_refused(call: Any, trained: Any, tmp_path: Path, name: str, content: str) -> None:
    run = tmp_path / "damaged"
    shutil.copytree(trained.path, run)
    (run / name).write_text(content)
    called = call("report", run)
    assert called.code == 2
    assert len(called.errors) == 1
    assert "Train again" in called.errors[0]


def test_profile_is_written_and_used(call: Any, here: Path, tmp_path: Path) -> None:
    path = tmp_path / "here.json"
    few = ("--plans", 8, "--checks", 1, "--samples", 5, "--watts", 7, "--multiple", 8)
    called = call("profile", "--network", "tiny_networks:network", "--out", path, *few, "--json")
    assert called.code == 0, called.err
    profile = DeviceProfile.load(path)
    assert called.json["dense_latency_ms"] == profile.dense_latency_ms > 0
    assert called.json["runtime"]["threads"] == 1
    assert not list(tmp_path.glob("*.partial.json"))


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_that_ends_with_an_example(call: Any, verb: str) -> None:
    called = call(verb, "--help")
    assert called.code == 0
    assert f"rlprune {verb}" in " ".join(called.out.split("Example:")[-1].split())
    assert "--json" in called.out


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_every_verb_has_a_function_that_takes_its_settings(verb: Verb) -> None:
    parameters = list(inspect.signature(verb.resolve(), eval_str=True).parameters.values())
    assert parameters[0].annotation is verb.config
    assert [each.name for each in parameters[1:] if each.default is each.empty] == ["command"] * verb.keeps_command


def test_help_lists_what_is_needed_first_and_all_on_demand(call: Any) -> None:
    few, every = call("train", "--help"), call("train", "--help-all")
    flags = {option.flag for option in TrainConfig.options().values()}
    shown = [line.split()[0] for line in few.out.splitlines() if line.startswith("  --")]
    assert len(flags & set(shown)) == 12
    assert f"the other {len(flags) - 12} flags" in few.out
    assert all(f"  {flag}" in every.out for flag in flags)
    for called in (few, every):
        titles = [line[:-1] for line in called.out.splitlines() if re.fullmatch(r"[A-Z][a-z ]+:", line)]
        assert titles == [*GROUPS[1:], "Every verb"]
        assert "null" not in called.out


def test_the_settings_are_printed_as_a_file_that_gives_them_again(call: Any, tmp_path: Path) -> None:
    given = ("--episodes", 7, "--watts", 5, "--ignore", "a", "--ignore", "b*", "--budget", "[macs=0.5, params=0.5]")
    printed = call("train", *given, "--print-config")
    assert printed.code == 0
    path = tmp_path / "settings.yaml"
    path.write_text(printed.out)
    again = call("train", "--seed", 3, "--config", path, "--watts", "null", "--print-config")
    first, second = yaml.safe_load(printed.out), yaml.safe_load(again.out)
    assert (first["watts"], first["ignore"], first["budget"]) == (5.0, ["a", "b*"], ["macs=0.5", "params=0.5"])
    assert second == first | {"seed": 3, "watts": None}


def test_the_page_of_the_command_line_is_current() -> None:
    assert CLI_PAGE.read_text() == page(), "python -m tests.experiments.cli_page > docs/cli.md"
    assert len(page().splitlines()) <= 150


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    script = (
        "import sys; from rlprune.experiments.cli import main; main(['--help']); main(['train', '--help']);"
        "sys.exit(any(name in sys.modules for name in ('torch', 'stable_baselines3', 'matplotlib', 'onnx')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert all(verb in done.stdout for verb in VERBS)


def test_the_module_runs_as_a_program() -> None:
    command = [sys.executable, "-m", "rlprune.experiments.cli", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.startswith("rlprune ")


@pytest.mark.slow
def test_the_demo_measures_searches_and_reports(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    called = call("demo", "--episodes", 20, "--json")
    assert called.code == 0, called.err
    assert called.json["run"] == "runs/demo-1"
    by_name = {row["name"]: row for row in called.json["rows"]}
    limit = 0.025 * by_name["dense"]["size_bytes"]
    assert all(by_name[name]["size_bytes"] <= limit for name in ("uniform", "filled", "random", "ddpg"))
    assert by_name["ddpg"]["divergence"] < by_name["uniform"]["divergence"]
    assert by_name["ddpg"]["latency_measured_ms"] < by_name["dense"]["latency_measured_ms"]
    assert (tmp_path / "runs" / "demo-1" / "report.md").is_file()
