"""Several walks at once: the same episodes as one environment gives, evaluated as one batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO

from rlprune.budgets.limits import Budget
from rlprune.envs.actions import MEANINGS, Meaning
from rlprune.envs.vector import PruningVecEnv
from tests.envs.conftest import MakeEnv


def play_round(env: PruningVecEnv, actions: np.ndarray) -> tuple[np.ndarray, list[dict[str, Any]], np.ndarray]:
    """One round; ``actions`` is [steps, walks]. Final rewards, infos, and the observations it began with."""
    for row in actions:
        observations, rewards, dones, infos = env.step(row[:, None].astype(np.float32))
    assert dones.all()
    return rewards, infos, observations


def test_walks_are_the_episodes_of_the_single_environment(make_env: MakeEnv) -> None:
    single = make_env("macs=0.5")
    vector = PruningVecEnv([make_env("macs=0.5").problem], 3, 6)
    steps = len(single.problem.network.groups)
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, 3))
    first = vector.reset()
    rewards, infos, again = play_round(vector, actions)
    np.testing.assert_array_equal(first, again)
    for walk in range(3):
        single.reset()
        for action in actions[:, walk]:
            observation, reward, terminated, _, info = single.step(np.array([action], np.float32))
        assert terminated
        assert rewards[walk] == np.float32(reward)
        np.testing.assert_array_equal(infos[walk]["terminal_observation"], observation)
        np.testing.assert_array_equal(infos[walk]["plan_levels"], info["plan_levels"])
        assert infos[walk]["reward_terms"] == info["reward_terms"]


def test_one_cache_serves_all_walks(make_env: MakeEnv) -> None:
    problem = make_env("macs=0.5").problem
    vector = PruningVecEnv([problem], 4, 8)
    vector.reset()
    actions = np.tile(np.linspace(0.9, -0.9, len(problem.network.groups))[:, None], 4)
    play_round(vector, actions)
    assert (problem.evaluations, problem.cache_hits) == (2, 3)  # uniform, and one plan four times


def test_walks_behind_the_last_episode_are_not_evaluated(make_env: MakeEnv) -> None:
    problem = make_env("macs=0.5").problem
    vector = PruningVecEnv([problem], 3, 4)
    vector.reset()
    random = np.random.default_rng(1)
    outcomes = []
    for _ in range(2):
        _, infos, _ = play_round(vector, random.uniform(-1, 1, (len(problem.network.groups), 3)))
        outcomes += [info for info in infos if "outcome" in info]
    assert len(outcomes) == 4
    assert problem.evaluations <= 1 + 4


def test_several_budgets_take_turns(make_env: MakeEnv) -> None:
    problem = make_env("macs=0.5").problem
    problems = [problem.within([Budget("macs", share)]) for share in (0.4, 0.6)]
    vector = PruningVecEnv(problems, 2, 2)
    observations = vector.reset()
    assert not np.array_equal(observations[0], observations[1])
    _, infos, _ = play_round(vector, np.zeros((len(problem.network.groups), 2)))
    for info, own in zip(infos, problems, strict=True):
        np.testing.assert_array_equal(info["plan_levels"], own.planner.filled)


def test_a_plan_without_a_reward_earns_the_lowest_so_far(make_env: MakeEnv) -> None:
    calls = []

    def reward(*arguments: Any) -> Any:
        from rlprune.evaluation.rewards import Reward

        calls.append(arguments)
        total = float("nan") if len(calls) == 3 else -float(len(calls))
        return Reward(total, {"score": 0.0, "divergence": 0.0}, 1.0)

    problem = make_env("macs=0.5", reward=reward, on_nan="skip").problem
    vector = PruningVecEnv([problem], 2, 2)
    vector.reset()
    rewards, infos, _ = play_round(vector, np.random.default_rng(0).uniform(-1, 1, (len(problem.network.groups), 2)))
    assert rewards.tolist() == [-2.0, -2.0]
    assert [info["outcome"].defined for info in infos] == [True, False]


@pytest.mark.parametrize("meaning", MEANINGS)
@pytest.mark.parametrize("count", [1, 3])
def test_sb3_s_own_algorithms_run_on_it(make_env: MakeEnv, count: int, meaning: Meaning) -> None:
    problem = make_env("macs=0.5").problem
    steps = len(problem.network.groups)
    env = PruningVecEnv([problem], count, 6, meaning)
    model = PPO("MlpPolicy", env, n_steps=2 * steps, batch_size=2 * steps, seed=0, device="cpu")
    model.learn(2 * steps * count)
    assert problem.evaluations > 1
