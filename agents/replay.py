"""Walk a learned policy over a network, without learning and with one evaluation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlprune.agents.policy import Policy
from rlprune.completion import IntArray
from rlprune.envs.observations import Observation, Observer
from rlprune.envs.walking import plan_of
from rlprune.problem import Outcome, PruningProblem


def replay(policy: Policy, problem: PruningProblem) -> Outcome:
    """The plan that ``policy`` makes for the network and budgets of ``problem``, and what it does."""
    return problem.outcome(replayed_plan(policy, problem))


def replayed_plan(policy: Policy, problem: PruningProblem) -> IntArray:
    """The plan alone, ``int64 [G]``; nothing is evaluated."""
    return plan_of(policy.act, problem, Observer(problem))


def action_spread(policy: Policy, problem: PruningProblem) -> float:
    """Standard deviation of the policy's actions over the groups of a network: near 0 where it ignores what it sees."""
    actions: list[float] = []

    def act(observation: Observation) -> npt.NDArray[np.float32]:
        action = policy.act(observation)
        actions.append(float(action[0]))
        return action

    plan_of(act, problem, Observer(problem))
    return float(np.std(actions))
