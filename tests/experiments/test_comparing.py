"""Other methods as runs of their own, and runs side by side."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from rlprune.experiments.comparing.comparable import comparable_runs
from rlprune.experiments.comparing.method_results import best_so_far
from rlprune.experiments.runs.finished import FinishedRun
from tests.experiments.conftest import INVENTED, TINY, Call

Change = Callable[[dict[str, Any]], None]
Variant = Callable[..., Path]


@pytest.fixture(scope="module")
def searched(workplace: Path, trained: Any) -> Path:
    from tests.experiments.conftest import call, inside

    with inside(workplace):
        flags = ("--method", "evolutionary", "--episodes", "12", "--out", "searched", "--finalists", "3")
        called = call("search", *TINY, *INVENTED, *flags)
    assert called.code == 0, called.err
    return workplace / "searched"


@pytest.fixture
def variant(trained: Any, tmp_path: Path) -> Variant:
    """Makes a copy of the trained run in which result and settings are changed."""

    def make(name: str, change: Change = lambda result: None, **settings: Any) -> Path:
        folder = tmp_path / "runs" / name
        shutil.copytree(trained.path, folder)
        result = json.loads((folder / "result.json").read_text())
        change(result)
        (folder / "result.json").write_text(json.dumps(result))
        config = yaml.safe_load((folder / "config.yaml").read_text())
        (folder / "config.yaml").write_text(yaml.safe_dump(config | settings))
        return folder

    return make


def seeded(seed: int, **scores: float) -> Change:
    """Another seed, with test scores by method."""

    def change(result: dict[str, Any]) -> None:
        result["seed"] = seed
        for row in result["rows"]:
            row["score_test"] = scores.get(row["name"], row["score_test"])
            row["score_validation"] += 0.1 * (row["name"] == "ddpg")
            row["divergence"] += 1e-3 * seed * (row["name"] != "dense")

    return change


def put(*path: str, value: Any) -> Change:
    """One value of the result in another's place."""

    def change(result: dict[str, Any]) -> None:
        inner = result
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value

    return change


def row_of(section: dict[str, Any], label: str) -> dict[str, Any]:
    return next(row for row in section["rows"] if row["label"] == label)


def test_search_runs_any_method(searched: Path) -> None:
    result = json.loads((searched / "result.json").read_text())
    assert [row["name"] for row in result["rows"]] == ["dense", "uniform", "filled", "probe", "evolutionary"]
    assert result["agent"] == "evolutionary"
    assert not (searched / "policy.json").exists()


def test_the_best_plan_is_kept_whatever_found_it(searched: Path, trained: Any) -> None:
    for folder in (searched, trained.path):
        result = json.loads((folder / "result.json").read_text())
        plan = json.loads((folder / "plan.json").read_text())
        assert plan["notes"]["method"] == result["winner"]
        assert "`plan.json` is that plan" in result["verdict"] or (
            f"`plan.json` is the plan of {result['winner']}" in result["verdict"]
        )


def test_methods_of_different_runs_stand_in_one_table(call: Call, searched: Path, here: Path) -> None:
    called = call("compare", "run", "--out", "compared", "searched", "--json")
    assert called.code == 0, called.err
    (section,) = called.json["sections"]
    labels = {"dense", "uniform", "filled", "probe", "random", "ddpg", "policy", "evolutionary"}
    assert {row["label"] for row in section["rows"]} == labels
    assert section["rows"][0]["label"] == "dense"
    found = row_of(section, "evolutionary")
    assert 1 <= found["evaluations_to_best"]["mean"] <= found["evaluations"]["mean"] <= 12
    assert set(section["costs"]) == {"run", "searched"}
    written = {path.name for path in (here / "compared").iterdir()}
    assert written == {"compare.csv", "compare.json", "compare.md", "front.png", "learning-curves.png", "tensorboard"}
    entries = {path.name for path in (here / "compared" / "tensorboard").iterdir()}
    assert entries == {f"{name}-seed0" for name in ("ddpg", "evolutionary", "random", "uniform", "filled", "probe")}
    assert "| evolutionary | 1 |" in (here / "compared" / "compare.md").read_text()


def test_one_run_compares_its_methods(call: Call, trained: Any, here: Path) -> None:
    shown = call("compare", "run")
    assert shown.code == 0, shown.err
    (section,) = call("compare", "run", "--json").json["sections"]
    assert section["rows"][1]["method"] == trained.called.json["winner"]
    assert "pairs are tried" not in shown.out
    assert "Too few common seeds" in shown.out
    assert max(len(line) for line in shown.out.splitlines()) <= 140


def test_a_mean_over_seeds_has_an_interval(call: Call, variant: Variant) -> None:
    scores = [0.70, 0.74, 0.78, 0.82]
    runs = [variant(f"seed{seed}", seeded(seed, ddpg=score, random=0.6)) for seed, score in enumerate(scores)]
    called = call("compare", *runs, "--json")
    assert called.code == 0, called.err
    (section,) = called.json["sections"]
    found = row_of(section, "ddpg")
    assert found["seeds"] == [0, 1, 2, 3]
    assert found["score_test"]["mean"] == pytest.approx(0.76)
    assert found["score_test"]["kind"] == "bootstrap"
    assert 0.70 < found["score_test"]["low"] < 0.76 < found["score_test"]["high"] < 0.82
    assert row_of(section, "dense")["score_test"]["kind"] == "constant"
    pairs = {frozenset((one["first"], one["second"])): one["score_test"] for one in section["differences"]}
    against = pairs[frozenset(("ddpg", "random"))]
    assert abs(against["mean"]) == pytest.approx(0.16)
    assert (against["seeds"], against["p"]) == (4, 0.125)
    assert frozenset(("ddpg", "filled")) in pairs
    assert not any("dense" in pair for pair in pairs)

    assert f"{len(section['differences'])} pairs are tried" in " ".join(called.json["notes"])
    assert "ddpg by mean validation accuracy, then divergence" in call("compare", *runs).out


@pytest.mark.parametrize(
    ("behind", "best"),
    [
        ((-0.01, 0.05), "filled and random: its validation accuracy differs from that of ddpg by no more than the"),
        ((0.01, 0.05), "ddpg by validation accuracy, beyond its noise"),
        ((None, None), "ddpg by validation accuracy. "),
    ],
)
def test_a_single_run_is_ranked_as_it_ranks_itself(
    call: Call, variant: Variant, behind: tuple[float | None, float | None], best: str
) -> None:
    found = {"uniform": (0.4, 0.3), "filled": (0.70, 0.1), "random": (0.70, 0.1), "ddpg": (0.72, 0.2)}

    def change(result: dict[str, Any]) -> None:
        result["rows"] = [row for row in result["rows"] if row["name"] in ("dense", *found)]
        plan = next(row["widths"] for row in result["rows"] if row["name"] == "random")
        for row in result["rows"][1:]:
            row["score_validation"], row["divergence"] = found[row["name"]]
            row["behind_low"], row["behind_high"] = {"ddpg": (0.0, 0.0), "uniform": (0.2, 0.4)}.get(row["name"], behind)
            row["widths"] = plan if row["name"] == "filled" else row["widths"]

    shown = " ".join(call("compare", variant("a", change)).out.split())
    assert f"Best: {best}" in shown


@pytest.mark.parametrize("order", [1, -1])
def test_a_range_and_a_budget_stand_apart_in_any_order(call: Call, variant: Variant, order: int) -> None:
    runs = [variant("range", budget=["macs=0.3..0.8"]), variant("single", put("budgets", value=["macs=0.5"]))]
    called = call("compare", *runs[::order], "--json")
    assert called.code == 0, called.err
    assert any("--levels (" in note for note in called.json["notes"])


def test_pairs_are_of_common_seeds(call: Call, variant: Variant) -> None:
    def alone(result: dict[str, Any]) -> None:
        seeded(7)(result)
        result["rows"] = [row for row in result["rows"] if row["name"] != "random"]
        del result["searches"]["random"]

    runs = [variant("a", seeded(0)), variant("b", seeded(1)), variant("c", alone)]
    (section,) = call("compare", *runs, "--json").json["sections"]
    seeds = {(one["first"], one["second"]): one["reward"]["seeds"] for one in section["differences"]}
    assert {seeds.get(("ddpg", "random"), 0), seeds.get(("random", "ddpg"), 0)} == {0, 2}
    assert "too few seeds (2)" in call("compare", *runs).out


def test_what_stands_in_two_runs_counts_once(call: Call, variant: Variant) -> None:
    other = [variant("a"), variant("b")]
    called = call("compare", *other, other[0], "--json")
    (section,) = called.json["sections"]
    assert row_of(section, "random")["seeds"] == row_of(section, "ddpg")["seeds"] == [0]
    notes = " ".join(called.json["notes"])
    assert "Counted once, where it came first: random, ddpg, policy with seed 0" in notes
    assert "a came twice and counts once" in notes


def test_dense_and_a_uniform_that_never_changes_are_no_seeds(call: Call, variant: Variant) -> None:
    def same(seed: int) -> Change:
        return put("seed", value=seed)

    runs = [variant(f"seed{seed}", same(seed)) for seed in range(3)]
    (section,) = call("compare", *runs, "--json").json["sections"]
    assert row_of(section, "uniform")["score_test"]["kind"] == "constant"
    runs = [variant(f"moved{seed}", seeded(seed)) for seed in range(3)]
    (section,) = call("compare", *runs, "--json").json["sections"]
    assert row_of(section, "uniform")["divergence"]["kind"] == "bootstrap"


def test_settings_of_an_agent_are_lines_of_their_own(call: Call, variant: Variant) -> None:
    runs = [variant("a"), variant("b", put("seed", value=1), preset="no-shaping", setting=["optimism=2"])]
    called = call("compare", *runs, "--json")
    (section,) = called.json["sections"]
    labels = {row["label"] for row in section["rows"]}
    other = "ddpg preset=no-shaping setting=optimism=2"
    assert labels == {"dense", "uniform", "filled", "probe", "random", "ddpg", "policy", other}
    assert row_of(section, "random")["seeds"] == [0, 1]


def other_dense(result: dict[str, Any]) -> None:
    result["rows"][0]["score_validation"] = 0.5


@pytest.mark.parametrize(
    ("change", "settings", "words"),
    [
        (put("data", "validation", value="cd34" * 16), {}, "differ in the validation samples."),
        (put("data", "test", value="cd34" * 16), {}, "differ in the test samples."),
        (put("fingerprint", value="0" * 64), {}, "differ in the layers of the network, which has the same name."),
        (
            put("device", "device", value="Another processor"),
            {},
            "Invented processor against Another processor",
        ),
        (put("device", "threads", value=8), {}, "runtime threads (1 against 8)"),
        (put("budgets", value=["latency=0.7"]), {}, "budget (latency=0.5 against latency=0.7)"),
        (put("reward", value="amc"), {}, "reward function (agreement against amc)"),
        (put("samples", value=16), {}, "samples of one evaluation (32 against 16)"),
        (put("episodes", value=99), {}, "episodes (12 against 99)"),
        (put("metric", value="recall"), {}, "metric (accuracy against recall)"),
        (other_dense, {}, "dense network (validation"),
        (put("seed", value=1), {"multiple": 4}, "--multiple (2 against 4)"),
    ],
)
def test_what_is_not_comparable_stands_apart(
    call: Call, variant: Variant, change: Change, settings: dict[str, Any], words: str
) -> None:
    called = call("compare", variant("a"), variant("b", change, **settings), "--json")
    assert called.code == 0, called.err
    assert [len(section["runs"]) for section in called.json["sections"]] == [1, 1]
    (note,) = [note for note in called.json["notes"] if note.startswith("Not averaged: A (")]
    assert words in note


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"decide": ["channels", "bits"]}, "--decide (channels against bits, channels)"),
        ({"density": "10,20"}, "--density (none against 10, 20)"),
        ({"bits": "8,32"}, "--bits (none against 32, 8)"),
        ({"pattern": "2:4"}, "--pattern (none against 2:4)"),
        ({"removed": "mean"}, "--removed (zero against mean)"),
        ({"decide": ["channels,bits"], "exclude": ["bits:head"]}, "--exclude (none against bits:head)"),
    ],
)
def test_runs_that_decide_otherwise_stand_apart(
    call: Call, variant: Variant, settings: dict[str, Any], words: str
) -> None:
    called = call("compare", variant("a"), variant("b", seeded(1), **settings), "--json")
    assert [len(section["runs"]) for section in called.json["sections"]] == [1, 1]
    assert any(words in note for note in called.json["notes"])


def test_it_does_not_matter_how_decisions_are_written(call: Call, variant: Variant) -> None:
    one = variant("a", decide=["channels,weights"], density="20, 10", bits="8,4")
    other = variant("b", seeded(1), decide=["weights", "channels"], density="10,20", bits="4,8")
    called = call("compare", one, other, "--json")
    assert [len(section["runs"]) for section in called.json["sections"]] == [2]


def test_a_mean_over_versions_of_a_runtime_is_told(call: Call, variant: Variant) -> None:
    def change(result: dict[str, Any]) -> None:
        result["seed"], result["device"]["version"] = 1, "9.9"

    called = call("compare", variant("a"), variant("b", change), "--json")
    assert len(called.json["sections"]) == 1
    assert any("averages over versions of the runtime: 0.0, 9.9" in note for note in called.json["notes"])


def test_runs_before_samples_were_recorded_are_named(call: Call, variant: Variant) -> None:
    called = call("compare", variant("a", lambda result: result.pop("data")), "--json")
    assert any("was not recorded" in note for note in called.json["notes"])


def test_a_parent_stands_for_its_finished_runs(call: Call, variant: Variant) -> None:
    parent = variant("a").parent
    variant("b", seeded(1))
    unfinished, broken = variant("c", seeded(2)), variant("d", seeded(3))
    (unfinished / "status.json").write_text('{"schema": "rlprune-run/1", "status": "interrupted"}')
    (broken / "result.json").write_text('{"schema": ')
    (parent / "notes").mkdir()
    called = call("compare", parent, "--json")
    assert called.code == 0, called.err
    (section,) = called.json["sections"]
    assert [Path(run).name for run in section["runs"]] == ["a", "b"]
    assert sum(line.startswith("rlprune: Left out") for line in called.errors) == 2
    assert f"{unfinished} is not complete (interrupted)" in called.err
    named = call("compare", parent / "a", unfinished)
    assert named.code == 2
    assert "not complete" in named.errors[0]


def test_a_parent_without_a_finished_run_is_refused(call: Call, variant: Variant) -> None:
    folder = variant("a")
    (folder / "status.json").write_text('{"schema": "rlprune-run/1", "status": "failed"}')
    called = call("compare", folder.parent)
    assert called.code == 2
    assert "nothing to compare" in called.errors[0]


@pytest.mark.parametrize(
    "change",
    [
        put("rows", value=[]),
        put("rows", value=7),
        put("seed", value="zero"),
        put("device", value=[1]),
        put("searches", value={"ddpg": {}}),
        put("searches", value=None),
        lambda result: result.pop("metric"),
        lambda result: result["rows"][1].update(score_test="good"),
        lambda result: result["rows"][1].update(widths=5),
        lambda result: result["rows"].pop(0),
    ],
)
def test_a_result_of_another_kind_is_refused(call: Call, variant: Variant, tmp_path: Path, change: Change) -> None:
    called = call("compare", variant("broken", change), "--out", tmp_path / "out")
    assert called.code == 2
    assert len(called.errors) == 1
    assert "broken" in called.errors[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "nothing to compare"),
        (("nowhere",), "is no run folder"),
        (("run", "--out", "run"), "another run"),
        (("--run", "run"), "--run"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    call: Call, trained: Any, here: Path, flags: tuple[str, ...], message: str
) -> None:
    called = call("compare", *flags)
    assert called.code == 2
    assert message in called.errors[0]


def test_twenty_runs(call: Call, variant: Variant, tmp_path: Path) -> None:
    budgets = [put("budgets", value=[f"macs=0.{place + 1}"]) for place in range(5)]
    for seed in range(4):
        for place, change in enumerate(budgets):
            folder = variant(f"{place}-{seed}", seeded(seed))
            result = json.loads((folder / "result.json").read_text())
            change(result)
            (folder / "result.json").write_text(json.dumps(result))
    out = tmp_path / "out"
    called = call("compare", tmp_path / "runs", "--out", out)
    assert called.code == 0, called.err
    lines = list(csv.DictReader((out / "compare.csv").open()))
    assert len(lines) == 5 * 7
    assert {line["section"] for line in lines} == set("ABCDE")
    assert {line["seeds"] for line in lines if line["method"] == "ddpg"} == {"4"}
    assert all(float(line["score_test_low"]) <= float(line["score_test"]) for line in lines if line["score_test_low"])


def test_plans_that_none_beats_make_the_front(call: Call, variant: Variant) -> None:
    def change(result: dict[str, Any]) -> None:
        result["seed"] = 1
        for row in result["rows"]:
            if row["name"] == "ddpg":
                row["score_validation"], row["macs"] = 0.999, 1.0
                row["latency_measured_ms"], row["energy_mj"] = 1e-6, 1e-6

    called = call("compare", variant("a"), variant("b", change), "--json")
    (front,) = called.json["fronts"]
    assert set(front["best"]) == {"latency_ms", "energy_mj", "macs"}
    for best in front["best"].values():
        assert best[0]["method"] == "ddpg"
        scores = [point["score_validation"] for point in best]
        assert scores == sorted(set(scores))
    assert sum(point["method"] == "dense" for point in front["points"]) == 1


def test_a_range_is_compared_at_one_of_its_budgets(call: Call, here: Path, tmp_path: Path) -> None:
    flags = ("--budget", "macs=0.3..0.8", "--levels", "3", "--episodes", "15", "--finalists", "2")
    trained = call("train", *TINY, *INVENTED[:2], *flags, "--out", tmp_path / "seed0")
    assert trained.code == 0, trained.err
    other = Path(shutil.copytree(tmp_path / "seed0", tmp_path / "seed1")) / "result.json"
    other.write_text(json.dumps(json.loads(other.read_text()) | {"seed": 1}))
    out = tmp_path / "out"
    called = call("compare", tmp_path, "--out", out, "--json")
    assert called.code == 0, called.err
    (section,) = called.json["sections"]
    chosen = json.loads((tmp_path / "seed0" / "result.json").read_text())["front"]["chosen"]
    assert section["level"] == chosen
    for label in ("ddpg", "random"):
        row = row_of(section, label)
        assert row["seeds"] == [0, 1]
        assert row["hypervolume"]["mean"] > 0
    limit = json.loads((tmp_path / "seed0" / "result.json").read_text())["front"]["dense_cost"]
    share = float(chosen.partition("=")[2])
    assert max(row_of(section, "ddpg")["macs"]["values"]) <= share * limit * (1 + 1e-9)
    (front,) = called.json["fronts"]
    assert "policy" in {point["method"] for point in front["points"]}
    assert (out / "front.png").stat().st_size > 10_000


def test_sections_take_what_a_run_holds(trained: Any) -> None:
    (section,), notes = comparable_runs([FinishedRun.read(trained.path)])
    assert notes == []
    result = json.loads((trained.path / "result.json").read_text())
    for row in result["rows"]:
        line = next(line for line in section.lines if line.method == row["name"])
        assert line.mean("score_test") == row["score_test"]
        assert line.mean("macs") == row["macs"]


def test_the_best_so_far_counts_evaluations_not_episodes() -> None:
    best = best_so_far(np.array([0.0, 1, 1, 4]), np.array([0.0, -1.0, 2.0, 1.0]))
    assert best.tolist() == [2.0, 2.0, 2.0, 2.0]
    assert best_so_far(np.array([3.0]), np.array([1.0])).tolist() == [-np.inf, -np.inf, 1.0]
