"""The article's case: its methods on small data, and the whole script on the real ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.errors import TaskError
from rlprune.experiments.benchmarks import article_case
from rlprune.experiments.benchmarks.article_case import fewest, fine_tuned, run_loop
from rlprune.experiments.benchmarks.article_methods import (
    LOOP,
    METHODS,
    REFERENCE,
    SHARES,
    Case,
    Method,
    agent_problem,
    learned,
)
from rlprune.finetuning.finetune import FineTuning, finetune
from rlprune.tasks import Split, Task, load_task


def blobs(count: int, seed: int) -> Split:
    """Images of 6x6 in three classes; neighbouring pixels depend on each other."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % 3
    images = torch.randn(count, 1, 6, 6, generator=generator)
    images = images + images.roll(1, 3)
    images[torch.arange(count), 0, 2 * targets, :] += 0.8
    return Split(images, targets)


@pytest.fixture(scope="module")
def case() -> Case:
    task = Task(
        "blobs",
        calibration=blobs(200, 1),
        validation=blobs(300, 2),
        test=blobs(60, 3),
        train=blobs(900, 4),
        classes=3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.ReLU(), nn.Linear(16, 3))
    return Case(finetune(model, task, FineTuning(steps=300, rate=0.1, batch=32)), task)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("remaining", [312, 125])
def test_every_method_leaves_as_many_weights(case: Case, method: Method, remaining: int) -> None:
    done = method.prune(case, remaining)
    assert case.entries == 36 * 16 + 16 * 3
    assert abs(done.remaining - remaining) <= 1  # of rounding in two layers
    for name, mask in done.masks.items():
        removed = done.model.get_submodule(name).weight.detach()[~mask]
        assert torch.equal(removed, removed[:1].expand_as(removed))
        assert bool((removed == 0).all()) == (method.replacement == "zero")


def test_a_search_is_no_worse_on_its_grid_than_any_point_of_it(case: Case) -> None:
    method, remaining = METHODS[3], 150
    found = case.divergence(method.prune(case, remaining).model)
    for share in SHARES[::5]:
        kept = round(share * 48)
        assert found <= case.divergence(method.apply(case, {"1": (remaining - kept) / 576, "3": kept / 48}).model)


def test_the_refit_is_closer_to_the_dense_network(case: Case) -> None:
    cut, refitted = (case.divergence(method.prune(case, 150).model) for method in (LOOP, METHODS[4]))
    assert METHODS[4].refitted
    assert refitted < 0.9 * cut


@pytest.mark.parametrize("refitted", [False, True])
def test_the_agent_is_told_what_its_method_does(case: Case, refitted: bool) -> None:
    problem = agent_problem(case, 250, refitted)
    [method] = [method for method in METHODS if method.densities is learned and method.refitted == refitted]
    assert [choice.name for choice in problem.space.choices] == ["1"]  # the other layer has 48 weights, too few
    for percent in (20, 35):
        done = method.apply(case, {"1": percent / 100, "3": 1.0})
        assert problem.evaluator([percent]).divergence == pytest.approx(case.divergence(done.model), rel=1e-3)
        assert problem.costs["weights"](np.array([[percent]]))[0] == done.remaining


def test_the_loop_prunes_more_in_every_round(case: Case) -> None:
    rounds = run_loop(case, 4)
    assert len(rounds) == 4
    assert rounds[0][0] == pytest.approx(article_case.START * case.rms)
    assert [remaining for _, remaining in rounds] == sorted((remaining for _, remaining in rounds), reverse=True)
    assert LOOP.prune(case, rounds[-1][1]).remaining == rounds[-1][1]


def test_fine_tuning_leaves_removed_weights(case: Case) -> None:
    done = METHODS[1].prune(case, 200)
    tuned = fine_tuned(done, case.task, FineTuning(steps=20))
    for name, mask in done.masks.items():
        before, after = (model.get_submodule(name).weight.detach() for model in (done.model, tuned))
        assert torch.equal(before[~mask], after[~mask])
        assert not torch.equal(before[mask], after[mask])


def test_the_fewest_weights_reach_the_accuracy_and_one_percent_less_does_not(case: Case) -> None:
    wanted = case.accuracy(case.model, case.task.validation) - 0.05
    found = fewest(case, REFERENCE, wanted, case.entries)
    less = found - case.entries // 100
    assert case.accuracy(REFERENCE.prune(case, found).model, case.task.validation) >= wanted
    assert case.accuracy(REFERENCE.prune(case, less).model, case.task.validation) < wanted


@pytest.mark.slow
def test_the_script_on_the_real_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(article_case, "fewest", lambda case, *_: case.entries // 10)  # a minute, and tested by itself
    try:
        load_task("fashion-mnist")
    except TaskError as reason:
        pytest.skip(f"the real data set is not here: {reason}")
    out, page, picture = (tmp_path / name for name in ("case.json", "case.md", "case.png"))
    flags = ["--seeds", "1", "--epochs", "1", "--rounds", "2"]
    assert article_case.main([*flags, "--out", str(out), "--markdown", str(page), "--picture", str(picture)]) == 0
    report = json.loads(out.read_text())
    assert len(report["rows"]) == 2 * len(METHODS)
    first = [row["remaining"] for row in report["rows"] if row["round"] == 1]
    assert max(first) - min(first) <= 2  # of rounding in two layers
    assert all(0.5 < row["test"] < 0.95 for row in [*report["rows"], *report["networks"]])
    assert page.read_text().count("| threshold |") == 3
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_mistakes_end_with_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert article_case.main(["--rounds", "0"]) == 2
    assert "must be at least 1" in capsys.readouterr().err
    assert article_case.main(["--data-dir", str(tmp_path)]) == 2
    assert "fashion-mnist" in capsys.readouterr().err
