"""Walks of a policy that prices units: its own plan, and plans with noise. Nothing is evaluated."""

from __future__ import annotations

import numpy as np
import torch

from rlprune.agents.policy import Policy
from rlprune.arrays import IntArray
from rlprune.envs.pricing import Pricing


def policy_plan(policy: Policy, pricing: Pricing) -> IntArray:
    """The plan that a policy makes by itself, ``[K]``."""
    return np.asarray(sampled_plans(policy, pricing, 1, 0.0, np.random.default_rng(0))[0])


def sampled_plans(policy: Policy, pricing: Pricing, count: int, noise: float, random: np.random.Generator) -> IntArray:
    """Plans of walks whose actions have Gaussian noise of a standard deviation, ``[count, K]``."""
    kinds = len(pricing.problem.space.kinds)
    prices = np.zeros((count, pricing.length, kinds), dtype=np.float32)
    previous = np.zeros((count, kinds), dtype=np.float32)
    for at in range(pricing.length):
        with torch.inference_mode():
            actions = policy(torch.from_numpy(pricing.observations(at, previous))).numpy()
        if noise:
            actions = actions + noise * random.standard_normal(actions.shape)
        previous = prices[:, at] = pricing.executed(at, actions)
    return pricing.plans(prices)
