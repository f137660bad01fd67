"""The searchers that do not learn: what is particular to each."""

from __future__ import annotations

import numpy as np
import pytest

from rlprune.agents import make_searcher, search_range
from rlprune.agents.baselines.sensitivity import measure_alone
from rlprune.budgets.completion import FITS
from rlprune.budgets.limits import Budget
from rlprune.errors import ConfigError
from tests.agents.conftest import MakeEnv


def test_greedy_counts_the_plans_on_its_way(make_env: MakeEnv) -> None:
    env = make_env()
    groups = len(env.problem.network.groups)
    uniform, last = make_searcher("greedy").search(env, 60, 0).episodes
    assert uniform.outcome.levels.tolist() == env.problem.planner.filled.tolist()
    assert groups < last.evaluations <= 60
    assert env.problem.planner.target * 0.9 <= env.problem.planner.usage(last.outcome.levels[None])[0] <= FITS


@pytest.mark.parametrize(("name", "needed"), [("greedy", 6), ("sensitivity", 10)])
def test_fewer_evaluations_than_a_warm_up_needs_are_refused(name: str, needed: int, make_env: MakeEnv) -> None:
    env = make_env()
    assert len(env.problem.network.groups) == 4
    with pytest.raises(ConfigError, match=f"{name} needs at least {needed} episodes here; {needed - 1} came"):
        make_searcher(name).search(env, needed - 1, 0)
    assert make_searcher(name).search(env, needed, 0).episodes[-1].evaluations <= needed


def test_sensitivities_are_measured_alone_and_read_off_in_between(make_env: MakeEnv) -> None:
    problem = make_env().problem
    tables = measure_alone(problem, 8)
    assert problem.evaluations <= 1 + 8
    for index, (group, table) in enumerate(zip(problem.network.groups, tables, strict=True)):
        assert table.shape == (group.width + 1,)
        assert table[-1] == 0
        alone = problem.planner.full.copy()
        alone[index] = group.widths[0]
        assert table[group.widths[0]] == problem.evaluator(alone).divergence


def test_sensitivity_stops_when_no_plan_is_left(make_env: MakeEnv) -> None:
    env = make_env()
    episodes = make_searcher("sensitivity").search(env, 60, 0).episodes
    plans = [tuple(episode.outcome.levels.tolist()) for episode in episodes]
    assert len(set(plans)) == len(plans) > 5
    assert episodes[-1].evaluations <= 60


@pytest.mark.parametrize("name", ["random", "nsga2", "ddpg", "ppo"])
def test_a_range_of_budgets_is_searched_with_one_count(name: str, make_env: MakeEnv) -> None:
    problem = make_env().problem
    problems = [problem.within([Budget("macs", share)]) for share in (0.4, 0.5, 0.6)]
    episodes = search_range(make_searcher(name), problems, 30, 0).episodes
    assert [episode.number for episode in episodes] == list(range(1, len(episodes) + 1))
    assert len(episodes) == 30 or (name in ("random", "nsga2") and len(episodes) > 30)
    costs = np.array([episode.outcome.costs["macs"] for episode in episodes]) / problem.dense_costs["macs"]
    assert costs.max() <= 0.6 * FITS
    assert costs.min() <= 0.4 * FITS
    assert episodes[-1].evaluations <= 30


def test_a_range_needs_a_warm_up_at_each_budget(make_env: MakeEnv) -> None:
    problem = make_env().problem
    problems = [problem.within([Budget("macs", share)]) for share in (0.4, 0.5, 0.6)]
    with pytest.raises(ConfigError, match="ddpg needs at least 6 episodes here; 5 came"):
        search_range(make_searcher("ddpg"), problems, 5, 0)
