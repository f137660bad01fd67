"""The knapsack against every plan there is."""

from __future__ import annotations

import numpy as np
import pytest

from rlprune.arrays import FloatArray
from rlprune.budgets.completion import FITS
from rlprune.budgets.knapsack import Knapsack
from rlprune.budgets.limits import Budget
from rlprune.budgets.planner import BudgetPlanner
from tests.budgets.test_planner import SyntheticCost, every_plan, random_choices


def drawn(seed: int) -> tuple[BudgetPlanner, FloatArray]:
    """Five choices with costs that are no sum, and losses that fall as levels rise."""
    random = np.random.default_rng(seed)
    choices = random_choices(random, 5, 6)
    cost = SyntheticCost(choices, random)
    ends = cost(np.array([[choice.levels[0] for choice in choices], [choice.full for choice in choices]]))
    share = random.uniform(0.2, 0.8)
    budget = Budget("macs", float(ends @ [1 - share, share]), "macs")
    losses = np.zeros((5, max(len(choice.levels) for choice in choices)))
    for row, choice in zip(losses, choices, strict=True):
        shares = np.array(choice.levels) / choice.full
        row[: len(shares)] = random.uniform(0.1, 3) * (1 - shares) ** random.uniform(0.7, 3)
    return BudgetPlanner(choices, {"macs": cost}, [budget]), losses


def total(planner: BudgetPlanner, losses: FloatArray, plans: np.ndarray) -> FloatArray:
    tables = zip(planner.choices, losses, plans.T, strict=True)
    return np.asarray(sum(row[[choice.levels.index(int(x)) for x in column]] for choice, row, column in tables))


def test_its_plans_fit_and_are_nearly_always_the_best_there_are() -> None:
    alone, together = [], []
    for seed in range(30):
        planner, losses = drawn(seed)
        knapsack = Knapsack(planner)
        found = np.vstack([knapsack.solve(losses)[None], knapsack.solve_many(np.stack([losses, 1.5 * losses]))])
        assert (planner.usage(found) <= FITS).all()
        np.testing.assert_array_equal(found[1], found[2])  # the scale of losses does not matter
        plans = every_plan(planner.choices)
        best = total(planner, losses, plans[planner.usage(plans) <= FITS]).min()
        one, many, _ = total(planner, losses, found) / best
        alone.append(one)
        together.append(many)
    assert np.mean(np.array(alone) < 1 + 1e-9) >= 0.85
    assert np.max(alone) < 1.25
    assert np.median(together) < 1.1


def test_without_budgets_nothing_is_given_up() -> None:
    planner, losses = drawn(0)
    free = Knapsack(BudgetPlanner(planner.choices, {}, []))
    np.testing.assert_array_equal(free.solve(losses), planner.full)
    np.testing.assert_array_equal(free.solve_many(losses[None])[0], planner.full)


@pytest.mark.parametrize("seed", range(3))
def test_a_choice_that_loses_more_keeps_more(seed: int) -> None:
    planner, losses = drawn(seed)
    knapsack = Knapsack(planner)
    for at in range(len(losses)):
        raised = np.repeat(losses[None], 2, axis=0)
        raised[1, at] *= 50.0
        low, high = knapsack.solve_many(raised)[:, at]
        assert low <= high
