from __future__ import annotations

import numpy as np
import torch
from torch import nn

from rlprune.agents import Policy
from rlprune.agents.imitation import Demonstrations, imitate
from rlprune.envs.actions import CHANNELS
from rlprune.envs.slots import SLOTS


def make_policy() -> Policy:
    torch.manual_seed(0)
    return Policy.from_layers("ddpg", [nn.Linear(len(SLOTS), 32), nn.Linear(32, 1)], "relu", True, CHANNELS)


def same(left: Policy, right: Policy) -> bool:
    return all(torch.equal(tensor, right.state_dict()[name]) for name, tensor in left.state_dict().items())


def episodes(levels: int = 1) -> Demonstrations:
    """At each level one good episode of actions 0.5 and many bad ones of -0.5; observations tell levels apart."""
    found = Demonstrations()
    for level in range(levels):
        observations = np.full((4, len(SLOTS)), 0.2 + level, np.float32)
        for number in range(20):
            action = (0.5 - level) if number == 7 else -0.5
            found.add(observations, np.full((4, 1), action, np.float32), float(number == 7), level)
    return found


def test_the_policy_does_as_the_best_episode_did() -> None:
    policy = make_policy()
    imitate(policy, episodes(), 200, 0)
    assert abs(float(policy.act(np.full(len(SLOTS), 0.2, np.float32))[0]) - 0.5) < 0.1
    assert not any(parameter.requires_grad for parameter in policy.parameters())


def test_every_budget_has_its_own_best() -> None:
    policy = make_policy()
    imitate(policy, episodes(levels=2), 400, 0)
    actions = [float(policy.act(np.full(len(SLOTS), 0.2 + level, np.float32))[0]) for level in range(2)]
    assert actions[0] > 0.3
    assert actions[1] < -0.3


def test_the_same_seed_gives_the_same_policy_and_the_global_generators_are_left_alone() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(1)
    first, second = make_policy(), make_policy()
    torch.manual_seed(3)
    for policy in (first, second):
        imitate(policy, episodes(), 20, 1)
    assert torch.rand(1) == wanted
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_nothing_to_imitate_changes_nothing() -> None:
    policy, before = make_policy(), make_policy()
    imitate(policy, Demonstrations(), 20, 0)
    imitate(policy, episodes(), 0, 0)
    assert all(
        torch.equal(a, b) for a, b in zip(policy.state_dict().values(), before.state_dict().values(), strict=True)
    )
