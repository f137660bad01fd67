"""Other methods as runs of their own, and runs side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlprune.experiments.comparing import best_so_far
from tests.experiments.conftest import INVENTED, TINY, Call


@pytest.fixture(scope="module")
def searched(workplace: Path, trained: Any) -> Path:
    from tests.experiments.conftest import call, inside

    with inside(workplace):
        flags = ("--method", "evolutionary", "--episodes", "12", "--out", "searched", "--finalists", "3")
        called = call("search", *TINY, *INVENTED, *flags)
    assert called.code == 0, called.err
    return workplace / "searched"


def test_search_runs_any_method(searched: Path) -> None:
    result = json.loads((searched / "result.json").read_text())
    assert [row["name"] for row in result["rows"]] == ["dense", "uniform", "evolutionary"]
    assert result["agent"] == "evolutionary"
    assert not (searched / "policy.json").exists()


def test_the_best_plan_is_kept_whatever_found_it(searched: Path, trained: Any) -> None:
    for folder in (searched, trained.path):
        result = json.loads((folder / "result.json").read_text())
        plan = json.loads((folder / "plan.json").read_text())
        assert plan["notes"]["method"] == result["winner"]
        assert f"`plan.json` is the plan of {result['winner']}" in result["verdict"]


def test_runs_side_by_side(call: Call, searched: Path, here: Path) -> None:
    called = call("compare", "--run", "run", "--run", "searched", "--out", "compared", "--json")
    assert called.code == 0, called.err
    methods = called.json["methods"]
    assert set(methods) == {"uniform", "random", "ddpg", "evolutionary"}
    assert len(methods["uniform"]) == 2
    assert methods["evolutionary"][0]["evaluations"] <= 12
    assert sorted(path.name for path in (here / "compared").iterdir()) == [
        "compare.json",
        "compare.md",
        "learning-curves.png",
    ]
    assert "| method | runs |" in (here / "compared" / "compare.md").read_text()
    shown = call("compare", "--run", "run", "--run", "searched")
    assert "evolutionary" in shown.out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "nothing to compare"),
        (("--run", "nowhere"), "is no run folder"),
        (("--run", "run", "--run", "other"), "other has samples"),
        (("--run", "run", "--out", "run"), "another run"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    call: Call, trained: Any, here: Path, flags: tuple[str, ...], message: str
) -> None:
    if "other" in flags and not (here / "other").exists():
        made = call(
            "search", *TINY, *INVENTED, "--method", "random", "--episodes", "2", "--samples", "16", "--out", "other"
        )
        assert made.code == 0, made.err
    called = call("compare", *flags)
    assert called.code == 2
    assert message in called.errors[0]


def test_the_best_so_far_counts_evaluations_not_episodes() -> None:
    best = best_so_far(np.array([0.0, 1, 1, 4]), np.array([0.0, -1.0, 2.0, 1.0]))
    assert best.tolist() == [2.0, 2.0, 2.0, 2.0]
    assert best_so_far(np.array([3.0]), np.array([1.0])).tolist() == [-np.inf, -np.inf, 1.0]
