"""The promise benchmark, on the smallest network and with few samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlprune.experiments.benchmarks import latency_promise


@pytest.mark.slow
def test_writes_figures_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency_promise, "TRULY_EXPORTED", 1)
    out = tmp_path / "promise.json"
    arguments = f"--network digits-resnet --out {out} --plans 8 --checks 3 --samples 5 --quiet".split()
    assert latency_promise.main(arguments) == 0
    found = json.loads(out.read_text())
    assert len(found["plans"]) == found["errors"]["plans"] == 3
    fitted = json.loads(out.with_suffix(".profile.json").read_text())["measured"]
    assert not {tuple(plan["widths"]) for plan in found["plans"]} & {tuple(plan["widths"]) for plan in fitted}
    for plan in found["plans"]:
        assert plan["corrected_ms"] == pytest.approx(plan["ratio"] * found["profile_dense_latency_ms"])
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert "median error" in capsys.readouterr().out


def test_an_unknown_network_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert latency_promise.main(["--network", "fashion-resnet", "--out", str(tmp_path / "out.json")]) == 2
    shown = capsys.readouterr()
    assert "Did you mean" in shown.err
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == []
