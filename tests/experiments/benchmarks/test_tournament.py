from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlprune.experiments.benchmarks import tournament
from rlprune.experiments.benchmarks.curves import curves
from rlprune.experiments.benchmarks.tournament import case_table, losses, overview, reference, to_reach

FLAGS = ["--network", "digits-resnet", "--budget", "macs=0.3", "--samples", "64", "--seeds", "2", "--episodes", "20"]


def test_a_case_is_run_once_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, section = tmp_path / "out.json", tmp_path / "section.md"
    flags = [
        *FLAGS,
        "--methods",
        "uniform",
        "random",
        "evolutionary",
        "ddpg",
        "ddpg/no-shaping",
        "--finetune-steps",
        "2",
    ]
    call = [*flags, "--out", str(out), "--markdown", str(section), "--pictures", str(tmp_path)]
    assert tournament.main(call) == 0
    [case] = json.loads(out.read_text())["cases"]
    rows = case["rows"]
    assert [(row["method"], row["seed"]) for row in rows][:5] == [
        ("uniform", 0), ("random", 0), ("evolutionary", 0), ("ddpg", 0), ("ddpg/no-shaping", 0)
    ]  # fmt: skip
    assert len(rows) == 9
    for row in rows:
        known = [value for value in row["curve"] if value is not None]
        assert known == sorted(known, reverse=True)
        assert row["evaluations"] <= 20
        assert 0 <= row["unseen"] <= 1
        assert 0 <= row["finetuned"] <= 1
    written = out.stat().st_mtime_ns
    assert tournament.main(call) == 0
    assert out.stat().st_mtime_ns == written
    assert "| method | cases |" in section.read_text()
    assert (tmp_path / "digits-resnet-macs0.3.png").exists()
    assert "evolutionary" in capsys.readouterr().out


def test_a_budget_that_no_plan_meets_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--network", "digits-resnet", "--budget", "macs=0.000001", "--methods", "random", "--seeds", "1"]
    assert tournament.main(flags) == 0
    assert "cannot be met" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seeds", "0"], "--seeds must be at least 1"),
        (["--methods", "randm"], "Did you mean 'random'"),
        (["--methods", "ddpg/no-shapng"], "Did you mean 'no-shaping'"),
    ],
)
def test_what_cannot_be_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert tournament.main([*FLAGS, *flags, "--out", str(tmp_path / "out.json")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def search(method: str, seed: int, *curve: float | None) -> dict[str, Any]:
    told = {"network": "n", "budget": "macs=0.5", "method": method, "seed": seed, "episodes": 4, "seconds": 3.0}
    return told | {"curve": list(curve), "unseen": 0.9}


def made_up() -> list[dict[str, Any]]:
    return [
        search("evolutionary", 0, 4.0, 3.0, 3.0, 2.0),
        search("evolutionary", 1, 4.0, 4.0, 4.0, 4.0),
        search("greedy", 0, None, None, 3.5),
        search("ddpg", 0, 3.0),
        search("ddpg", 1, 5.0, 5.0, 5.0, 5.0),
    ]


def test_evaluations_to_reach_count_a_search_that_never_does_as_all() -> None:
    rows = made_up()
    assert reference(rows) == 3.0
    assert to_reach(rows[3:], 3.0) == [1, np.inf]
    cells = {line[0]: line for line in case_table(rows).cells}
    assert cells["ddpg"][1:3] == ["2 ± 2", "1 of 2"]
    assert cells["evolutionary"][2] == "1 of 2"
    assert cells["greedy"][1] == "4"


def test_curves_go_on_behind_their_end_and_start_where_the_first_plan_is() -> None:
    rows = made_up()
    np.testing.assert_array_equal(curves(rows[3:], 4), [[3, 3, 3, 3], [5, 5, 5, 5]])
    assert np.isnan(curves(rows[2:3], 4)[0, :2]).all()


def test_losses_are_told() -> None:
    rows = [*made_up()[:3], search("ddpg", 0, 9.0), search("ddpg", 1, 9.0)]
    assert any("ddpg (9.0000) ends behind evolutionary" in line for line in losses(rows))
    assert overview([rows]).cells[0][0] != "ddpg"
