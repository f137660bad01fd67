"""Which BatchNorm statistics pruned networks get: judged once, the same for search and delivery."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from rlprune import Evaluator, Network
from rlprune.budgets.limits import Budget
from rlprune.choices.choice import Kind
from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.costs import MacsCost
from rlprune.evaluation.batchnorm_choice import FEWEST, SHARES, StatisticsChoice
from rlprune.evaluation.problem import PruningProblem
from rlprune.pruning.tables import PruningTables
from rlprune.tasks import RegressionTask, Split, Task, load_task
from rlprune.zoo import resolve_network

WIDTH = 16


def trained() -> nn.Module:
    """A network whose running statistics are those of standard normal inputs, measured on many."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Linear(8, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU(),
            nn.Linear(WIDTH, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU(), nn.Linear(WIDTH, 4),
        )  # fmt: skip
    for seed in range(60):
        model(drawn(256, seed))
    return model.eval()


def drawn(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))


def correlated(count: int) -> torch.Tensor:
    """Views of two things that hardly differ."""
    return drawn(2, 7).repeat_interleave(count // 2, 0) + 0.05 * drawn(count, 8)


def make_evaluator(calibration: torch.Tensor, samples: int = 512, kinds: tuple[Kind, ...] = ("channels",)) -> Evaluator:
    model = trained()

    def split(inputs: torch.Tensor) -> Split:
        with torch.no_grad():
            return Split(inputs, model(inputs).argmax(1))

    task = Task(
        "toy", calibration=split(calibration), validation=split(drawn(600, 101)), test=split(drawn(32, 102)), classes=4
    )
    network = Network(model, drawn(1, 0), multiple=1)
    tables = PruningTables(network, task.calibration)
    return Evaluator(tables, task, samples=samples, space=Space(network, Decisions(kinds)))


def agreement(evaluator: Evaluator, share: float) -> float:
    """Of the dense network with itself, once its statistics are blended."""
    other = Evaluator(evaluator.tables, evaluator.task, statistics=StatisticsChoice(share))
    return other.on(other.repaired(other.space.full), other.task.validation).score


def test_samples_that_carry_no_statistics_are_not_used_for_them_and_are_warned_of() -> None:
    evaluator = make_evaluator(correlated(128))
    choice = evaluator.statistics
    assert choice.share < 1
    assert choice.pruned[choice.share] == min(choice.pruned.values())
    assert tuple(choice.pruned) == tuple(choice.dense) == SHARES
    assert choice.changes_dense
    assert "Warning" in " ".join(choice.notes(512, 512))
    assert agreement(evaluator, 1.0) < 0.8 < agreement(evaluator, choice.share)


def test_samples_that_carry_them_are_used_in_search_and_delivery_without_a_warning() -> None:
    loaded, task = resolve_network("digits-resnet"), load_task("digits")
    tables = PruningTables(Network(loaded.model, loaded.example_inputs), task.calibration)
    evaluator = Evaluator(tables, task)
    assert evaluator.statistics.share == 1.0
    assert not evaluator.statistics.changes_dense
    (told,) = evaluator.statistics.notes(512, 512)
    assert "re-estimated" in told
    assert "own statistics" in told


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("samples", [64, FEWEST])
def test_the_search_scores_what_is_delivered_however_many_samples_it_has(samples: int, share: float) -> None:
    """Where search and calibration samples are the same, in one batch, they answer the same."""
    known = make_evaluator(drawn(128, 100))
    same = known.task.calibration.take(samples)
    task = Task("same", calibration=same, validation=same, test=same, classes=4)
    evaluator = Evaluator(known.tables, task, statistics=StatisticsChoice(share))
    plan = [9, 11]
    answers = evaluator.repaired(plan)(same.tensors[0])
    assert torch.allclose(evaluator.outputs(plan), answers, atol=0.05)


@pytest.mark.parametrize(
    ("samples", "validation", "remedy"),
    [
        (FEWEST - 1, 1000, "(--samples)."),
        (250, 250, "(the task has 250 validation samples: give it more)."),
        (FEWEST, FEWEST, ""),
    ],
)
def test_a_search_on_few_samples_is_told_of_before(samples: int, validation: int, remedy: str) -> None:
    notes = StatisticsChoice(1.0, pruned=dict.fromkeys(SHARES, 0.1)).notes(samples, validation)
    told = [note for note in notes if "search samples carry BatchNorm statistics badly" in note]
    assert [note.endswith(remedy) for note in told] == [True] * bool(remedy)


def test_one_sample_is_told_of_as_one() -> None:
    tried = dict.fromkeys(SHARES, 0.1)
    told = " ".join(StatisticsChoice(1.0, tried, tried, samples=1).notes(1, 512))
    assert "the single calibration sample changes" in told
    assert "1 search sample carries" in told


@pytest.mark.parametrize("kinds", [("weights",), ("bits",), ("channels", "bits")])
def test_every_mix_has_a_plan_to_judge_by(kinds: tuple[Kind, ...]) -> None:
    choice = make_evaluator(drawn(256, 100), kinds=kinds).statistics
    assert set(choice.pruned) == set(SHARES)
    assert all(math.isfinite(value) for value in choice.pruned.values())
    assert choice.pruned[0.0] > 0


@pytest.mark.parametrize("calibration", [1, 2])
def test_one_calibration_sample_is_enough_to_deliver(calibration: int) -> None:
    evaluator = make_evaluator(drawn(calibration, 100), samples=1)
    assert torch.isfinite(evaluator.repaired([8, 8])(drawn(4, 0))).all()
    if calibration == 1:
        assert evaluator.statistics.share == 0  # one value a channel changes nothing


def test_what_cannot_be_compared_keeps_its_own() -> None:
    evaluator = make_evaluator(drawn(64, 100))
    split = Split(torch.ones(64, 8), drawn(64, 0)[:, :4])
    task = RegressionTask("same", calibration=split, validation=split, test=split)
    choice = StatisticsChoice.judged(evaluator.builder, task, np.array([8, 8]))
    assert choice.share == 0
    assert choice.as_dict()["pruned"]["1"] is None


def test_without_batchnorm_there_is_nothing_to_choose() -> None:
    split = Split(drawn(64, 0), torch.arange(64) % 4)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    task = Task("plain", calibration=split, validation=split, test=split, classes=4)
    evaluator = Evaluator(PruningTables(Network(model, drawn(1, 0)), split), task)
    assert evaluator.statistics.notes(64, 64) == []


def test_the_uniform_plan_of_the_budget_judges_and_searches_of_the_problem_keep_what_it_chose() -> None:
    """Hardly cut, a network is better off with its own; it depends on the budget what re-estimation brings."""
    loaded, task = resolve_network("digits-resnet"), load_task("digits")
    network = Network(loaded.model, loaded.example_inputs, multiple=1)
    tables, costs = PruningTables(network, task.calibration), {"macs": MacsCost(network)}
    slightly, strongly = (
        PruningProblem(network, Evaluator(tables, task), costs, [Budget.parse(text)])
        for text in ("macs=0.97", "macs=0.3")
    )
    assert slightly.evaluator.statistics.share < strongly.evaluator.statistics.share == 1.0
    for problem in (strongly.fresh(), strongly.within([Budget.parse("macs=0.97")])):
        assert problem.evaluator.statistics is strongly.evaluator.statistics


def test_a_batchnorm_that_layers_share_keeps_its_own_and_is_told_of() -> None:
    norm = nn.BatchNorm1d(WIDTH)
    model = nn.Sequential(
        nn.Linear(8, WIDTH), norm, nn.ReLU(), nn.Linear(WIDTH, WIDTH), norm, nn.ReLU(), nn.Linear(WIDTH, 4)
    ).eval()  # fmt: skip
    split = Split(drawn(64, 0), torch.arange(64) % 4)
    task = Task("shared", calibration=split, validation=split, test=split, classes=4)
    evaluator = Evaluator(PruningTables(Network(model, drawn(1, 0), multiple=1), split), task)
    (told,) = evaluator.statistics.notes(64, 512)
    assert told == "BatchNorms called more than once in a forward pass keep their own statistics: 1, 4."
    delivered = evaluator.repaired(evaluator.space.full).get_submodule("1")
    torch.testing.assert_close(delivered.running_var, norm.running_var)
