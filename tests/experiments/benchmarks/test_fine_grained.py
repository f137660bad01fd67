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
from rlprune.experiments.benchmarks.fine_grained import Subject, held, one_threshold, uniform, without_refit
from rlprune.experiments.pipeline.loading import load_material
from rlprune.experiments.pipeline.preparing import make_evaluator
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
    out, tables = tmp_path / "fine.json", tmp_path / "fine.md"
    flags = ["--network", "digits-resnet", "--budget", "weights=0.1", "--methods", "random", "random/no-refit"]
    flags += [
        "--episodes",
        "3",
        "--seeds",
        "2",
        "--samples",
        "64",
        "--finetune-steps",
        "0",
        "--pictures",
        str(tmp_path),
    ]
    assert fine_grained.main([*flags, "--out", str(out), "--markdown", str(tables)]) == 0
    [case] = json.loads(out.read_text())["cases"]
    compared = [row for row in case["rows"] if row["budget"] != "2:4"]
    assert len(compared) == 2 + 2 * 2
    assert all(0.097 <= row["left"] <= 0.1 for row in compared)
    bare, refitted = (np.array([row[f"{how}_divergence"] for row in compared]) for how in ("bare", "refitted"))
    assert refitted.mean() < bare.mean()
    assert (tmp_path / "fine-grained.png").stat().st_size > 1000
    assert "| one threshold |" in tables.read_text()
    assert "digits-resnet, 2:4" in capsys.readouterr().out


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
