from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from rlprune.agents import AGENTS, METHODS, Episode, best_outcomes, make_searcher, replay
from rlprune.budgets.limits import Budget
from rlprune.costs import MacsCost
from rlprune.envs import LayerPruningEnv
from rlprune.errors import ConfigError
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import PruningProblem
from rlprune.networks.network import Network
from rlprune.pruning.tables import PruningTables
from rlprune.tasks import load_task
from rlprune.zoo import load_zoo, zoo_entry
from tests.agents.conftest import MakeEnv

LEARNERS = list(AGENTS)
SPARSE = ("uniform", "filled", "prior", "probe", "probe-shrunk", "greedy", "sensitivity", "threshold")
"""Those that evaluate plans which are no episodes, or have fewer episodes than asked for."""
DRAWING = ("random", "evolutionary", "tpe", "nsga2")
"""Those that go on where they draw a plan again."""


@pytest.mark.parametrize("name", METHODS)
def test_every_searcher_stays_within_the_budget_and_counts(name: str, make_env: MakeEnv) -> None:
    env = make_env()
    seen: list[Episode] = []
    result = make_searcher(name).search(env, 12, 0, seen.append)
    limit = env.problem.planner.limits["macs"]
    assert seen == result.episodes
    if name not in SPARSE:
        assert len(seen) >= 12 if name in DRAWING else len(seen) == 12
    assert [episode.number for episode in seen] == list(range(1, len(seen) + 1))
    assert all(episode.outcome.costs["macs"] <= limit * (1 + 1e-9) for episode in seen)
    last = seen[-1]
    assert last.evaluations <= 12
    if name not in SPARSE:
        assert last.evaluations + last.cache_hits == len(seen)
        distinct = {tuple(episode.outcome.levels) for episode in seen} - {tuple(env.problem.filled.levels)}
        assert last.evaluations == len(distinct)


@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_gives_the_same_plans(name: str, make_env: MakeEnv) -> None:
    def plans(seed: int) -> list[list[int]]:
        return [e.outcome.levels.tolist() for e in make_searcher(name).search(make_env(), 16, seed).episodes]

    first = plans(1)
    torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002
    assert plans(1) == first
    if name not in SPARSE:
        assert plans(2) != first


@pytest.mark.parametrize("name", LEARNERS)
def test_learning_leaves_the_global_generators_alone(name: str, make_env: MakeEnv) -> None:
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    wanted = torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    make_searcher(name).search(make_env(), 10, 0)
    assert (torch.rand(1), np.random.rand(), random.random()) == wanted  # noqa: NPY002


@pytest.mark.parametrize("name", ["uniform", "filled"])
def test_uniform_and_filled_are_the_planner_s_plans(name: str, make_env: MakeEnv) -> None:
    env = make_env()
    [episode] = make_searcher(name).search(env, 5, 0).episodes
    np.testing.assert_array_equal(episode.outcome.levels, getattr(env.problem.planner, name))
    assert name == "uniform" or episode.outcome.reward == pytest.approx(0)


@pytest.mark.parametrize("name", DRAWING)
def test_methods_that_draw_end_where_there_are_no_new_plans(name: str, make_env: MakeEnv) -> None:
    env = make_env()
    plans = env.problem.planner.count(100)
    assert plans == 8
    episodes = make_searcher(name).search(env, 60, 0).episodes
    assert episodes[-1].evaluations < plans  # the filled plan is known before
    assert 60 <= len(episodes) < 60 + 50 * plans
    known = [tuple(episode.outcome.levels.tolist()) for episode in episodes]
    assert set(known[-50:]) <= set(known[:-50])


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_return_a_policy_that_can_be_replayed_elsewhere(name: str, make_env: MakeEnv) -> None:
    policy = make_searcher(name).search(make_env(), 16, 0).policy
    assert policy is not None
    assert policy.spec.algorithm == name
    other = make_env("depthwise", "params=0.6").problem
    outcome = replay(policy, other)
    assert outcome.costs["params"] <= other.planner.limits["params"] * (1 + 1e-9)


@pytest.mark.parametrize("name", METHODS)
def test_a_search_shorter_than_its_warm_up_is_refused(name: str, make_env: MakeEnv) -> None:
    env = make_env()
    needed = make_searcher(name).fewest_episodes(len(env.problem.space.choices))
    with pytest.raises(ConfigError, match=f"needs at least {needed} episodes? here; {needed - 1} came"):
        make_searcher(name).search(env, needed - 1, 0)
    assert make_searcher(name).search(env, needed, 0).episodes


def test_an_unknown_searcher_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'ddpg'"):
        make_searcher("dpg")


def test_best_outcomes_are_distinct_and_in_order(make_env: MakeEnv) -> None:
    episodes = make_searcher("random").search(make_env(), 20, 0).episodes
    best = best_outcomes([*episodes, *episodes], 5)
    assert len({tuple(outcome.levels) for outcome in best}) == 5
    rewards = [outcome.reward for outcome in best]
    assert rewards == sorted(rewards, reverse=True)
    assert rewards[0] == max(episode.outcome.reward for episode in episodes)


@pytest.mark.slow
def test_the_agent_beats_uniform_clearly_on_a_trained_network() -> None:
    entry = zoo_entry("digits-resnet")
    network, task = Network(load_zoo(entry.name), entry.example_inputs()), load_task(entry.task)
    tables = PruningTables(network, task.calibration)
    for seed in range(3):
        problem = PruningProblem(
            network, Evaluator(tables, task), {"macs": MacsCost(network)}, [Budget.parse("macs=0.35")]
        )
        episodes = make_searcher("ddpg").search(LayerPruningEnv(problem), 60, seed).episodes
        [best] = best_outcomes(episodes, 1)
        assert best.quality.divergence < 0.75 * problem.filled.quality.divergence
