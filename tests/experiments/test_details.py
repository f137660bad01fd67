"""What runs tell beside the score: of two classes, numbers and a recommender; in result, report, apply and validate."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rlprune.evaluation.evaluator import Evaluator
from rlprune.experiments.presenting.document import Table
from rlprune.experiments.reports.class_details import confused_pairs, details
from rlprune.experiments.runs.details_table import LABELS, measure_text
from rlprune.experiments.runs.result import result_of_values
from rlprune.experiments.runs.run_folder import RunFolder
from tests.experiments.conftest import TINY

MODULE = '''
import torch
from torch import nn

from rlprune.tasks import BinaryTask, RankingTask, RegressionTask, Split, load_task

USERS, MOMENTS, ITEMS = 40, 30, 24


def mlp(*widths):
    layers = []
    for into, out in zip(widths, widths[1:]):
        layers += [nn.Linear(into, out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def seeded(make, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def odd_network():
    """One logit: whether a digit is odd."""
    model = seeded(lambda: nn.Sequential(nn.Flatten(), mlp(64, 32, 16, 1)))
    data = load_task("digits").train
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        loss = nn.functional.binary_cross_entropy_with_logits(model(data.inputs)[:, 0], (data.targets % 2).float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval(), data.inputs[:1]


def odd_task(metric="accuracy"):
    data = load_task("digits")
    splits = {which: getattr(data, which) for which in ("calibration", "validation", "test")}
    odd = {which: Split(split.inputs, split.targets % 2) for which, split in splits.items()}
    return BinaryTask("odd", **odd, metric=metric)


def odd_auc_task():
    return odd_task("auc")


def curve_network():
    return seeded(lambda: mlp(6, 32, 32, 1)).eval(), torch.zeros(1, 6)


def curve_task():
    model, generator = curve_network()[0], torch.Generator().manual_seed(1)

    def split(count):
        x = torch.randn(count, 6, generator=generator)
        with torch.no_grad():
            return Split(x, model(x)[:, 0] + 0.02 * torch.randn(count, generator=generator))

    return RegressionTask("curve", calibration=split(64), validation=split(64), test=split(48))


class Shop(nn.Module):
    """Scores of all items for a user at a moment."""

    def __init__(self):
        super().__init__()
        self.users, self.moments = nn.Embedding(USERS, 16), nn.Embedding(MOMENTS, 16)
        self.body = mlp(32, 48, 32, ITEMS)

    def forward(self, pairs):
        return self.body(torch.cat([self.users(pairs[:, 0]), self.moments(pairs[:, 1])], dim=1))


def shop_network():
    return seeded(Shop).eval(), torch.zeros(1, 2, dtype=torch.long)


def shop_task():
    """Users take what the network would, mostly: half as much noise as there is signal."""
    model, generator = shop_network()[0], torch.Generator().manual_seed(2)
    order = torch.randperm(USERS * MOMENTS, generator=generator)
    pairs = torch.stack([order // MOMENTS, order % MOMENTS], dim=1)
    with torch.no_grad():
        scores = model(pairs)
    taken = (scores + 0.5 * scores.std() * torch.randn(scores.shape, generator=generator)).argmax(dim=1)
    cuts = {"calibration": slice(0, 400), "validation": slice(400, 500), "test": slice(500, 600)}
    return RankingTask("shop", **{name: Split(pairs[cut], taken[cut]) for name, cut in cuts.items()}, k=5)
'''
QUICK = ("--budget", "macs=0.5", "--device", "cpu", "--episodes", "8", "--samples", "48", "--profile-samples", "10")
Search = Callable[..., dict[str, Any]]


@pytest.fixture
def search(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Search:
    """A quick random search on a network and a task of the module above; returns its result."""
    (tmp_path / "odd_curve_shop.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)

    def run(network: str, task: str) -> dict[str, Any]:
        named = ("--network", f"odd_curve_shop:{network}", "--task", f"odd_curve_shop:{task}")
        called = call("search", "--method", "random", *named, *QUICK, "--multiple", "4", "--out", "run")
        assert called.code == 0, called.err
        checked = call("validate", "run", *named, "--no-timing", "--json")
        assert checked.code == 0, checked.out
        result: dict[str, Any] = json.loads(Path("run/result.json").read_text())
        return result

    return run


def told(result: dict[str, Any], split: str = "test") -> dict[str, dict[str, Any]]:
    return {name: splits[split] for name, splits in result["details"]["networks"].items()}


def test_one_logit_from_the_search_to_the_report(search: Search) -> None:
    result = search("odd_network", "odd_task")
    assert result["metric"] == "accuracy"
    for row in result["rows"]:
        found = told(result)[row["name"]]
        tp, tn, fp, fn = (found[name] for name in ("tp", "tn", "fp", "fn"))
        assert tp + tn + fp + fn == 360
        assert (tp + tn) / 360 == found["accuracy"] == row["score_test"]
        assert 0.5 < found["auc"] <= 1
    report = Path("run/report.md").read_text()
    kept = told(result)[result["winner"]]
    assert f"({kept['tp']} + {kept['tn']}) / ({kept['tp']} + {kept['tn']} + {kept['fp']} + {kept['fn']})" in report
    assert "area under ROC curve" in report
    assert Path("run/pictures/confusion.png").is_file()


@pytest.mark.slow
def test_the_auc_can_be_what_is_searched_for(search: Search) -> None:
    result = search("odd_network", "odd_auc_task")
    assert result["metric"] == "auc"
    assert [row["score_test"] for row in result["rows"]] == [found["auc"] for found in told(result).values()]


@pytest.mark.slow
def test_numbers_from_the_search_to_the_report(search: Search) -> None:
    result = search("curve_network", "curve_task")
    assert result["rows"][0]["score_test"] > 0.8
    assert result["rows"][1]["divergence"] > 0
    assert [row["score_test"] for row in result["rows"]] == [found["r2"] for found in told(result).values()]
    assert result["details"]["lower_is_better"] == ["mae", "rmse"]
    report = Path("run/report.md").read_text()
    assert "root mean squared error ↓" in report
    assert "lost recall" not in report
    assert not Path("run/pictures/confusion.png").exists()


@pytest.mark.slow
def test_a_recommender_from_the_search_to_the_report(search: Search) -> None:
    result = search("shop_network", "shop_task")
    assert result["metric"] == "ndcg@5"
    dense, *pruned = told(result).values()
    assert dense["ndcg@5"] == result["rows"][0]["score_test"] > 0.5
    for found in pruned:
        assert 0 < found["mrr"] <= dense["hit_rate@5"]
    assert "| hit rate@5 |" in Path("run/report.md").read_text()


@pytest.fixture
def result(trained: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((trained.path / "result.json").read_text())
    return value


def test_the_score_and_what_is_told_beside_it_are_of_the_same_answers(result: dict[str, Any]) -> None:
    for row in result["rows"]:
        splits = result["details"]["networks"][row["name"]]
        assert splits["validation"]["top_1"] == row["score_validation"]
        assert splits["test"]["top_1"] == row["score_test"]
        assert sum(map(sum, splits["test"]["confusion"])) == result["images"]["test"]


@pytest.mark.slow
def test_the_test_images_pass_through_each_network_once(train: Any, monkeypatch: Any, tmp_path: Path) -> None:
    passes: list[int] = []
    original = Evaluator._outputs

    def counted(self: Evaluator, model: Any, split: Any) -> torch.Tensor:
        if "test" in self.task.loaded and split is self.task.test:
            passes.append(len(split))
        return original(self, model, split)

    monkeypatch.setattr(Evaluator, "_outputs", counted)
    called = train(tmp_path / "run", "--json")
    assert called.code == 0, called.err
    assert len(passes) == len(called.json["rows"])


@pytest.fixture
def copied(trained: Any, here: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.path, tmp_path / "run"))


def edited(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads((run / "result.json").read_text())
    change(value)
    (run / "result.json").write_text(json.dumps(value))


def better(result: dict[str, Any]) -> None:
    found = result["details"]["networks"][result["winner"]]["test"]
    found["macro_f1"] += 0.01
    found["confusion"][0][0] += 1


def forgotten(result: dict[str, Any]) -> None:
    del result["details"]["networks"][result["winner"]]["validation"]["log_loss"]


def test_validate_finds_details_that_are_not_so(call: Any, copied: Path) -> None:
    edited(copied, better)
    edited(copied, forgotten)
    called = call("validate", copied, *TINY[:4], "--json", "--no-timing")
    assert called.code == 1
    differing = {(claim["name"], claim["subject"]) for claim in called.json["claims"] if claim["verdict"] == "differs"}
    kept = json.loads((copied / "result.json").read_text())["winner"]
    assert differing == {
        ("macro_f1", f"{kept}, test"),
        ("confusion", f"{kept}, test"),
        ("log_loss", f"{kept}, validation"),
    }


def test_runs_from_before_details_are_still_read(call: Any, copied: Path) -> None:
    edited(copied, lambda result: result.pop("details"))
    for verb in ("report", "validate"):
        called = call(verb, copied, *([] if verb == "report" else [*TINY[:4], "--no-timing"]))
        assert called.code == 0, called.err
    assert "In detail" not in (copied / "report.md").read_text()


Told = dict[str, Any]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda told: told.pop("dense"), "details must be of every network in rows"),
        (
            lambda told: told["dense"]["test"].update(top_1="much"),
            "details.networks.dense.test.top_1: expected",
        ),
        (lambda told: told["dense"]["test"]["confusion"].pop(), "all lists of classes must be as long as each other"),
        (lambda told: told["dense"]["test"]["confusion"][0].pop(), "confusion must be a square of counts"),
        (
            lambda told: told["dense"]["test"].update(confusion=[[0.5] * 4] * 4),
            "confusion[0][0]: expected int",
        ),
        (
            lambda told: told["dense"]["test"].update(confusion=[[-1] * 4] * 4),
            "expected int >= 0; -1 came",
        ),
        (lambda told: told["dense"]["test"].update(class_recall=0.5), "class_recall: expected array, got float"),
        (
            lambda told: told["dense"]["test"].update(confused=[[1, 2]]),
            "confused[0]: expected array of length 3",
        ),
    ],
)
def test_details_that_cannot_be_are_refused(
    call: Any, copied: Path, change: Callable[[Told], object], says: str
) -> None:
    edited(copied, lambda result: change(result["details"]["networks"]))
    called = call("report", copied)
    assert (called.code, len(called.errors)) == (2, 1), called.err
    assert says in called.err


@pytest.mark.slow
def test_apply_and_replay_tell_the_details(call: Any, copied: Path, tmp_path: Path) -> None:
    called = call("apply", copied / "plan.json", *TINY[:4], "--samples", "10", "--out", tmp_path / "pruned")
    assert called.code == 0, called.err
    assert LABELS["macro_precision"] in called.out
    applied = json.loads((tmp_path / "pruned" / "result.json").read_text())["details"]["networks"]
    result = RunFolder.open(copied).result()
    assert result.details is not None
    assert applied["pruned"]["test"] == result.details.of(result.winner, "test")
    replayed = call("replay", copied, *TINY[:4], "--json")
    assert replayed.code == 0, replayed.err
    assert set(replayed.json["details"]["networks"]) == {"dense", "uniform", "filled", "probe", "ddpg"}


def test_of_many_classes_the_report_lists_mistakes(result: dict[str, Any]) -> None:
    many = {"top_1": 0.5, "confused": [[30, 2, 9], [1, 7, 4]]}
    for splits in result["details"]["networks"].values():
        splits["test"] = many
    result["details"]["networks"]["dense"]["test"] = {**many, "confused": [[30, 2, 3]]}
    blocks = details(result_of_values(result, "result.json"), {})
    tables = [block for block in blocks if isinstance(block, Table) and block.heads[0] == "class"]
    assert [list(table.cells) for table in tables] == [[["30", "2", "3", "9"], ["1", "7", "-", "4"]]]


def test_mistakes_of_a_matrix() -> None:
    assert confused_pairs({"confusion": [[5, 2, 0], [0, 7, 0], [1, 0, 3]]}) == {(0, 1): 2, (2, 0): 1}


def test_numbers_for_people() -> None:
    assert [measure_text(*pair) for pair in (("top_1", 0.5), ("tp", 3), ("mae", 0.5), ("auc", None))] == [
        *("50.00%", "3", "0.5", "-"),
    ]
    assert measure_text("ndcg@10", 0.25) == "25.00%"
