from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from rlprune.agents import DDPGSearcher, DDPGSettings
from rlprune.agents.returns import EpisodeReturnBuffer
from rlprune.agents.screened_ddpg import Exploration
from rlprune.errors import ConfigError
from tests.agents.conftest import MakeEnv

LENGTH = 3


def make_buffer(ranks: bool = True, episodes: int = 10) -> EpisodeReturnBuffer:
    box = spaces.Box(-1, 1, (2,), np.float32)
    action = spaces.Box(-1, 1, (1,), np.float32)
    return EpisodeReturnBuffer(episodes * LENGTH, box, action, episode_length=LENGTH, seed=0, ranks=ranks)


def add_episode(buffer: EpisodeReturnBuffer, reward: float, executed: float) -> None:
    for step in range(LENGTH):
        last = step == LENGTH - 1
        info: dict[str, Any] = {"executed_action": np.array([executed], np.float32)}
        requested = np.array([[0.99]], np.float32)
        obs = np.full((1, 2), reward, np.float32)
        buffer.add(obs, obs, requested, np.array([reward if last else 0.0]), np.array([last]), [info])


def test_every_transition_gets_its_episode_s_return_and_is_final() -> None:
    buffer = make_buffer(ranks=False)
    add_episode(buffer, 2.0, 0.1)
    add_episode(buffer, -3.0, 0.2)
    batch = buffer.sample(200)
    assert (batch.dones == 1).all()
    assert (batch.rewards[:, 0] == batch.observations[:, 0]).all()
    assert set(batch.rewards.flatten().tolist()) == {2.0, -3.0}


def test_the_executed_action_is_stored() -> None:
    buffer = make_buffer()
    add_episode(buffer, 1.0, -0.25)
    assert (buffer.sample(10).actions == -0.25).all()


def test_returns_are_ranks_and_equal_returns_share_one() -> None:
    buffer = make_buffer()
    for reward in (-1000.0, 1.0, 1.0, 2.0):
        add_episode(buffer, reward, 0.0)
    batch = buffer.sample(400)
    pairs = set(zip(batch.observations[:, 0].tolist(), batch.rewards[:, 0].tolist(), strict=True))
    assert pairs == {(-1000.0, -1.0), (1.0, 0.0), (2.0, 1.0)}


def test_steps_of_an_unfinished_episode_are_not_sampled() -> None:
    buffer = make_buffer(ranks=False)
    add_episode(buffer, 5.0, 0.0)
    obs = np.zeros((1, 2), np.float32)
    buffer.add(obs, obs, np.zeros((1, 1)), np.zeros(1), np.zeros(1, bool), [{"executed_action": np.zeros(1)}])
    assert buffer.finished == LENGTH
    assert (buffer.sample(100).rewards == 5.0).all()


def test_the_best_episode_s_actions() -> None:
    buffer = make_buffer()
    for reward, executed in ((1.0, 0.1), (3.0, 0.2), (2.0, 0.3), (3.0, 0.4)):
        add_episode(buffer, reward, executed)
    np.testing.assert_allclose(buffer.best_actions(), np.full((LENGTH, 1), 0.2), rtol=1e-6)


def test_a_full_buffer_forgets_the_oldest_episode() -> None:
    buffer = make_buffer(ranks=False, episodes=2)
    for reward in (1.0, 2.0, 3.0):
        add_episode(buffer, reward, 0.0)
    assert set(buffer.sample(100).rewards.flatten().tolist()) == {2.0, 3.0}


def test_noise_falls_from_start_to_end() -> None:
    exploration = Exploration(noise=0.4, final_noise=0.1)
    sigmas = [exploration.sigma(episode, 100) for episode in range(11, 100)]
    assert sigmas[0] == pytest.approx(0.4)
    assert sigmas[-1] == pytest.approx(0.1)
    assert sigmas == sorted(sigmas, reverse=True)


def test_fresh_exploration_evaluates_more_distinct_plans(make_env: MakeEnv) -> None:
    def evaluations(fresh: bool) -> int:
        settings = DDPGSettings(exploration=Exploration(fresh=fresh, temperature=0.0, noise=0.1, final_noise=0.1))
        return DDPGSearcher(settings).search(make_env(), 60, 0).episodes[-1].evaluations

    assert evaluations(True) >= evaluations(False)


def test_the_first_episode_is_the_uniform_plan(make_env: MakeEnv) -> None:
    env = make_env()
    first = DDPGSearcher().search(env, 3, 0).episodes[0]
    np.testing.assert_array_equal(first.outcome.widths, env.problem.uniform.widths)


@pytest.mark.parametrize(
    "settings",
    [{"candidates": 0}, {"noise": 0.1, "final_noise": 0.2}, {"final_noise": 0.0}, {"elite": 1.5}, {"temperature": -1}],
)
def test_impossible_exploration_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Exploration(**settings)  # type: ignore[arg-type]


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1 update"):
        DDPGSettings(updates=0)
