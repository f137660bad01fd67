from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from rlprune.agents import AGENTS, Policy, make_searcher
from rlprune.agents.algorithms import make_algorithm, policy_of
from rlprune.envs.actions import CHANNELS
from rlprune.envs.slots import slots_of
from rlprune.envs.vector import PruningVecEnv
from rlprune.errors import PolicyError
from tests.agents.conftest import MakeEnv

SLOTS = len(slots_of(CHANNELS, "price"))


@pytest.fixture
def policy() -> Policy:
    linears = [nn.Linear(SLOTS, 16), nn.Linear(16, 1)]
    return Policy.from_layers("ddpg", linears, "relu", True, CHANNELS, "price")


def observations(count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, SLOTS)).astype(np.float32)


def test_a_policy_survives_its_files(policy: Policy, tmp_path: Path) -> None:
    policy.save(tmp_path)
    again = Policy.load(tmp_path)
    assert again.spec == policy.spec
    for observation in observations():
        np.testing.assert_array_equal(again.act(observation), policy.act(observation))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["policy.json", "policy.safetensors"]


@pytest.mark.parametrize("name", AGENTS)
def test_the_exported_actor_acts_as_sb3_s(name: str, make_env: MakeEnv) -> None:
    env = PruningVecEnv([make_env().problem], 1, 4, "price")
    model = make_algorithm(name, env, 4, hidden=(16, 16), learning_rate=1e-3, gamma=1.0, seed=0)
    exported = policy_of(name, model, CHANNELS, "price")
    for observation in observations():
        wanted = model.predict(observation, deterministic=True)[0]
        np.testing.assert_allclose(exported.act(observation), wanted, atol=1e-6)


def test_the_exported_ppo_actor_stays_in_the_box(make_env: MakeEnv) -> None:
    policy = make_searcher("ppo").search(make_env(), 8, 0).policy
    assert policy is not None
    for observation in observations(20) * 100:
        assert np.abs(policy.act(observation)).max() <= 1


def changed(folder: Path, **values: Any) -> None:
    path = folder / "policy.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schema": "rlprune-policy/9"}, "schema"),
        ({"sizes": [3, 4, 1]}, "observation slots"),
        ({"sizes": [SLOTS, 10**9, 1]}, "sizes"),
        ({"sizes": "64"}, "sizes"),
        ({"activation": "os.system"}, "activation"),
        ({"observation_version": 0}, "observation version 0"),
        ({"observation": ["something", "else"]}, "observation version"),
        ({"actions": ["bits"]}, "bits"),
        ({"actions": ["price_of_channels", "price_of_channels"]}, "each once"),
        ({"actions": ["price_of_bits", "price_of_channels"]}, "stand in the order"),
        ({"actions": ["price_of_channels", "price_of_bits"]}, "observation version"),
        ({"actions": []}, "decides"),
        ({"actions": "keep_ratio"}, "decides"),
        ({"actions": [["keep_ratio"]]}, "decides"),
        ({"sizes": [SLOTS, 8, 1]}, "does not hold the weights"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    policy: Policy, tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    policy.save(tmp_path)
    changed(tmp_path, **values)
    with pytest.raises(PolicyError, match=message):
        Policy.load(tmp_path)


def test_a_pickle_in_place_of_the_weights_is_not_loaded(policy: Policy, tmp_path: Path) -> None:
    policy.save(tmp_path)
    torch.save(policy.state_dict(), tmp_path / "policy.safetensors")
    with pytest.raises(PolicyError, match="does not hold the weights"):
        Policy.load(tmp_path)


def test_truncated_weights_are_refused(policy: Policy, tmp_path: Path) -> None:
    policy.save(tmp_path)
    path = tmp_path / "policy.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(PolicyError, match="does not hold the weights"):
        Policy.load(tmp_path)


def test_weights_with_nan_are_refused(policy: Policy, tmp_path: Path) -> None:
    policy.save(tmp_path)
    path = tmp_path / "policy.safetensors"
    save_file({name: tensor * float("nan") for name, tensor in load_file(path).items()}, path)
    with pytest.raises(PolicyError, match="must be finite"):
        Policy.load(tmp_path)


def test_a_missing_policy_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"policy\.json"):
        Policy.load(tmp_path)
