"""Mixes of decisions: a short run on the small ResNet, and the tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlprune.experiments.benchmarks import mixes
from rlprune.experiments.benchmarks.columns import table
from rlprune.experiments.pipeline.loading import load_material
from rlprune.experiments.pipeline.preparing import make_evaluator
from rlprune.experiments.settings.problem import NetworkConfig
from rlprune.pruning.blocks.droppable import find_blocks

DIGITS = ["--network", "digits-resnet", "--samples", "64", "--episodes", "4"]


def test_a_kind_that_cannot_meet_a_budget_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, tables = tmp_path / "mixes.json", tmp_path / "mixes.md"
    flags = ["--budget", "size=0.2", "--kinds", "depth", "bits", "weights,bits", "--seeds", "2"]
    flags += ["--profiles", str(tmp_path), "--pictures", str(tmp_path), "--markdown", str(tables)]
    assert mixes.main([*DIGITS, *flags, "--out", str(out)]) == 0
    [case] = json.loads(out.read_text())["cases"]
    assert [row["kinds"] for row in case["rows"]] == ["depth", "bits", "bits", "weights,bits", "weights,bits"]
    found = [row for row in case["rows"] if "curve" in row]
    assert [row["seed"] for row in found] == [0, 1, 0, 1]
    assert all(0 < row["evaluations"] == len(row["curve"]) for row in found)
    assert {row["choices"] for row in found} == {10, 20}
    assert "measured_ms" not in found[0]
    assert found[0]["dense_ms"] is None
    assert (tmp_path / "digits-resnet-size0.2.png").stat().st_size > 1000
    assert "| depth | - | cannot |" in tables.read_text()
    assert "digits-resnet, size=0.2" in capsys.readouterr().out


def test_where_no_block_can_be_dropped_depth_cannot(here: Path) -> None:
    material = load_material(NetworkConfig(network="tiny_networks:network", task="tiny_networks:task"), 8)
    evaluator, budget = make_evaluator(material, 32, 0), "size=0.5"
    assert not find_blocks(material.network)
    assert mixes.mixed_problem(material, evaluator, None, budget, "channels,depth") is None
    assert mixes.mixed_problem(material, evaluator, None, budget, "channels") is not None


@pytest.mark.slow
def test_latency_is_promised_and_measured(tmp_path: Path) -> None:
    out = tmp_path / "mixes.json"
    flags = ["--budget", "latency=0.6", "--kinds", "weights", "channels,bits", "--seeds", "1"]
    flags += ["--profiles", str(tmp_path), "--profile-samples", "10"]
    assert mixes.main([*DIGITS, *flags, "--out", str(out)]) == 0
    [case] = json.loads(out.read_text())["cases"]
    weights, mix = case["rows"]
    assert "curve" not in weights
    assert mix["promised_ms"] <= 0.6 * mix["dense_ms"] * (1 + 1e-9)
    assert mix["measured_ms"] > 0
    assert (tmp_path / "digits-resnet.json").exists()


def test_a_line_gives_the_latency_of_the_first_seed() -> None:
    row = {"kinds": "bits", "choices": 3, "validation": 0.5, "divergence": 0.1, "searched_divergence": 0.2, "curve": []}
    row |= {"test": 0.4, "promised_ms": 0.25, "measured_ms": 0.26}
    [line, other] = table([row, {"kinds": "depth"}], ["kinds"], mixes.COLUMNS).cells
    assert line == ["bits", "3", "50.00", "0.1000", "0.2000", "40.00", "0.2500", "0.2600"]
    assert other == ["depth", "-", "cannot", *["-"] * 5]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--kinds", "channels,weigths"], "Did you mean 'weights'"),
        (["--seeds", "0"], "--seeds must be at least 1"),
        (["--method", "ddgp"], "Did you mean 'ddpg'"),
        (["--budget", "size=2"], "fraction"),
    ],
)
def test_mistakes_end_with_exit_code_2(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mixes.main([*DIGITS, "--profiles", str(tmp_path), *flags]) == 2
    assert message in capsys.readouterr().err
