"""validate: a whole run holds; each tampered file makes the claim differ that rests on it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from rlprune.experiments.validating.claims import Claims
from rlprune.experiments.validating.table import print_claims
from tests.experiments.conftest import TINY
from tests.experiments.test_fronts import RANGE

Edit = Callable[[Path], None]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def verdicts(called: Any, verdict: str) -> set[tuple[str, str]]:
    return {(claim["name"], claim["subject"]) for claim in called.json["claims"] if claim["verdict"] == verdict}


def edit_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def row_of(result: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in result["rows"] if row["name"] == name)


@pytest.fixture
def copied(trained: Any, here: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.path, tmp_path / "run"))


@pytest.fixture
def check(call: Any, copied: Path) -> Callable[..., Any]:
    def run(*flags: object) -> Any:
        return call("validate", copied, *TINY[:4], "--json", *flags)

    return run


def test_an_untouched_run_holds_and_is_only_read(check: Any, copied: Path) -> None:
    before = files_of(copied)
    called = check()
    assert called.code == 0, called.err
    assert verdicts(called, "differs") == set()
    counts, claims = called.json["counts"], called.json["claims"]
    assert sum(counts.values()) == len(claims)
    assert counts["holds"] > 150
    assert {claim["topic"] for claim in claims} == {"inputs", "networks", "files", "search", "measured", "record"}
    assert sum(claim["name"] == "reward" and "episode" in claim["subject"] for claim in claims) == 20
    assert files_of(copied) == before


def test_what_was_not_measured_cannot_be_checked_and_says_why(check: Any) -> None:
    called = check("--evaluations", "0")
    skipped = {claim["name"]: claim["why"] for claim in called.json["claims"] if claim["verdict"] == "not checked"}
    assert "Invented processor" in skipped["latency, ms"]
    assert "--evaluations 0" in skipped["episodes"]
    assert verdicts(called, "differs") == set()


def result_score(run: Path) -> None:
    edit_json(run / "result.json", lambda result: row_of(result, "dense").update(score_validation=0.001))


def result_macs(run: Path) -> None:
    edit_json(run / "result.json", lambda result: row_of(result, "random").update(macs=1.0))


def result_test(run: Path) -> None:
    edit_json(run / "result.json", lambda result: row_of(result, "ddpg").update(score_test=0.999))


def result_promise(run: Path) -> None:
    edit_json(run / "result.json", lambda result: row_of(result, "ddpg").update(latency_p99_promised_ms=1e-3))


def result_limit(run: Path) -> None:
    edit_json(run / "result.json", lambda result: result["limits"].update(latency_ms=9.0))


def result_fingerprint(run: Path) -> None:
    edit_json(run / "result.json", lambda result: result.update(fingerprint="0" * 64))


def result_weights(run: Path) -> None:
    edit_json(run / "result.json", lambda result: result.update(weights="0" * 64))


def result_data(run: Path) -> None:
    edit_json(run / "result.json", lambda result: result["data"].update(validation="0" * 64))


def result_best(run: Path) -> None:
    edit_json(run / "result.json", lambda result: result["searches"]["random"].update(best_reward=7.0))


def result_noise(run: Path) -> None:
    row = json.loads((run / "result.json").read_text())["rows"][4]
    edit_json(run / "result.json", lambda result: result["rows"][4].update(behind_high=row["behind_high"] + 0.2))


def row_evaluations(run: Path) -> None:
    edit_json(run / "result.json", lambda result: result["rows"][4].update(evaluations=99))


def result_cost(run: Path) -> None:
    edit_json(run / "result.json", lambda result: result["cost"].update(wall_seconds=1e4))


def result_evaluations(run: Path) -> None:
    edit_json(run / "result.json", lambda result: result["cost"].update(evaluations=3))


def result_policy(run: Path) -> None:
    edit_json(run / "result.json", lambda result: result["policy"].__setitem__(0, result["policy"][0] + 1))


def plan_ratio(run: Path) -> None:
    edit_json(run / "plans" / "random.json", halve)


def kept_plan(run: Path) -> None:
    edit_json(run / "plan.json", halve)


def halve(plan: dict[str, Any]) -> None:
    first = next(iter(plan["decisions"].values()))
    first["keep_ratio"] = 1.0 if first["keep_ratio"] < 1.0 else 0.5


def one_weight(run: Path) -> None:
    tensors = load_file(run / "pruned.safetensors")
    name = max(tensors, key=lambda key: tensors[key].numel())
    tensors[name].view(-1)[0] += 0.5
    save_file(tensors, run / "pruned.safetensors")


def cut_weights(run: Path) -> None:
    path = run / "pruned.safetensors"
    path.write_bytes(path.read_bytes()[:-5])


def other_onnx(run: Path) -> None:
    path = run / "pruned.onnx"
    path.write_bytes(b"no network" + path.read_bytes()[:50])


def policy_noise(run: Path) -> None:
    tensors = load_file(run / "policy.safetensors")
    broken = {name: torch.full_like(tensor, float("nan")) for name, tensor in tensors.items()}
    save_file(broken, run / "policy.safetensors")


def sessions(run: Path) -> None:
    (run / "sessions.json").write_text("{}")


TAMPERED = [
    (result_score, ("validation score", "dense")),
    (result_macs, ("macs", "random")),
    (result_test, ("test score", "ddpg")),
    (result_promise, ("promised p99 latency, ms", "ddpg")),
    (result_limit, ("limit", "latency_ms")),
    (result_fingerprint, ("fingerprint", "tiny_networks:network")),
    (result_weights, ("weights", "tiny_networks:network")),
    (result_data, ("samples", "validation")),
    (result_best, ("best reward", "random")),
    (result_noise, ("behind_high", "random")),
    (row_evaluations, ("evaluations are the search's", "random")),
    (result_cost, ("wall_seconds", "of the run")),
    (result_evaluations, ("evaluations", "of the run")),
    (result_policy, ("plan of the policy", "ddpg")),
    (plan_ratio, ("channels in plans/", "random")),
    (one_weight, ("weights, largest difference", "pruned.safetensors")),
    (cut_weights, ("weights", "pruned.safetensors")),
    (other_onnx, ("outputs", "pruned.onnx")),
    (policy_noise, ("policy", "ddpg")),
]


@pytest.mark.parametrize(("tamper", "claim"), TAMPERED, ids=[edit.__name__ for edit, _ in TAMPERED])
def test_one_edit_makes_one_claim_differ(check: Any, copied: Path, tamper: Edit, claim: tuple[str, str]) -> None:
    tamper(copied)
    called = check("--evaluations", "2")
    assert called.code == 1, called.err
    assert verdicts(called, "differs") == {claim}


def test_the_kept_plan_is_that_of_the_winner(check: Any, copied: Path) -> None:
    kept_plan(copied)
    called = check("--evaluations", "0")
    assert {name for name, _ in verdicts(called, "differs")} == {"channels in plan.json"}


def test_sessions_that_cannot_be_read_differ(check: Any, copied: Path) -> None:
    sessions(copied)
    differing = verdicts(check("--evaluations", "0"), "differs")
    assert differing == {("sessions", "sessions.json")}


def test_an_edited_line_of_the_episodes_differs(check: Any, copied: Path) -> None:
    path = copied / "episodes-random.csv"
    head, *lines = path.read_text().splitlines()
    fields = lines[4].split(",")
    fields[head.split(",").index("divergence")] = "123.0"
    lines[4] = ",".join(fields)
    path.write_text("\n".join([head, *lines]) + "\n")
    assert verdicts(check("--evaluations", "24"), "differs") == {("divergence", "episode 5 of random")}


def test_what_rests_on_an_edited_profile_cannot_be_checked(check: Any, copied: Path) -> None:
    edit_json(copied / "profile.json", lambda profile: profile.update(device="Faster processor"))
    called = check("--evaluations", "2")
    assert called.code == 1
    assert verdicts(called, "differs") == {("profile", "profile.json")}
    skipped = {claim["name"]: claim["why"] for claim in called.json["claims"] if claim["verdict"] == "not checked"}
    assert "edited or damaged" in skipped["promised latency, ms"]
    assert "edited or damaged" in skipped["reward"]
    assert ("divergence", "ddpg") in verdicts(called, "holds")


def test_another_network_under_the_same_name_is_noticed(check: Any, copied: Path, here: Path) -> None:
    module = (here / "tiny_networks.py").read_text()
    (here / "other_networks.py").write_text(module.replace("32, 32), 0)", "32, 32), 5)"))
    config = yaml.safe_load((copied / "config.yaml").read_text())
    (copied / "config.yaml").write_text(yaml.safe_dump({**config, "network": "other_networks:network"}))
    called = check("--evaluations", "2", "--network", "other_networks:network")
    assert called.code == 1
    differing = verdicts(called, "differs")
    assert {("weights", "tiny_networks:network"), ("setting", "network")} <= differing
    assert ("fingerprint", "tiny_networks:network") in verdicts(called, "holds")
    assert {"validation score", "divergence", "weights, largest difference"} <= {name for name, _ in differing}


def test_a_run_of_another_processor_has_wider_tolerances(check: Any, copied: Path) -> None:
    edit_json(copied / "versions.json", lambda versions: versions.update(cpu="Abacus"))
    called = check("--evaluations", "2")
    assert called.code == 0
    assert called.json["other_versions"]["cpu"]["then"] == "Abacus"
    claim = next(
        claim for claim in called.json["claims"] if claim["name"] == "divergence" and claim["subject"] == "ddpg"
    )
    assert "another processor" in claim["why"]
    assert claim["tolerance"] == pytest.approx(max(1e-6, 1e-3 * claim["claimed"]))


def test_people_see_what_differs_first(call: Any, copied: Path) -> None:
    result_macs(copied)
    called = call("validate", copied, *TINY[:4], "--evaluations", "2")
    assert called.code == 1
    first, second = called.out.splitlines()[:2]
    assert "1 CLAIM DIFFERS" in first
    assert "macs of random: claimed 1, found" in second
    assert "cannot be checked here." in called.out.splitlines()[-1]


def test_people_see_which_channels_are_not_those_of_the_planner(call: Any, copied: Path) -> None:
    edit_json(copied / "result.json", widest_uniform)
    lines = call("validate", copied, *TINY[:4], "--evaluations", "0").out.splitlines()
    told = [line for line in lines if line.startswith("! networks: channels of uniform: claimed [")]
    assert len(told) == 1
    assert "], found [" in told[0]
    assert "the planner's" in told[0]


def test_of_long_lists_the_first_difference_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    claims = Claims(topic="networks")
    claims.equal("channels", "ddpg", [*range(64), 5], [*range(64), 7])
    print_claims(claims.items)
    assert "number 65 of 65 is the first that differs: claimed 5, found 7" in capsys.readouterr().out


def test_channels_that_no_network_has_differ(check: Any, copied: Path) -> None:
    edit_json(copied / "result.json", impossible_finalist)
    called = check("--evaluations", "0")
    assert called.code == 1, called.err
    winner = json.loads((copied / "result.json").read_text())["winner"]
    last = max(subject for name, subject in verdicts(called, "differs") if name == "channels")
    assert last.startswith("finalist ")
    assert last.endswith(f" of {winner}")


def impossible_finalist(result: dict[str, Any]) -> None:
    result["finalists"][result["winner"]][-1]["widths"][0] = 10**6


def widest_uniform(result: dict[str, Any]) -> None:
    row_of(result, "uniform")["widths"] = row_of(result, "dense")["widths"]


def test_the_answer_is_written_outside_the_run_only(check: Any, copied: Path, tmp_path: Path) -> None:
    called = check("--evaluations", "2", "--out", tmp_path / "answers")
    assert json.loads((tmp_path / "answers" / "validation.json").read_text()) == called.json
    assert check("--evaluations", "0", "--out", tmp_path / "answers").code == 0
    before = files_of(copied)
    inside = check("--out", copied / "validation.json")
    assert inside.code == 2
    assert "outside the run" in inside.errors[0]
    (tmp_path / "other.json").write_text('{"schema": "mine"}')
    assert "no validation" in check("--out", tmp_path / "other.json").errors[0]
    assert files_of(copied) == before


@pytest.mark.parametrize("status", ["running", "failed"])
def test_a_run_that_is_not_complete_is_refused(check: Any, copied: Path, status: str) -> None:
    edit_json(copied / "status.json", lambda value: value.update(status=status))
    called = check()
    assert called.code == 2
    assert "not complete" in called.errors[0]


@pytest.mark.parametrize("flags", [("--evaluations", "-1"), ("--samples", "0"), ("--seed", "-1")])
def test_settings_out_of_range_are_refused(check: Any, flags: tuple[str, str]) -> None:
    called = check(*flags)
    assert called.code == 2
    assert flags[0] in called.errors[0]


@pytest.mark.parametrize("key", ["rows", "marks", "searches", "groups"])
def test_a_result_that_is_malformed_is_refused(check: Any, copied: Path, key: str) -> None:
    edit_json(copied / "result.json", lambda result: result.pop(key))
    called = check("--evaluations", "0")
    assert called.code == 2
    assert len(called.errors) == 1
    assert key in called.errors[0]


@pytest.mark.slow
def test_what_was_measured_is_measured_again(call: Any, here: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("budget: [macs=0.5]")
    out, device = tmp_path / "measured", ("--device", "cpu", "--profile-samples", "10")
    made = call("train", *TINY, "--config", settings, *device, "--episodes", "6", "--agent", "random", "--out", out)
    assert made.code == 0, made.err
    claims = call("validate", out, *TINY[:4], "--json").json["claims"]
    again = [claim for claim in claims if claim["name"] == "latency, share of dense"]
    assert [claim["subject"] for claim in again] == ["uniform", "filled", "probe", "random"]
    assert all(claim["found"] > 0 and claim["tolerance"] > 0 for claim in again)
    assert {claim["topic"] for claim in claims if claim["verdict"] == "differs"} <= {"measured"}  # it may be busy here
    skipped = call("validate", out, *TINY[:4], "--json", "--no-timing", "--evaluations", "0")
    assert skipped.code == 0
    reasons = {claim["why"] for claim in skipped.json["claims"] if claim["name"] == "latency, ms"}
    assert reasons == {"latency was not measured again (--no-timing)"}


def test_every_level_of_a_range_is_checked(call: Any, here: Path, tmp_path: Path) -> None:
    out = tmp_path / "front"
    assert call(*RANGE, "--out", out).code == 0
    called = call("validate", out, *TINY[:4], "--json")
    assert called.code == 0, [claim for claim in called.json["claims"] if claim["verdict"] == "differs"]
    claims = called.json["claims"]
    assert {"hypervolume", "plan of the policy"} <= {claim["name"] for claim in claims}
    subjects = {claim["subject"] for claim in claims}
    assert {
        "ddpg at latency=0.5",
        "policy at latency=0.7",
        "uniform at latency=0.9",
        "filled at latency=0.9",
    } <= subjects
    edit_json(out / "result.json", policy_point)
    called = call("validate", out, *TINY[:4], "--json", "--evaluations", "0")
    assert ("plan of the policy", "at latency=0.5") in verdicts(called, "differs")


def policy_point(result: dict[str, Any]) -> None:
    point = next(point for point in result["front"]["points"] if point["method"] == "policy")
    point["widths"] = next(row["widths"] for row in result["rows"] if row["name"] == "dense")
