from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from rlprune.agents.returns import EpisodeReturnBuffer

LENGTH = 3


def make_buffer(ranks: bool = True, episodes: int = 10) -> EpisodeReturnBuffer:
    box = spaces.Box(-1, 1, (2,), np.float32)
    action = spaces.Box(-1, 1, (1,), np.float32)
    return EpisodeReturnBuffer(episodes * LENGTH, box, action, episode_length=LENGTH, seed=0, ranks=ranks)


def step(buffer: EpisodeReturnBuffer, rewards: list[float], executed: list[float], last: bool) -> None:
    """One step of as many environments as there are rewards; observations tell them apart."""
    infos: list[dict[str, Any]] = [{"executed_action": np.array([action], np.float32)} for action in executed]
    if last:
        infos = [info | {"outcome": None} for info in infos]
    count = len(rewards)
    obs = np.array([[reward, reward] for reward in rewards], np.float32)
    asked = np.full((count, 1), 0.99, np.float32)
    paid = np.array(rewards) if last else np.zeros(count)
    buffer.add(obs, obs, asked, paid, np.full(count, last), infos)


def add_round(buffer: EpisodeReturnBuffer, *rewards: float, executed: float = 0.0) -> None:
    for number in range(LENGTH):
        step(buffer, list(rewards), [executed] * len(rewards), number == LENGTH - 1)


def test_every_transition_gets_its_episode_s_return_and_is_final() -> None:
    buffer = make_buffer(ranks=False)
    add_round(buffer, 2.0)
    add_round(buffer, -3.0)
    batch = buffer.sample(200)
    assert (batch.dones == 1).all()
    assert (batch.rewards[:, 0] == batch.observations[:, 0]).all()
    assert set(batch.rewards.flatten().tolist()) == {2.0, -3.0}


def test_episodes_of_several_environments_are_kept_apart() -> None:
    buffer = make_buffer(ranks=False)
    add_round(buffer, 2.0, -3.0, 5.0)
    assert buffer.finished == 3 * LENGTH
    np.testing.assert_array_equal(buffer.observations[:9, 0, 0], np.repeat([2.0, -3.0, 5.0], LENGTH))
    batch = buffer.sample(200)
    assert (batch.rewards[:, 0] == batch.observations[:, 0]).all()


def test_an_episode_without_an_outcome_is_left_out() -> None:
    buffer = make_buffer()
    for number in range(LENGTH):
        infos = [{"executed_action": np.zeros(1)}, {"executed_action": np.zeros(1)}]
        if number == LENGTH - 1:
            infos[1]["outcome"] = np.zeros(1)
        buffer.add(*(np.zeros((2, k), np.float32) for k in (2, 2, 1)), np.zeros(2), np.full(2, number == 2), infos)
    assert buffer.finished == LENGTH


def test_the_executed_action_is_stored() -> None:
    buffer = make_buffer()
    add_round(buffer, 1.0, executed=-0.25)
    assert (buffer.sample(10).actions == -0.25).all()


def test_returns_are_ranks_and_equal_returns_share_one() -> None:
    buffer = make_buffer()
    for reward in (-1000.0, 1.0, 1.0, 2.0):
        add_round(buffer, reward)
    batch = buffer.sample(400)
    pairs = set(zip(batch.observations[:, 0].tolist(), batch.rewards[:, 0].tolist(), strict=True))
    assert pairs == {(-1000.0, -1.0), (1.0, 0.0), (2.0, 1.0)}


def test_steps_of_an_unfinished_episode_are_not_sampled() -> None:
    buffer = make_buffer(ranks=False)
    add_round(buffer, 5.0)
    step(buffer, [0.0], [0.0], last=False)
    assert buffer.finished == LENGTH
    assert (buffer.sample(100).rewards == 5.0).all()


def test_a_full_buffer_forgets_the_oldest_episode() -> None:
    buffer = make_buffer(ranks=False, episodes=2)
    for reward in (1.0, 2.0, 3.0):
        add_round(buffer, reward)
    assert set(buffer.sample(100).rewards.flatten().tolist()) == {2.0, 3.0}
