"""Walk a learned policy over a network, without learning and with one evaluation."""

from __future__ import annotations

from rlprune.agents.policy import Policy
from rlprune.envs import LayerPruningEnv
from rlprune.problem import Outcome, PruningProblem


def replay(policy: Policy, problem: PruningProblem) -> Outcome:
    """The plan that ``policy`` makes for the network and budgets of ``problem``, and what it does."""
    env = LayerPruningEnv(problem)
    observation, _ = env.reset()
    terminated = False
    while not terminated:
        observation, _, terminated, _, info = env.step(policy.act(observation))
    outcome: Outcome = info["outcome"]
    return outcome
