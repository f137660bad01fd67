from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from rlprune.experiments.benchmarks import channel_order, search_signal, search_speed

DIGITS = ["--network", "digits-resnet"]


def test_search_speed_divides_by_inference(tmp_path: Path) -> None:
    out = tmp_path / "speed.json"
    flags = ["--samples", "64", "--method", "random", "--episodes", "6"]
    assert search_speed.main([*DIGITS, *flags, "--out", str(out)]) == 0
    [row] = json.loads(out.read_text())["rows"]
    assert row["ratio"] == pytest.approx(row["wall_seconds"] / row["inference_seconds"])
    assert row["ratio"] > 1
    assert 0 < row["evaluations"] <= 6


def test_search_signal_correlates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, section = tmp_path / "signal.json", tmp_path / "signal.md"
    flags = ["--plans", "12", "--samples", "64", "360", "1000", "--budget", "macs=0.2"]
    flags += ["--finetune-plans", "4", "--finetune-steps", "3", "--markdown", str(section)]
    assert search_signal.main([*DIGITS, *flags, "--out", str(out)]) == 0
    [result] = json.loads(out.read_text())["networks"]
    assert [(row["images"], row["batch_statistics"]) for row in result["rows"]] == [
        (64, False), (64, True), (180, False), (180, True)
    ]  # fmt: skip
    assert (result["unseen_images"], len(result["truth"]["fine_tuned"])) == (180, 4)
    rhos = [value for row in result["rows"] for state in row["rho"].values() for value in state.values()]
    assert len(rhos) == 4 * 2 * 3
    assert all(-1 <= value <= 1 for value in rhos)
    assert result["rows"][-1]["rho"]["pruned"]["divergence"] > 0
    assert "| images | statistics | accuracy | cross-entropy | KL | accuracy, fine-tuned |" in section.read_text()
    assert "180 unseen images" in capsys.readouterr().out


def test_search_signal_without_fine_tuning(tmp_path: Path) -> None:
    out = tmp_path / "signal.json"
    flags = ["--plans", "4", "--samples", "16", "--finetune-plans", "0"]
    assert search_signal.main([*DIGITS, *flags, "--out", str(out)]) == 0
    [result] = json.loads(out.read_text())["networks"]
    assert list(result["rows"][0]["rho"]) == ["pruned"]


def test_rank_correlation_is_spearmans() -> None:
    first, second = [1.0, 2.0, 2.0, 5.0, 4.0], [3.0, 1.0, 4.0, 9.0, 9.0]
    assert search_signal.rho(first, second) == pytest.approx(spearmanr(first, second).statistic)
    assert search_signal.rho(first, [1.0] * 5) == 0
    assert search_signal.standard_error(np.arange(9.0), np.arange(9.0)) == pytest.approx(0)


def test_channel_order_compares_every_importance(tmp_path: Path) -> None:
    out = tmp_path / "order.json"
    assert channel_order.main([*DIGITS, "--keep", "1", "0.5", "--samples", "64", "--out", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    whole = [row["divergence"] for row in rows if row["keep_ratio"] == 1]
    half = {row["importance"]: row["divergence"] for row in rows if row["keep_ratio"] == 0.5}
    assert whole == pytest.approx([0, 0, 0], abs=1e-6)
    assert half["elimination"] < half["l1"]


@pytest.mark.parametrize(
    ("script", "flags", "message"),
    [
        (search_speed, ["--budget", "speed=2"], "speed"),
        (search_signal, ["--network", "digits-resnt"], "Did you mean 'digits-resnet'"),
        (search_signal, ["--plans", "2"], "--plans must be at least 3"),
        (search_signal, ["--finetune-plans", "2"], "--finetune-plans must be 0, or from 3"),
        (search_signal, ["--finetune-steps", "0"], "steps must be at least 1"),
    ],
)
def test_mistakes_end_with_exit_code_2(
    script: object, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([*DIGITS, *flags]) == 2  # type: ignore[attr-defined]
    assert message in capsys.readouterr().err
