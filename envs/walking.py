"""One episode: a walk over the groups, in actions and observations. Nothing is evaluated here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from rlprune.budget import cost_name
from rlprune.completion import IntArray
from rlprune.envs.actions import Action, decode, encode
from rlprune.envs.observations import Observation, Observer
from rlprune.errors import ActionError
from rlprune.problem import Outcome, PruningProblem


class PlanWalk:
    """An episode on its way.

    Args:
        problem: what is pruned.
        observer: of the same problem; it may be shared by many walks.
        plan: a whole plan within the budgets, ``[G]``, that :meth:`next_action` follows.

    Attributes:
        observation: at the group that is decided next.
        seen, done: observations and executed actions so far.
    """

    def __init__(self, problem: PruningProblem, observer: Observer, plan: IntArray | None = None) -> None:
        self.problem, self._observer, self._plan = problem, observer, plan
        self.walk = problem.planner.start()
        if plan is not None:
            self.walk.follow(plan)
        self.observation: Observation = observer.observe(self.walk, 0.0, 1.0)
        self.seen: list[Observation] = []
        self.done: list[Action] = []

    def next_action(self) -> Action | None:
        """What the plan that is followed asks for at this group; None where none is."""
        if self._plan is None:
            return None
        index = self.walk.index
        return encode(int(self._plan[index]) / self.problem.network.groups[index].width, *self._anchors(index))

    def decide(self, action: npt.ArrayLike) -> dict[str, Any]:
        """Decide the current group and go to the next.

        Returns:
            What was executed: group, width, keep_ratio and executed_action.

        Raises:
            ActionError: every group is decided, or the action is none.
        """
        if self.walk.done:
            raise ActionError("The episode is over: every group is decided. Call reset() before the next step.")
        index = self.walk.index
        group = self.problem.network.groups[index]
        low, centre = self._anchors(index)
        width = self.walk.decide(round(decode(action, low, centre) * group.width))
        keep_ratio = width / group.width
        executed = encode(keep_ratio, low, centre)
        self.seen.append(self.observation)
        self.done.append(executed)
        self.observation = self._observer.observe(self.walk, float(executed[0]), keep_ratio)
        return {"group": group.name, "width": width, "keep_ratio": keep_ratio, "executed_action": executed}

    def _anchors(self, index: int) -> tuple[float, float]:
        """Keep ratios that the actions -1 and 0 mean at a group."""
        group = self.problem.network.groups[index]
        return group.widths[0] / group.width, float(self.problem.planner.uniform[index]) / group.width


def plan_of(act: Callable[[Observation], npt.ArrayLike], problem: PruningProblem, observer: Observer) -> IntArray:
    """The plan, ``[G]``, of a policy that maps an observation to an action."""
    episode = PlanWalk(problem, observer)
    while not episode.walk.done:
        episode.decide(act(episode.observation))
    return episode.walk.widths


def summary(outcome: Outcome, problem: PruningProblem) -> dict[str, Any]:
    """What ``info`` holds at the end of an episode."""
    return {
        "outcome": outcome,
        "score": outcome.quality.score,
        "divergence": outcome.quality.divergence,
        **{cost_name(metric): cost for metric, cost in outcome.costs.items()},
        "reward_terms": dict(outcome.terms),
        "plan_widths": outcome.widths.copy(),
        "evaluations": problem.evaluations,
        "cache_hits": problem.cache_hits,
    }
