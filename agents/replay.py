"""Walk a learned policy over a network, without learning and with one evaluation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlprune.agents.policy import Policy
from rlprune.arrays import IntArray
from rlprune.envs.episode import new_episode, plan_of
from rlprune.envs.observations import Observation
from rlprune.errors import PolicyError
from rlprune.evaluation.problem import Outcome, PruningProblem


def replay(policy: Policy, problem: PruningProblem) -> Outcome:
    """The plan that ``policy`` makes for the network and budgets of ``problem``, and what it does.

    >>> result = make_searcher("ddpg").search(LayerPruningEnv(problem), episodes=12, seed=0)
    >>> outcome = replay(result.policy, problem.within([Budget.parse("macs=0.6")]))
    >>> outcome.costs["macs"] <= 0.6 * problem.dense_costs["macs"]
    True

    Raises:
        PolicyError: the policy decides other kinds of things.
    """
    return problem.outcome(replayed_plan(policy, problem))


def replayed_plan(policy: Policy, problem: PruningProblem) -> IntArray:
    """The plan alone, ``int64 [K]``; nothing is evaluated. Raises as :func:`replay`."""
    if policy.spec.kinds != problem.space.kinds:
        raise PolicyError(
            f"A policy decides what it was trained to decide: {', '.join(policy.spec.kinds)}; "
            f"{', '.join(problem.space.kinds)} was asked for. Replay it with the decisions of its run."
        )
    return plan_of(policy.act, new_episode(problem, policy.spec.meaning))


def action_spread(policy: Policy, problem: PruningProblem) -> float:
    """Standard deviation of the policy's actions over the units of a network, of the kind that varies most.

    It is near 0 where the policy ignores what it sees.
    """
    actions: list[npt.NDArray[np.float32]] = []

    def act(observation: Observation) -> npt.NDArray[np.float32]:
        action = policy.act(observation)
        actions.append(action)
        return action

    plan_of(act, new_episode(problem, policy.spec.meaning))
    return float(np.std(actions, axis=0).max())
