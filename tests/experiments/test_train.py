"""A whole training through the command line, on an invented device."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from matplotlib.image import imread
from safetensors.torch import load_file

from rlprune.networks.network import Network
from rlprune.plans.plan import PruningPlan
from rlprune.zoo import resolve_network
from tests.experiments.conftest import winner


@pytest.fixture
def result(trained: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((trained.path / "result.json").read_text())
    return value


def test_json_is_one_object_on_stdout_and_all_else_is_on_stderr(trained: Any, result: dict[str, Any]) -> None:
    assert trained.called.out.count("\n") == 1
    assert trained.called.json["schema"] == "rlprune-result/1"
    assert trained.called.json["run"] == "run"
    for name, search in result["searches"].items():
        assert f"{name}: {search['evaluations']} of 12 new plans in " in trained.called.err
    assert "best: reward" in trained.called.err
    assert "finalists: 10 of 10 in " in trained.called.err


def test_what_batchnorm_is_normalised_with_is_told_before_the_search_and_kept(
    trained: Any, result: dict[str, Any]
) -> None:
    told = next(note for note in result["notes"] if note.startswith("BatchNorm: "))
    assert trained.called.err.index(told) < trained.called.err.index("ddpg: ")
    assert set(result["batchnorm"]["pruned"]) == set(result["batchnorm"]["dense"]) == {"0", "0.25", "0.5", "0.75", "1"}
    assert json.loads((trained.path / "plan.json").read_text())["notes"]["batchnorm"] == result["batchnorm"]["share"]


def test_the_run_folder_is_complete(trained: Any) -> None:
    expected = [
        "status.json",
        "config.yaml",
        "command.txt",
        "versions.json",
        "profile.json",
        "plan.json",
        "policy.json",
        "policy.safetensors",
        "episodes-ddpg.csv",
        "episodes-random.csv",
        "result.json",
        "pruned.safetensors",
        "pruned.onnx",
        "report.md",
        "report.html",
        "plans/uniform.json",
        "plans/filled.json",
        "plans/random.json",
        "plans/ddpg.json",
        "pictures/learning-curve.png",
        "pictures/keep-ratios.png",
        "pictures/accuracy-against-cost.png",
        "pictures/promised-and-measured.png",
    ]
    assert [name for name in expected if not (trained.path / name).is_file()] == []
    assert json.loads((trained.path / "status.json").read_text())["status"] == "complete"
    assert not [path for path in trained.path.rglob(".*") if path.is_file()], "left-overs of writing"


def test_settings_command_and_versions_are_recorded(trained: Any) -> None:
    config = yaml.safe_load((trained.path / "config.yaml").read_text())
    assert (config["network"], config["budget"], config["seed"]) == ("tiny_networks:network", ["latency=0.5"], 0)
    assert (trained.path / "command.txt").read_text().startswith("rlprune train --network tiny_networks:network")
    assert json.loads((trained.path / "versions.json").read_text())["torch"] == torch.__version__


def test_rows_are_dense_uniform_baseline_learned_and_within_the_budget(result: dict[str, Any]) -> None:
    rows = result["rows"]
    assert [(row["name"], row["role"]) for row in rows] == [
        ("dense", "dense"),
        ("uniform", "uniform"),
        ("filled", "filled"),
        ("probe", "probe"),
        ("random", "baseline"),
        ("ddpg", "agent"),
        ("policy", "policy"),
    ]
    assert rows[0]["score_test"] == rows[0]["score_validation"] == 1.0  # the labels are the dense network's own
    for row in rows[1:]:
        assert row["latency_promised_ms"] <= result["limits"]["latency_ms"] * (1 + 1e-6)
        assert row["macs"] < rows[0]["macs"]
        assert row["params"] < rows[0]["params"]
        assert row["size_bytes"] < rows[0]["size_bytes"]
        assert row["images_per_second"] == pytest.approx(1e3 / row["latency_promised_ms"])
        assert row["energy_mj"] == pytest.approx(5.0 * row["latency_promised_ms"])


def test_a_profile_of_another_device_is_not_measured_here(result: dict[str, Any]) -> None:
    assert all(row["latency_measured_ms"] is None for row in result["rows"])
    assert any("Nothing was measured" in note and "Invented processor" in note for note in result["notes"])


def test_every_episode_is_in_the_table(trained: Any, result: dict[str, Any]) -> None:
    with (trained.path / "episodes-ddpg.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["number"]) for row in rows] == list(range(1, 13))
    assert int(rows[-1]["evaluations"]) == result["searches"]["ddpg"]["evaluations"]
    assert max(float(row["reward"]) for row in rows) == result["searches"]["ddpg"]["best_reward"]
    assert len(rows[0]["widths"].split()) == len(result["groups"])
    assert {"latency_ms", "energy_mj", "macs", "params", "score", "divergence", "cache_hits"} <= set(rows[0])


def test_the_winner_of_each_method_is_its_best_finalist(result: dict[str, Any]) -> None:
    for row in result["rows"][1:]:
        found = result["finalists"][row["name"]]
        equals = [item for item in found if item["behind"] is None or item["behind"][0] <= 0]
        best = min(equals, key=lambda item: item["divergence"])
        assert row["widths"] == found[0]["widths"] == best["widths"]
        assert row["score_validation"] == best["score_validation"]


def test_the_plan_and_the_pruned_files_are_the_learned_row(trained: Any, result: dict[str, Any], here: Path) -> None:
    loaded = resolve_network("tiny_networks:network")
    network = Network(loaded.model, loaded.example_inputs, multiple=2)
    plan = PruningPlan.load(trained.path / "plan.json")
    assert plan.widths(network).tolist() == winner(result)["widths"]
    module = plan.apply(network).eval()
    module.load_state_dict(load_file(trained.path / "pruned.safetensors"))
    image = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(9))
    session = onnxruntime.InferenceSession(trained.path / "pruned.onnx", providers=["CPUExecutionProvider"])
    outputs = session.run(None, {session.get_inputs()[0].name: image.numpy()})[0]
    with torch.no_grad():
        np.testing.assert_allclose(outputs, module(image).numpy(), atol=1e-4)


def test_the_report_shows_table_pictures_plan_and_command(trained: Any, result: dict[str, Any]) -> None:
    report = (trained.path / "report.md").read_text()
    assert result["verdict"].split(" **Collapse")[0] in report
    assert "(learned)" not in report  # its plan is of a search, not of a policy
    assert all(f"pictures/{path.name}" in report for path in (trained.path / "pictures").iterdir())
    assert "rlprune train" in report


def test_pictures_are_drawn(trained: Any) -> None:
    for path in (trained.path / "pictures").iterdir():
        pixels = imread(path)
        assert min(pixels.shape[:2]) > 300
        assert pixels[..., :3].std() > 0.05


def test_the_same_seed_gives_the_same_run(trained: Any, train: Any, tmp_path: Path) -> None:
    again = train(tmp_path / "again")
    assert again.code == 0, again.err
    plans = [json.loads((path / "plan.json").read_text()) for path in (trained.path, tmp_path / "again")]
    assert plans[0] == plans[1]
    tables = [without_seconds(path / "episodes-ddpg.csv") for path in (trained.path, tmp_path / "again")]
    assert tables[0] == tables[1]
    assert "evaluated" in again.out
    assert "tensorboard --logdir" in again.out


def without_seconds(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def test_another_seed_gives_another_search(trained: Any, train: Any, tmp_path: Path) -> None:
    other = train(tmp_path / "other", "--seed", 1, "--baselines", "[]")
    assert other.code == 0, other.err
    assert not (tmp_path / "other" / "episodes-random.csv").exists()
    tables = [without_seconds(path / "episodes-ddpg.csv") for path in (trained.path, tmp_path / "other")]
    assert [row["widths"] for row in tables[0]] != [row["widths"] for row in tables[1]]


def test_yaml_gives_the_same_settings_and_flags_win(trained: Any, call: Any, here: Path, tmp_path: Path) -> None:
    flags = (
        "--out",
        tmp_path / "yaml",
        "--episodes",
        2,
        "--agent",
        "random",
        "--budget",
        "macs=0.6",
        "--device",
        "cpu",
    )
    called = call("train", "--config", trained.path / "config.yaml", *flags, "--profile-samples", 5, "--json")
    assert called.code == 0, called.err
    assert called.json["network"] == "tiny_networks:network"
    assert called.json["budgets"] == ["macs=0.6"]
    assert called.json["episodes"] == 2
    rows = called.json["rows"]
    assert [row["name"] for row in rows] == ["dense", "uniform", "filled", "probe", "random"]
    assert all(row["latency_measured_ms"] > 0 and row["latency_promised_ms"] is None for row in rows)


def test_an_interrupted_run_says_so(train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rlprune.experiments.pipeline.training.score_on_test", interrupt)
    called = train(tmp_path / "cut", "--episodes", 2)
    assert called.code == 130
    assert "Traceback" not in called.err
    assert json.loads((tmp_path / "cut" / "status.json").read_text())["status"] == "interrupted"
    assert not (tmp_path / "cut" / "result.json").exists()


def test_the_test_images_are_used_once_at_the_end(train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rlprune.experiments.pipeline import training

    seen: list[tuple[str, ...]] = []
    original = training.score_on_test

    def spy(candidates: Any, evaluator: Any) -> Any:
        seen.append(evaluator.task.loaded)
        return original(candidates, evaluator)

    monkeypatch.setattr(training, "score_on_test", spy)
    assert train(tmp_path / "spied", "--episodes", 2).code == 0
    assert len(seen) == 1
    assert "test" not in seen[0]
