"""Densities per layer at equal remaining weights: parts on the small ResNet, and the whole script."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rlprune.arrays import IntArray
from rlprune.budgets.limits import Budget
from rlprune.evaluation.problem import PruningProblem
from rlprune.experiments.benchmarks import fine_grained
from rlprune.experiments.benchmarks.fine_grained import Subject, held, one_threshold, tight, uniform, without_refit
from rlprune.experiments.benchmarks.fine_grained_report import cells, groups, spread
from rlprune.experiments.pipeline.setup import load_material, make_evaluator
from rlprune.experiments.settings.problem import NetworkConfig
from rlprune.finetuning.finetune import FineTuning
from rlprune.pruning.weights import global_densities


@pytest.fixture(scope="module")
def subject() -> Subject:
    material = load_material(NetworkConfig(network="digits-resnet"), 8)
    return Subject.of(make_evaluator(material, 64, 0), Budget.parse("weights=0.1"))


def used(problem: PruningProblem, row: IntArray) -> float:
    return float(problem.planner.usage(row[None])[0])


@pytest.mark.parametrize("make", [uniform, one_threshold])
def test_plans_that_need_no_search_use_the_whole_budget(subject: Subject, make: object) -> None:
    row = make(subject.fine)  # type: ignore[operator]
    assert 0.99 <= used(subject.fine, row) <= 1


def test_searches_must_use_as_much(subject: Subject) -> None:
    assert subject.coarse.planner.target == pytest.approx(
        min(0.99, used(subject.coarse, subject.coarse.planner.filled))
    )
    assert tight(subject.coarse) is subject.coarse


def test_one_threshold_gives_the_densities_of_one_threshold(subject: Subject) -> None:
    network = subject.fine.network
    state = network.model.state_dict()
    names = [choice.name for choice in subject.fine.space.choices]
    weights = {layer.name: state[layer.weight or ""] for layer in network.layers if layer.name in names}
    exact = global_densities(weights, 0.1)
    row = one_threshold(subject.fine)
    assert np.abs(row - [100 * exact[name] for name in names]).max() <= 1
    assert len(set(row.tolist())) > 2


def test_without_refit_what_remains_is_as_it_was(subject: Subject) -> None:
    evaluator, row = subject.fine.evaluator, uniform(subject.fine)
    layer = next(x for x in evaluator.space.network.layers if x.name == evaluator.space.choices[3].name)
    key = layer.weight or ""
    dense = evaluator.tables.state[key]
    bare, refitted = without_refit(evaluator).delivered(row), evaluator.delivered(row)
    mask = bare.stored[key].mask
    assert mask is not None
    assert torch.equal(mask, refitted.stored[key].mask)
    assert torch.equal(bare.module.state_dict()[key][mask], dense[mask])
    assert not torch.equal(refitted.module.state_dict()[key][mask], dense[mask])


def test_fine_tuning_holds_the_masks(subject: Subject) -> None:
    evaluator = subject.fine.evaluator
    delivered = evaluator.delivered(uniform(subject.fine))
    before = {key: value.clone() for key, value in delivered.module.state_dict().items()}
    after = held(delivered, evaluator, FineTuning(steps=2)).module.state_dict()
    for key, stored in delivered.stored.items():
        assert stored.mask is not None
        assert bool((after[key][~stored.mask] == 0).all())
        assert not torch.equal(after[key], before[key])


@pytest.mark.slow
def test_the_script_compares_at_equal_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, picture, tables = tmp_path / "fine.json", tmp_path / "fine.png", tmp_path / "fine.md"
    flags = ["--network", "digits-resnet", "--budget", "weights=0.1", "--methods", "random", "random/no-refit"]
    flags += ["--episodes", "3", "--seeds", "2", "--samples", "64", "--finetune-steps", "0"]
    assert fine_grained.main([*flags, "--out", str(out), "--picture", str(picture), "--markdown", str(tables)]) == 0
    [network] = json.loads(out.read_text())["networks"]
    compared = [row for row in network["rows"] if row["budget"] != "2:4"]
    assert len(compared) == 2 + 2 * 2
    assert all(0.097 <= row["remaining"] / network["entries"] <= 0.1 for row in compared)
    bare, refitted = (np.array([row[f"{how}_divergence"] for row in compared]) for how in ("bare", "refitted"))
    assert refitted.mean() < bare.mean()
    assert picture.stat().st_size > 1000
    assert "| one threshold |" in tables.read_text()
    assert "digits-resnet, 2:4" in capsys.readouterr().out


def test_tables_give_mean_and_deviation() -> None:
    assert spread([0.5, 0.7]) == "60.00 ± 14.14"
    assert spread([0.5]) == "50.00"
    assert spread([]) == "-"
    rows = [{"method": "b"}, {"method": "a"}, {"method": "b"}]
    assert {key: len(own) for key, own in groups(rows, "method").items()} == {("b",): 2, ("a",): 1}
    row = {"method": "m", "remaining": 10.0, "bare": 0.1, "refitted": 0.2, "refitted_divergence": 1.0, "test": 0.3}
    assert cells([row], 100.0) == [["m", "10.00", "10.00", "20.00", "1.000", "30.00", "-", "-"]]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--budget", "macs=0.5"], "shares of the weights"),
        (["--budget", "weights=100"], "shares of the weights"),
        (["--seeds", "0"], "--seeds"),
        (["--methods", "ddgp/no-refit"], "Did you mean 'ddpg'"),
    ],
)
def test_mistakes_end_with_exit_code_2(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fine_grained.main(flags) == 2
    assert message in capsys.readouterr().err
