"""Training over a range of budgets."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from rlprune.arrays import IntArray
from rlprune.evaluation.problem import Outcome, PruningProblem
from rlprune.evaluation.quality import Quality
from rlprune.experiments.benchmarks import policy_alone
from rlprune.experiments.runs.episodes import read_csv
from rlprune.experiments.runs.verdict import hypervolume_text
from rlprune.plans.plan import PruningPlan
from tests.experiments.conftest import TINY, Trained, call, inside

RANGE = (
    *("train", *TINY, "--device", "profile.json", "--profile-samples", "10", "--finalists", "3"),
    *("--budget", "latency=0.5..0.9", "--levels", "3", "--episodes", "18", "--baselines", "nsga2"),
)


@pytest.fixture(scope="module")
def front(workplace: Path) -> dict[str, Any]:
    with inside(workplace):
        called = call(*RANGE, "--out", "front", "--json")
    assert called.code == 0, called.err
    result: dict[str, Any] = called.json
    return result


def test_every_method_has_a_plan_at_every_budget_and_the_policy_too(front: dict[str, Any]) -> None:
    points = front["front"]["points"]
    budgets = [point["budget"] for point in points if point["method"] == "ddpg"]
    assert budgets == ["latency=0.5", "latency=0.7", "latency=0.9"]
    assert {point["method"] for point in points} == {"uniform", "filled", "probe", "nsga2", "ddpg", "policy"}
    assert len(points) == 18
    for point in points:
        limit = float(point["budget"].partition("=")[2]) * front["front"]["dense_cost"]
        assert point["budget_cost"] <= limit * (1 + 1e-9)
        assert point["score_test"] is not None


def test_costs_rise_along_the_front_and_the_best_are_among_its_points(front: dict[str, Any]) -> None:
    own = [point["budget_cost"] for point in front["front"]["points"] if point["method"] == "ddpg"]
    assert own == sorted(own)
    for method in ("ddpg", "nsga2"):
        scores = [point["score_validation"] for point in front["front"]["points"] if point["method"] == method]
        assert scores == sorted(scores)
    names = {point["name"] for point in front["front"]["points"]}
    assert set(front["front"]["best"]) - names <= {"ddpg", "nsga2", "uniform", "filled", "probe"}
    assert front["front"]["chosen"] in front["verdict"]
    assert set(front["front"]["hypervolume"]) == {"uniform", "filled", "probe", "nsga2", "ddpg"}


def test_the_table_is_of_the_chosen_budget(front: dict[str, Any]) -> None:
    assert front["budgets"] == [front["front"]["chosen"]]
    assert [row["name"] for row in front["rows"]] == ["dense", "uniform", "filled", "probe", "nsga2", "ddpg", "policy"]


def test_the_folder_holds_a_plan_for_every_budget_the_picture_and_the_table(
    front: dict[str, Any], workplace: Path
) -> None:
    folder = workplace / front["run"]
    for method in ("ddpg", "policy"):
        for share in ("0.5", "0.7", "0.9"):
            assert PruningPlan.load(folder / "plans" / f"{method}-latency{share}.json").decisions
    assert (folder / "pictures" / "front.png").stat().st_size > 5000
    assert "## The front" in (folder / "report.md").read_text()
    page = (folder / "report.html").read_text()
    assert ">The front</h2>" in page
    assert "latency=0.5..0.9" in page
    assert all(f"{point['score_validation']:.2%}" in page for point in front["front"]["points"])


def test_the_policy_alone_is_asked_at_budgets_between_those_of_its_training(
    front: dict[str, Any], trained: Trained, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "alone.json"
    assert policy_alone.main([front["run"], *TINY[:4], "--out", str(out)]) == 0
    [case] = json.loads(out.read_text())["cases"]
    assert [row["budget"] for row in case["rows"]] == pytest.approx([0.6, 0.8])
    assert all(math.isfinite(row["gain"]) for row in case["rows"])
    assert "of 2" in capsys.readouterr().out
    assert policy_alone.main([str(trained.path), *TINY[:4]]) == 2
    assert "must be over a range" in capsys.readouterr().err


def test_preferences_choose_on_the_front(here: Path) -> None:
    chosen = {}
    for wish in ("accuracy", "latency"):
        called = call(*RANGE, "--prefer", f"{wish}=1", "--out", f"wish-{wish}", "--json")
        assert called.code == 0, called.err
        points = [point for point in called.json["front"]["points"] if point["method"] == "ddpg"]
        chosen[wish] = next(point for point in points if point["budget"] == called.json["front"]["chosen"])
        if wish == "accuracy":
            assert chosen[wish]["score_validation"] == max(point["score_validation"] for point in points)
        else:
            assert chosen[wish]["budget_cost"] == min(point["budget_cost"] for point in points)


def test_its_policy_is_replayed_at_any_budget(front: dict[str, Any], here: Path) -> None:
    called = call("replay", front["run"], *TINY[:4], "--budget", "latency=0.65", "--json")
    assert called.code == 0, called.err
    assert called.json["budgets"] == ["latency=0.65"]


def test_words_for_the_front() -> None:
    text = hypervolume_text("ddpg", {"ddpg": 1.2, "nsga2": 1.0, "uniform": 0.5}, "latency")
    assert "ddpg has 1.20 times that of nsga2" in text


def test_a_nan_reward_names_the_episode_and_nothing_is_lost(train: Any, here: Path) -> None:
    called = train("fragile", "--task", "tiny_networks:fragile_task", "--baselines", "[]")
    assert called.code == 2
    assert "Episode 3 of ddpg" in called.errors[0]
    assert "--on-nan skip" in called.errors[0]
    assert json.loads((here / "fragile" / "status.json").read_text())["status"] == "failed"


def test_a_nan_reward_can_be_skipped(train: Any, here: Path) -> None:
    called = train("skipped", "--task", "tiny_networks:fragile_task", "--baselines", "[]", "--on-nan", "skip", "--json")
    assert called.code == 0, called.err
    assert called.json["searches"]["ddpg"]["episodes"] == 12
    assert called.json["searches"]["ddpg"]["best_reward"] > -1e5
    assert (read_csv(here / "skipped" / "episodes-ddpg.csv").columns["reward"] < -1e5).sum() == 1  # and not tried again


@pytest.mark.parametrize("budget", ["latency=0.5", "latency=0.5..0.9"])
def test_a_search_without_any_reward_says_so(
    here: Path, tmp_path: Path, budget: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = PruningProblem.judged

    def without_score(self: PruningProblem, widths: IntArray, quality: Quality) -> Outcome:
        return judged(self, widths, Quality(math.nan, quality.divergence, quality.samples))

    monkeypatch.setattr(PruningProblem, "judged", without_score)
    short = ("--episodes", "12", "--baselines", "[]", "--levels", "2", "--device", "profile.json", "--budget", budget)
    called = call("train", *TINY, *short, "--on-nan", "skip", "--out", tmp_path / "run")
    assert called.code == 2
    assert "needs a plan with a finite reward; ddpg found none in 12 episodes" in called.errors[0]
    assert (tmp_path / "run" / "episodes-ddpg.csv").is_file()
