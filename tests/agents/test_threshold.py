"""The loop of a threshold as a searcher: its sign, its plans, and budgets that nothing meets."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from rlprune.agents import make_searcher
from rlprune.agents.baselines.threshold import ThresholdPruner, ThresholdSearcher, ThresholdSettings
from rlprune.budgets.completion import FITS
from rlprune.budgets.limits import Budget
from rlprune.choices.choice import KINDS, Kind
from rlprune.choices.scope import Decisions
from rlprune.choices.space import Space
from rlprune.costs import MacsCost, ParamsCost, SizeCost
from rlprune.envs import LayerPruningEnv
from rlprune.errors import BudgetError
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import PruningProblem
from rlprune.pruning.tables import PruningTables
from rlprune.tasks.base import Task
from tests.agents.conftest import make_tables

Made = tuple[PruningTables, Task]
BUDGETS: dict[Kind, str] = {"depth": "macs=0.8", "channels": "macs=0.4", "weights": "size=0.4", "bits": "size=0.5"}
"""Such that each kind alone can meet its own."""


@pytest.fixture(scope="module")
def tables_and_task() -> Made:
    return make_tables("residual")


def problem_of(tables_and_task: Made, kinds: Sequence[Kind], budgets: Sequence[str]) -> PruningProblem:
    tables, task = tables_and_task
    space = Space(tables.network, Decisions(kinds=kinds))
    costs = {"macs": MacsCost(space), "params": ParamsCost(space), "size": SizeCost(space)}
    parsed = [Budget.parse(text) for text in budgets]
    return PruningProblem(space, Evaluator(tables, task, space=space), costs, parsed)


def traced(problem: PruningProblem, episodes: int, settings: ThresholdSettings | None = None) -> list[list[int]]:
    """Every plan that was asked of the evaluator, in order."""
    asked: list[list[int]] = []
    evaluate = problem.evaluator.many
    problem.evaluator.many = lambda plans: (asked.extend([list(plan) for plan in plans]), evaluate(plans))[1]  # type: ignore[method-assign]
    ThresholdSearcher(settings).search(LayerPruningEnv(problem), episodes, 0)
    return asked


@pytest.mark.parametrize("kinds", [*[(kind,) for kind in KINDS], KINDS], ids="+".join)
def test_every_kind_ends_within_the_budget(tables_and_task: Made, kinds: tuple[Kind, ...]) -> None:
    budget = BUDGETS[kinds[0]] if len(kinds) == 1 else "size=0.2"
    problem = problem_of(tables_and_task, kinds, [budget])
    episodes = make_searcher("threshold").search(LayerPruningEnv(problem), 25, 0).episodes
    used = problem.planner.usage(np.stack([episode.outcome.levels for episode in episodes]))
    assert len(episodes) >= 2
    assert used.max() <= FITS
    assert used.max() >= problem.planner.target
    assert episodes[-1].evaluations <= 25


@pytest.mark.parametrize("kinds", [("channels",), ("weights",), ("depth",), KINDS], ids="+".join)
def test_a_higher_threshold_never_keeps_more(tables_and_task: Made, kinds: tuple[Kind, ...]) -> None:
    space = Space(tables_and_task[0].network, Decisions(kinds=kinds))
    plans = np.stack([ThresholdPruner(space).plan(threshold) for threshold in (0, 0.3, 0.8, 1.1, 3, 1e3)])
    costs = SizeCost(space)(plans)
    bits = [choice.kind == "bits" for choice in space.choices]
    np.testing.assert_array_equal(plans[0], space.full)
    np.testing.assert_array_equal(plans[:, bits], np.repeat(space.full[None, bits], len(plans), axis=0))
    assert (np.diff(costs) <= 0).all()
    assert costs[-1] < costs[0]


def test_weights_go_by_one_magnitude_in_all_layers(tables_and_task: Made) -> None:
    network = tables_and_task[0].network
    space = Space(network, Decisions(kinds=("weights",), densities=range(1, 101)))
    state = network.model.state_dict()
    keys = {layer.name: layer.weight for layer in network.layers}
    weights = [state[keys[choice.name]] for choice in space.choices]
    unit = torch.cat([weight.flatten() for weight in weights]).square().mean().sqrt()
    wanted = [round(100 * float((weight.abs() > 0.7 * unit).double().mean())) for weight in weights]
    assert len(set(wanted)) > 1
    np.testing.assert_allclose(ThresholdPruner(space).plan(0.7), wanted, atol=1)


def test_it_rises_while_a_budget_is_exceeded_and_falls_where_there_is_room(tables_and_task: Made) -> None:
    problem = problem_of(tables_and_task, ("weights",), ["size=0.4"])
    size, limit = problem.costs["size"], problem.planner.limits["size"]
    rounds = [float(size(np.array([plan]))[0]) for plan in traced(problem, 30, ThresholdSettings(alpha=0.35))[1:]]
    assert rounds[0] > limit
    for before, after in itertools.pairwise(rounds):
        assert after <= before if before > limit else after >= before
    turned = next(index for index, cost in enumerate(rounds) if cost <= limit)
    assert turned < len(rounds) - 1, "the first round below the limit had room, and the loop went back"
    assert problem.planner.target * limit <= rounds[-1] <= limit * FITS


def test_steps_are_longer_with_a_larger_alpha(tables_and_task: Made) -> None:
    short, long = (
        traced(problem_of(tables_and_task, ("weights",), ["size=0.3"]), 60, ThresholdSettings(alpha))
        for alpha in (0.05, 0.2)
    )
    assert len(short) > len(long) > 2


def test_the_same_rounds_every_time_whatever_the_seed(tables_and_task: Made) -> None:
    problem = problem_of(tables_and_task, KINDS, ["size=0.2"])
    first, second = (
        make_searcher("threshold").search(LayerPruningEnv(problem.fresh()), 20, seed).episodes for seed in (0, 7)
    )
    assert [(e.outcome.levels.tolist(), e.evaluations) for e in first] == [
        (e.outcome.levels.tolist(), e.evaluations) for e in second
    ]


def test_rounds_over_the_budget_count_and_are_no_episodes(tables_and_task: Made) -> None:
    problem = problem_of(tables_and_task, ("weights",), ["size=0.2"])
    episodes = make_searcher("threshold", changes={"alpha": 0.05}).search(LayerPruningEnv(problem), 8, 0).episodes
    assert len(episodes) == 2, "the uniform plan, and the plan of the last round led into the budget"
    assert 2 < episodes[-1].evaluations <= 8
    assert problem.planner.usage(episodes[-1].outcome.levels[None])[0] <= FITS


def test_several_budgets_are_met_together(tables_and_task: Made) -> None:
    problem = problem_of(tables_and_task, ("channels", "weights"), ["macs=0.6", "size=0.2"])
    for episode in make_searcher("threshold").search(LayerPruningEnv(problem), 30, 0).episodes:
        for metric, limit in problem.planner.limits.items():
            assert episode.outcome.costs[metric] <= limit * FITS


def test_without_budgets_nothing_is_pruned(tables_and_task: Made) -> None:
    problem = problem_of(tables_and_task, ("weights",), [])
    episodes = make_searcher("threshold").search(LayerPruningEnv(problem), 10, 0).episodes
    assert any((episode.outcome.levels == problem.space.full).all() for episode in episodes)
    assert len(episodes) <= 5


def test_targets_that_no_plan_meets_are_refused(tables_and_task: Made) -> None:
    with pytest.raises(BudgetError, match="cannot be met"):
        problem_of(tables_and_task, ("weights",), ["size=0.0001"])
