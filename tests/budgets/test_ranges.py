"""Ranges of budgets, and plans without a reward."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from rlprune.budgets.limits import Budget, BudgetRange
from rlprune.costs import MacsCost
from rlprune.errors import BudgetError, ConfigError, RewardError
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import WORST_REWARD, PruningProblem
from rlprune.evaluation.rewards import REWARDS, Reward
from rlprune.pruning.tables import PruningTables
from rlprune.tasks.base import Task
from tests.agents.conftest import make_tables


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("latency=0.3..0.8", Budget("latency", 0.3), Budget("latency", 0.8)),
        ("latency=2..8ms", Budget("latency", 2.0, "ms"), Budget("latency", 8.0, "ms")),
        ("macs=2M..20M", Budget("macs", 2e6, "macs"), Budget("macs", 2e7, "macs")),
        (" energy = 0.5 .. 1 ", Budget("energy", 0.5), Budget("energy", 1.0)),
    ],
)
def test_a_range_reads_both_ends_and_is_written_as_it_reads(text: str, low: Budget, high: Budget) -> None:
    wide = BudgetRange.parse(text)
    assert (wide.low, wide.high, wide.metric) == (low, high, low.metric)
    assert BudgetRange.parse(str(wide)) == wide


def test_budgets_are_at_equal_distances_and_hold_both_ends() -> None:
    budgets = BudgetRange.parse("macs=0.2..0.7").budgets(6)
    assert [budget.value for budget in budgets] == [0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert all(budget.metric == "macs" for budget in budgets)


@pytest.mark.parametrize("ends", ["0.8..0.2", "0.5..0.5", "..0.5", "0.5..", "0.5", "a..b"])
def test_what_is_no_range_is_refused(ends: str) -> None:
    with pytest.raises(BudgetError):
        BudgetRange.parse(f"macs={ends}")


def test_ends_of_two_kinds_are_refused() -> None:
    with pytest.raises(BudgetError, match="one cost and in one unit"):
        BudgetRange(Budget("macs", 0.2), Budget("params", 0.5))
    with pytest.raises(BudgetError, match="one cost and in one unit"):
        BudgetRange(Budget("latency", 0.2), Budget("latency", 5.0, "ms"))


@pytest.fixture(scope="module")
def tables() -> tuple[PruningTables, Task]:
    return make_tables("residual")


def make(tables: tuple[PruningTables, Task], **settings: Any) -> PruningProblem:
    network = tables[0].network
    return PruningProblem(network, Evaluator(*tables), {"macs": MacsCost(network)}, [Budget("macs", 0.5)], **settings)


def test_other_budgets_share_what_was_evaluated(tables: tuple[PruningTables, Task]) -> None:
    problem = make(tables)
    other = problem.within([Budget("macs", 0.7)])
    assert other.evaluator is problem.evaluator
    assert other.planner.limits["macs"] == pytest.approx(problem.planner.limits["macs"] * 7 / 5)
    plan = problem.planner.filled
    assert other.outcome(plan).loss == problem.outcome(plan).loss
    assert other.outcome(plan).reward != problem.outcome(plan).reward
    assert not problem.fresh().evaluator.known(other.planner.filled)


@pytest.mark.parametrize("name", sorted(set(REWARDS) - {"weighted"}))
def test_a_loss_is_positive_and_falls_as_the_reward_rises(name: str, tables: tuple[PruningTables, Task]) -> None:
    problem = make(tables, reward=name)
    random = np.random.default_rng(0)
    plans = [[random.choice(group.widths) for group in problem.network.groups] for _ in range(12)]
    outcomes = sorted((problem.outcome(np.array(plan)) for plan in plans), key=lambda outcome: outcome.reward)
    losses = [outcome.loss for outcome in outcomes]
    assert min(losses) > 0
    assert all(worse >= better for worse, better in itertools.pairwise(losses))


def undefined(quality: Any, costs: Any, reference: Any) -> Reward:
    """NaN for all but the filled plan."""
    known = quality == reference.filled
    return Reward(0.0 if known else math.nan, {"score": quality.score}, 1.0)


def test_a_plan_without_a_reward_stops_the_search_or_counts_as_the_worst(tables: tuple[PruningTables, Task]) -> None:
    plan = np.array([group.widths[0] for group in tables[0].network.groups])
    with pytest.raises(RewardError, match=r"must be a finite number.*--on-nan skip"):
        make(tables, reward=undefined).outcome(plan)
    outcome = make(tables, reward=undefined, on_nan="skip").outcome(plan)
    assert (outcome.reward, outcome.defined) == (WORST_REWARD, False)


def test_a_uniform_plan_without_a_reward_is_refused_either_way(tables: tuple[PruningTables, Task]) -> None:
    def never(quality: Any, costs: Any, reference: Any) -> Reward:
        return Reward(math.nan, {"score": quality.score}, 1.0)

    for on_nan in ("stop", "skip"):
        with pytest.raises(RewardError, match="uniform plan"):
            make(tables, reward=never, on_nan=on_nan)
    with pytest.raises(ConfigError, match="Did you mean 'skip'"):
        make(tables, on_nan="skipp")
