"""The scale benchmark, on its smallest network and small images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlprune.experiments.benchmarks import scale

SMALL = ["--network", "thin-25", "--size", "32", "--samples", "8", "--threads", "1"]


def rows(flags: list[str], out: Path) -> list[dict[str, float]]:
    assert scale.main([*SMALL, *flags, "--out", str(out)]) == 0
    return [row for case in json.loads(out.read_text())["cases"] for row in case["rows"]]


def test_says_what_preparing_took(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [row] = rows([], tmp_path / "scale.json")
    assert row["groups"] == 26
    assert row["parameters"] == 64 * (3 * 64 + 2) + 25 * 64 * (576 + 2) + 65 * 1000
    assert 0 < row["tables_gib"] < row["peak_gib"]
    assert row["network_seconds"] > 0
    assert row["approximate"] == {}
    assert all("held out" in reason for reason in row["unrepaired"].values())  # type: ignore[attr-defined]
    assert "thin-25" in capsys.readouterr().out


@pytest.mark.slow
def test_a_process_for_each_network_and_a_cap(tmp_path: Path) -> None:
    [row] = rows(["--memory-gib", "0.05"], tmp_path / "scale.json")
    assert row["tables_gib"] <= 0.05
    assert len(row["unrepaired"]) > 5  # type: ignore[arg-type]
    assert row["network"] == "thin-25"


def test_an_unknown_network_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert scale.main(["--network", "resnet5"]) == 2
    assert "Did you mean 'resnet50'" in capsys.readouterr().err
