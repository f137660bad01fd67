"""The policy that is kept: the actor, taught by the best episodes of its search."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from rlprune.agents.policy import Policy
from rlprune.arrays import FloatArray
from rlprune.envs.actions import Action
from rlprune.envs.observations import Observation

TEMPERATURE = 0.05
RATE = 2e-3
BATCH = 256


@dataclass
class Demonstrations:
    """Finished episodes as they were executed.

    Attributes:
        observations, actions: of each episode, ``[steps, slots]`` and ``[steps, entries]``.
        returns: of each episode.
        budgets: number of the budget of each episode.
    """

    observations: list[Observation] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)
    budgets: list[int] = field(default_factory=list)

    def add(self, observations: Observation, actions: Action, episode_return: float, budget: int) -> None:
        """Add one episode at the budget of this number."""
        self.observations.append(observations)
        self.actions.append(actions)
        self.returns.append(episode_return)
        self.budgets.append(budget)

    def weights(self) -> FloatArray:
        """How much each episode counts, ``[episodes]``: falls exponentially with its rank at its own budget."""
        returns, budgets = np.array(self.returns), np.array(self.budgets)
        weights = np.zeros(len(returns))
        for budget in np.unique(budgets):
            own = np.flatnonzero(budgets == budget)
            ranks = np.argsort(np.argsort(-returns[own], kind="stable"), kind="stable") / len(own)
            weights[own] = np.exp(-ranks / TEMPERATURE * np.log1p(len(own)))
            weights[own] /= weights[own].sum()
        return weights


def imitate(policy: Policy, episodes: Demonstrations, steps: int, seed: int) -> None:
    """Regress a policy, in place, on executed actions of good episodes.

    A search of a few hundred episodes is too short for an actor to climb its critic to the plans that were found.
    Episodes are drawn by their rank (advantage-weighted regression, Peng et al. 2019, with ranks for advantages).

    Args:
        steps: of Adam.
        seed: of what is drawn.
    """
    if not episodes.returns or not steps:
        return
    random = np.random.default_rng(seed)
    weights = episodes.weights()
    weights /= weights.sum()
    observations = torch.from_numpy(np.stack(episodes.observations))
    actions = torch.from_numpy(np.stack(episodes.actions))
    policy.requires_grad_(True)
    optimizer = torch.optim.Adam(policy.parameters(), lr=RATE)
    many = max(BATCH // observations.shape[1], 1)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / steps)
        rows = torch.from_numpy(random.choice(len(weights), size=many, p=weights))
        loss = (policy(observations[rows]) - actions[rows]).square().mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    policy.requires_grad_(False)
