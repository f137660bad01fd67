from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlprune.experiments.benchmarks import channel_order, search_speed

DIGITS = ["--network", "digits-resnet"]


def test_search_speed_divides_by_inference(tmp_path: Path) -> None:
    out = tmp_path / "speed.json"
    flags = ["--samples", "64", "--method", "random", "--episodes", "6"]
    assert search_speed.main([*DIGITS, *flags, "--out", str(out)]) == 0
    [case] = json.loads(out.read_text())["cases"]
    [row] = case["rows"]
    assert row["ratio"] == pytest.approx(row["wall_seconds"] / row["inference_seconds"])
    assert row["ratio"] > 1
    assert 0 < row["evaluations"] <= 6


def test_channel_order_compares_every_importance(tmp_path: Path) -> None:
    out = tmp_path / "order.json"
    assert channel_order.main([*DIGITS, "--keep", "1", "0.5", "--samples", "64", "--out", str(out)]) == 0
    [case] = json.loads(out.read_text())["cases"]
    rows = case["rows"]
    whole = [row["divergence"] for row in rows if row["keep_ratio"] == 1]
    half = {row["importance"]: row["divergence"] for row in rows if row["keep_ratio"] == 0.5}
    assert whole == pytest.approx([0, 0, 0], abs=1e-6)
    assert half["elimination"] < half["l1"]


def test_mistakes_end_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    for script, flags, message in (
        (search_speed, ["--budget", "speed=2"], "speed"),
        (search_speed, ["--method", "ddgp"], "Did you mean 'ddpg'"),
        (channel_order, ["--network", "digits-resnt"], "Did you mean 'digits-resnet'"),
    ):
        assert script.main([*DIGITS, *flags]) == 2
        assert message in capsys.readouterr().err
