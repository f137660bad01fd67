"""``rlprune front``: the plans of finished runs between their objectives, and the one that is chosen."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from rlprune.errors import BudgetError, ConfigError
from rlprune.experiments.fronting.choosing import choose, parse_limits
from rlprune.experiments.fronting.evaluated_plans import EvaluatedPlan
from rlprune.experiments.fronting.front import Front
from rlprune.experiments.fronting.pictures import draw_front
from rlprune.experiments.runs.episodes import read_csv
from rlprune.experiments.runs.finished import FinishedRun
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.networks.network import Network
from rlprune.plans.plan import PruningPlan
from rlprune.zoo import resolve_network
from tests.experiments.conftest import TINY, Trained, call, inside

Answer = dict[str, Any]


@pytest.fixture(scope="module")
def other(workplace: Path, trained: Trained) -> Path:
    """A run of another method at another budget, on the same device."""
    with inside(workplace):
        flags = ("--device", "profile.json", "--profile-samples", "10", "--budget", "macs=0.4", "--seed", "1")
        called = call("search", "--method", "evolutionary", *TINY, *flags, "--episodes", "12", "--out", "other")
    assert called.code == 0, called.err
    return workplace / "other"


def edited(run: Path, to: Path, change: Callable[[Answer], None]) -> Path:
    """A copy of a run with another result."""
    shutil.copytree(run, to)
    result = json.loads((to / "result.json").read_text())
    change(result)
    (to / "result.json").write_text(json.dumps(result))
    return to


def answer(*arguments: object) -> Answer:
    called = call("front", *arguments, "--json")
    assert called.code == 0, called.err
    return called.json


def test_it_joins_every_plan_of_every_run(trained: Trained, other: Path) -> None:
    found = answer(trained.path, other)
    assert [objective["name"] for objective in found["objectives"]] == ["accuracy", "latency", "energy", "macs"]
    assert [objective["unit"] for objective in found["objectives"]] == [None, "ms", "mJ", None]
    episodes = [read_csv(path).widths.tolist() for run in (trained.path, other) for path in run.glob("episodes-*.csv")]
    distinct = sum(len({tuple(widths) for widths in table}) for table in episodes)
    unsearched = 2 * len(("uniform", "filled", "probe"))
    assert found["fronts"]["searched"]["plans"] == distinct + unsearched
    rows = [json.loads((run / "result.json").read_text())["rows"] for run in (trained.path, other)]
    assert found["fronts"]["measured"]["plans"] >= sum(map(len, rows)) - 2
    assert {plan["run"] for plan in found["fronts"]["searched"]["best"]} <= {str(trained.path), str(other)}
    for front in found["fronts"].values():
        parts = front["hypervolume"]
        assert all(volume <= parts["all"] + 1e-12 for volume in [*parts["runs"].values(), *parts["methods"].values()])
        assert all(plan["hypervolume_alone"] >= 0 for plan in front["best"])
    assert "In every plan energy is proportional to latency" in " ".join(found["notes"])


def test_nothing_beats_a_plan_of_the_front(trained: Trained, other: Path, tmp_path: Path) -> None:
    answer(trained.path, other, "--out", tmp_path / "front", "--objective", "accuracy", "--objective", "macs")
    with (tmp_path / "front" / "front.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for kind in ("measured", "searched"):
        own = [row for row in rows if row["front"] == kind]
        losses = np.array([[float(row["loss_accuracy"]), float(row["loss_macs"])] for row in own])
        for row, loss in zip(own, losses, strict=True):
            beaten = ((losses <= loss).all(axis=1) & (losses < loss).any(axis=1)).any()
            assert row["best"] == "False" or not beaten
            assert beaten or any(
                (losses[place] == loss).all() for place, one in enumerate(own) if one["best"] == "True"
            )
        assert sum(row["knee"] == "True" for row in own) == 1
    assert sum(row["chosen"] == "True" for row in rows) == 1


def test_the_folder_holds_tables_pictures_and_the_plan(trained: Trained, other: Path, tmp_path: Path) -> None:
    found = answer(trained.path, other, "--out", tmp_path / "front")
    names = {path.name for path in (tmp_path / "front").iterdir()}
    assert names == {"front.json", "front.md", "front.csv", "front.png", "objectives.png", "plan.json"}
    written = json.loads((tmp_path / "front" / "front.json").read_text())
    assert written == found
    assert written["schema"] == "rlprune-front/1"
    plan = PruningPlan.load(tmp_path / "front" / "plan.json")
    assert plan.notes["method"] == found["chosen"]["method"]
    text = (tmp_path / "front" / "front.md").read_text()
    assert "Chosen (the knee)" in text
    assert "![The fronts](front.png)" in text


@pytest.mark.parametrize("among", ["measured", "searched"])
def test_the_plan_that_is_written_is_the_one_chosen(trained: Trained, here: Path, tmp_path: Path, among: str) -> None:
    found = answer(trained.path, "--among", among, "--choose", "latency", "--out", tmp_path / "front")
    loaded = resolve_network("tiny_networks:network")
    network = Network(loaded.model, loaded.example_inputs, multiple=2)
    plan = PruningPlan.load(tmp_path / "front" / "plan.json")
    assert plan.widths(network).tolist() == found["chosen"]["plan"]


def test_limits_and_preferences_choose(trained: Trained, other: Path) -> None:
    runs = (trained.path, other)
    least = answer(*runs, "--choose", "latency")["chosen"]
    assert least["values"]["latency"] == min(
        plan["values"]["latency"] for plan in answer(*runs)["fronts"]["measured"]["best"]
    )
    best = answer(*runs, "--prefer", "accuracy=1")["chosen"]
    within = answer(*runs, "--within", f"accuracy={100 * best['values']['accuracy'] - 1e-6:.6f}%", "--choose", "energy")
    assert within["chosen"]["values"]["accuracy"] == best["values"]["accuracy"]
    tight = answer(*runs, "--within", f"latency={least['losses']['latency']}", "--within", "energy=1J")
    assert tight["chosen"]["values"] == least["values"]
    assert tight["chosen"]["how"].endswith("the best accuracy")


def test_limits_that_nothing_keeps_to_tell_the_nearest_plan(trained: Trained) -> None:
    called = call("front", trained.path, "--within", "latency=0.01", "--within", "accuracy=0.1")
    assert called.code == 2
    assert "measured plans keeps to latency=0.01 and accuracy=0.1. The nearest, " in called.errors[0]
    assert "where latency=0.01 is asked. Loosen the limit" in called.errors[0]
    assert "where accuracy" not in called.errors[0]


def test_the_table_fits_a_terminal(trained: Trained, other: Path, here: Path) -> None:
    shown = call("front", "run", "other")
    assert shown.code == 0, shown.err
    assert "knee" in shown.out
    assert "Hypervolume" in shown.out
    assert "Chosen (the knee) among measured" in shown.out
    assert max(len(line) for line in shown.out.splitlines()) <= 140


def test_objectives_that_the_search_does_not_know_leave_the_measured_front(trained: Trained) -> None:
    found = answer(trained.path, "--objective", "accuracy", "--objective", "size", "--objective", "divergence")
    assert list(found["fronts"]) == ["measured"]
    notes = " ".join(found["notes"])
    assert "No front of the search" in notes
    assert "left out: an objective is not known" in notes


def test_any_objective_is_told_in_words(trained: Trained) -> None:
    flags = [flag for name in ("accuracy", "size", "divergence", "params") for flag in ("--objective", name)]
    shown = call("front", trained.path, *flags)
    assert shown.code == 0, shown.err
    assert "divergence 0.0" in shown.out


def test_runs_of_other_networks_data_or_devices_are_refused(trained: Trained, other: Path, tmp_path: Path) -> None:
    def other_network(result: Answer) -> None:
        result["fingerprint"] = "0" * 64

    def other_device(result: Answer) -> None:
        result["device"]["device"] = "Another processor"

    strange = edited(other, tmp_path / "network", other_network)
    called = call("front", trained.path, strange)
    assert called.code == 2
    assert f"{trained.path} and {strange} differ in the layers of the network" in called.errors[0]
    strange = edited(other, tmp_path / "device", other_device)
    assert "differ in device" in call("front", trained.path, strange).errors[0]
    machineless = ("--objective", "accuracy", "--objective", "macs")
    assert call("front", trained.path, strange, *machineless).code == 0
    assert call("front", trained.path, other).code == 0


def test_a_run_keeps_its_own_front(trained: Trained) -> None:
    kept = json.loads((trained.path / "front.json").read_text())
    found = answer(trained.path)
    assert kept["fronts"]["searched"]["hypervolume"]["all"] == found["fronts"]["searched"]["hypervolume"]["all"]
    assert kept["runs"] == [trained.path.name]
    report = (trained.path / "report.md").read_text()
    assert "## Between accuracy, latency and energy" in report
    assert (trained.path / "pictures" / "front-of-objectives.png").stat().st_size > 5000


def nowhere() -> FinishedRun:
    """A run of which but the name is told."""
    return FinishedRun("run", TrainConfig(), cast(Any, None), {})


def made(accuracy: float, latency: float, **more: float) -> EvaluatedPlan:
    dense = {"accuracy": 0.8, "latency": 4.0, "energy": 2.0}
    return EvaluatedPlan(
        nowhere(), "ddpg", (1,), {"accuracy": accuracy, "latency": latency, **more}, dense, "finalist", True
    )


@pytest.fixture
def front() -> Front:
    plans = [made(0.80, 3.0), made(0.78, 1.0), made(0.60, 0.8), made(0.70, 2.0)]
    return Front.of("measured", plans, ("accuracy", "latency"))


def test_a_front_of_known_plans(front: Front) -> None:
    assert front.best.tolist() == [0, 1, 2]
    assert front.knee.row == 1
    assert front.losses[1] == pytest.approx([0.025, 0.25])
    assert front.volume == pytest.approx(0.25 * 1.0 + 0.5 * 0.975 + 0.05 * 0.75)
    assert front.contributions[0] == pytest.approx(0.25 * 0.025)


@pytest.mark.parametrize(
    ("limits", "way", "row"),
    [
        ([], "knee", 1),
        (["latency=0.5"], "accuracy", 1),
        (["latency=900us"], "accuracy", 2),
        (["accuracy=1"], "latency", 0),
        (["accuracy=70%"], "latency", 1),
        (["accuracy=0.75", "latency=3ms"], "accuracy", 0),
    ],
)
def test_choices_on_it(front: Front, limits: list[str], way: str, row: int) -> None:
    assert choose(front, parse_limits(limits), way, {}).row == row


def test_the_chosen_plan_is_in_the_picture_wherever_it_lies(front: Front) -> None:
    lowest = Front.of("measured", [*front.plans, made(0.2, 3.5)], ("accuracy", "latency"))
    for chosen, seen in ((None, False), (4, True)):
        low, high = draw_front([lowest], "accuracy", [chosen]).axes[0].get_ylim()
        assert bool(low < 0.2 < high) is seen


def test_promises_are_not_held_against_what_was_timed(trained: Trained, tmp_path: Path) -> None:
    def slower(result: Answer) -> None:
        for row in result["rows"]:
            row["latency_measured_ms"] = row["latency_promised_ms"] * (1.0 if row["role"] == "dense" else 1.2)

    timed = edited(trained.path, tmp_path / "timed", slower)
    rows = len({(row["name"], *row["widths"]) for row in json.loads((timed / "result.json").read_text())["rows"]})
    found = answer(timed)
    assert found["fronts"]["measured"]["plans"] == rows - 1
    assert found["chosen"]["latency_measured"]
    assert "plans were scored but not timed" in " ".join(found["notes"])
    machineless = ("--objective", "accuracy", "--objective", "macs")
    assert answer(timed, *machineless)["fronts"]["measured"]["plans"] > rows - 1
    least = min(plan["losses"]["latency"] for plan in found["fronts"]["measured"]["best"])
    within = answer(timed, *machineless, "--within", f"latency={least}")
    assert within["chosen"]["latency_measured"]
    assert within["chosen"]["losses"]["latency"] == pytest.approx(least)
    assert answer(trained.path)["fronts"]["measured"]["plans"] > rows - 1  # where nothing was timed


def test_a_weight_decides(front: Front) -> None:
    assert choose(front, [], "knee", {"latency": 1.0}).row == 2
    assert choose(front, [], "knee", {"latency": 1.0, "accuracy": 100.0}).row == 0
    with pytest.raises(ConfigError, match="Add --objective energy"):
        choose(front, [], "knee", {"energy": 1.0})


def test_plans_that_do_not_know_what_is_limited_are_out(front: Front) -> None:
    with pytest.raises(BudgetError, match=r"None of the 4 measured plans tells what energy=0\.5 limits"):
        choose(front, parse_limits(["energy=0.5"]), "knee", {})
    knowing = Front.of("measured", [*front.plans, made(0.5, 3.9, energy=0.5)], ("accuracy", "latency"))
    assert choose(knowing, parse_limits(["energy=0.5"]), "accuracy", {}).row == 4


def test_a_score_that_is_negative_or_zero_is_compared_too() -> None:
    plans = [
        EvaluatedPlan(
            nowhere(),
            "ddpg",
            (1,),
            {"accuracy": score, "latency": 1.0 + score},
            {"accuracy": -2.0, "latency": 4.0},
            "",
            True,
        )
        for score in (-2.5, -2.1)
    ]
    front = Front.of("measured", plans, ("accuracy", "latency"))
    assert front.losses[:, 0] == pytest.approx([0.25, 0.05])
    assert choose(front, parse_limits(["accuracy=0.9"]), "latency", {}).row == 1
