from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlprune.experiments.benchmarks import tournament
from rlprune.experiments.benchmarks.tournament_report import curves, losses, overview, reference, summary, to_reach

FLAGS = ["--network", "digits-resnet", "--budget", "macs=0.3", "--samples", "64", "--seeds", "2", "--episodes", "20"]


def test_a_case_is_run_once_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, section = tmp_path / "out", tmp_path / "section.md"
    flags = [*FLAGS, "--methods", "uniform", "random", "evolutionary", "ddpg", "ddpg/no-model", "--finetune-steps", "2"]
    call = [*flags, "--out", str(folder), "--markdown", str(section)]
    assert tournament.main(call) == 0
    [path] = folder.glob("*.json")
    case = json.loads(path.read_text())
    assert [(s["method"], s["seed"]) for s in case["searches"]][:5] == [
        ("uniform", 0), ("random", 0), ("evolutionary", 0), ("ddpg", 0), ("ddpg/no-model", 0)
    ]  # fmt: skip
    assert len(case["searches"]) == 9
    for search in case["searches"]:
        known = [value for value in search["curve"] if value is not None]
        assert known == sorted(known, reverse=True)
        assert search["evaluations"] <= 20
        assert 0 <= search["unseen"] <= 1
        assert 0 <= search["finetuned"] <= 1
    written = path.stat().st_mtime_ns
    assert tournament.main(call) == 0
    assert path.stat().st_mtime_ns == written
    assert "| method | cases |" in section.read_text()
    assert (folder / "summary" / "digits-resnet-macs0.3.png").exists()
    assert "evolutionary" in capsys.readouterr().out


def test_a_budget_that_no_plan_meets_is_told(tmp_path: Path) -> None:
    folder, section = tmp_path / "out", tmp_path / "section.md"
    flags = ["--network", "digits-resnet", "--budget", "macs=0.000001", "--methods", "random", "--seeds", "1"]
    assert tournament.main([*flags, "--out", str(folder), "--markdown", str(section)]) == 0
    assert "cannot be met" in section.read_text()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seeds", "0"], "at least 1 seed"),
        (["--episodes", "0"], "at least 1 seed"),
        (["--methods", "randm"], "Did you mean 'random'"),
        (["--methods", "ddpg/no-modle"], "Did you mean 'no-model'"),
    ],
)
def test_what_cannot_be_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert tournament.main([*FLAGS, *flags, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def search(method: str, seed: int, *curve: float | None) -> dict[str, Any]:
    return {
        "method": method,
        "seed": seed,
        "curve": list(curve),
        "unseen": 0.9,
        "own_seconds": 1.0,
        "inference_seconds": 2.0,
    }


def made_up() -> dict[str, Any]:
    searches = [
        search("evolutionary", 0, 4.0, 3.0, 3.0, 2.0),
        search("evolutionary", 1, 4.0, 4.0, 4.0, 4.0),
        search("greedy", 0, None, None, 3.5),
        search("ddpg", 0, 3.0),
        search("ddpg", 1, 5.0, 5.0, 5.0, 5.0),
    ]
    return {"network": "n", "budget": "macs=0.5", "episodes": 4, "seeds": 2, "searches": searches}


def test_evaluations_to_reach_count_a_search_that_never_does_as_all() -> None:
    case = made_up()
    assert reference(case) == 3.0
    assert to_reach(case, "ddpg", 3.0)[0] == 1
    assert np.isnan(to_reach(case, "ddpg", 3.0)[1])
    rows = summary(case)
    assert rows["ddpg"]["to_reach"]["mean"] == pytest.approx((1 + 4) / 2)
    assert (rows["ddpg"]["reached"], rows["evolutionary"]["reached"]) == (1, 1)
    assert rows["greedy"]["to_reach"]["mean"] == 4


def test_curves_go_on_behind_their_end_and_start_where_the_first_plan_is() -> None:
    case = made_up()
    np.testing.assert_array_equal(curves(case, "ddpg", 4), [[3, 3, 3, 3], [5, 5, 5, 5]])
    assert np.isnan(curves(case, "greedy", 4)[0, :2]).all()


def test_losses_are_told() -> None:
    case = made_up()
    case["searches"][3:] = [search("ddpg", 0, 9.0), search("ddpg", 1, 9.0)]
    assert any("ddpg (9.0000) ends behind evolutionary" in line for line in losses([case]))
    assert overview([case])[1][0][0] != "ddpg"
