"""What repairs bring to mixes: the ways on the small ResNet, and the whole script."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rlprune.arrays import IntArray
from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.evaluation.evaluator import Evaluator
from rlprune.experiments.benchmarks import mixed_repair
from rlprune.experiments.benchmarks.mixed_repair import DenseMoments, level_of, row_of, sets_of, ways_of, with_builder
from rlprune.experiments.pipeline.setup import load_material, make_evaluator
from rlprune.experiments.settings.config import NetworkConfig


@pytest.fixture(scope="module")
def dense_ones() -> Evaluator:
    return make_evaluator(load_material(NetworkConfig(network="digits-resnet"), 8), 64, 0)


@pytest.fixture(scope="module")
def mixing(dense_ones: Evaluator) -> Evaluator:
    return dense_ones.deciding(Space(dense_ones.tables.network, Decisions(("channels", "weights"))))


def half_of(evaluator: Evaluator) -> IntArray:
    return np.array([level_of(choice, (), 0.5) for choice in evaluator.space.choices])


def test_exact_steps_see_the_weights_that_are_delivered(mixing: Evaluator) -> None:
    row = half_of(mixing)
    delivered = mixing.delivered(row)
    state, ways = delivered.module.state_dict(), ways_of(mixing, ["4", "exact"])
    assert list(ways) == ["0", "4", "exact"]
    away = {}
    for name, way in ways.items():
        tensors = way.builder.tensors(row)
        away[name] = max(float((tensors[key] - state[key]).abs().max()) for key in delivered.stored)
    assert away["exact"] < 1e-6 < away["4"] < away["0"]


def test_the_default_is_four_steps(mixing: Evaluator) -> None:
    row = half_of(mixing)
    tensors, found = mixing.builder.tensors(row), ways_of(mixing, ["4"])["4"].builder.tensors(row)
    assert all(torch.equal(tensors[key], found[key]) for key in tensors)


def test_moments_of_the_dense_network_count_only_where_blocks_are_dropped(dense_ones: Evaluator) -> None:
    evaluator = dense_ones.deciding(Space(dense_ones.tables.network, Decisions(("channels", "depth"))))
    dense = DenseMoments(evaluator.tables, evaluator.space, evaluator.task.calibration)
    other, choices = with_builder(evaluator, dense), evaluator.space.choices
    for dropped in ((), ("stages.0.0",)):
        row = np.array([level_of(choice, dropped, 0.5) for choice in choices])
        states = [own.delivered(row).module.state_dict() for own in (evaluator, other)]
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0]) == (not dropped)


def test_sets_are_of_one_block_then_of_two() -> None:
    names = ["a", "b", "c", "d"]
    found = list(sets_of(names, 5, seed=1))
    assert [len(each) for each in found] == [1, 1, 1, 2, 2]
    assert len(set(found)) == 5
    assert all(list(each) == sorted(each) for each in found)
    assert list(sets_of(["a"], 5, seed=1)) == [("a",)]


def test_the_better_half_has_the_smaller_truth() -> None:
    seen, truth = np.array([1.0, 2.0, 3.0, 9.0, 8.0, 7.0]), np.arange(1.0, 7.0)
    row = row_of("0", seen, truth, np.full(6, 3.0), np.full(6, 2.0))
    assert row["rho_better_half"] == pytest.approx(1)
    assert row["rho"] < 1
    assert row["time_over_none"] == pytest.approx(1.5)
    assert row["seen_over_delivered"][1] == pytest.approx((1 + 7 / 6) / 2)


@pytest.mark.slow
def test_the_script_tells_what_both_repairs_bring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, tables = tmp_path / "repair.json", tmp_path / "repair.md"
    flags = ["--kinds", "channels,weights", "--plans", "6", "--steps", "4", "exact", "--drops", "1"]
    assert mixed_repair.main([*flags, "--out", str(out), "--markdown", str(tables)]) == 0
    report = json.loads(out.read_text())
    [signal], [drops] = report["signals"], report["drops"]
    rows = {row["steps"]: row for row in signal["rows"]}
    assert list(rows) == ["0", "4", "exact"]
    assert all(-1 <= row[name] <= 1 for row in rows.values() for name in ("rho", "rho_better_half"))
    ratios = {name: np.array(row["seen"]) / signal["delivered"] for name, row in rows.items()}
    assert np.abs(ratios["exact"] - 1).max() < 0.15  # BatchNorm's statistics are of other samples
    assert np.median(ratios["0"]) > np.median(ratios["4"])
    assert rows["exact"]["rho"] >= rows["0"]["rho"]
    assert rows["0"]["time_over_none"] == 1
    assert rows["exact"]["time_over_none"] > 1
    assert [(row["dropped"], row["kept"]) for row in drops["rows"]] == [
        (["stages.0.0"], "half the channels"), (["stages.0.0"], "a fifth of the weights")
    ]  # fmt: skip
    assert drops["rows"][1]["shortened"]["divergence"] < drops["rows"][1]["dense"]["divergence"]
    assert "| `stages.0.0` | half the channels |" in tables.read_text()
    assert "digits-resnet, channels,weights" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--steps", "few"], "--steps"),
        (["--steps", "-1"], "--steps"),
        (["--kinds", "channels,bits"], "must hold weights"),
        (["--plans", "5"], "--plans must be at least 6"),
        (["--drops", "-1"], "--drops"),
        (["--seed", "-1"], "--seed"),
        (["--budget", "speed=2"], "speed"),
    ],
)
def test_mistakes_end_with_exit_code_2(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert mixed_repair.main(flags) == 2
    assert message in capsys.readouterr().err
