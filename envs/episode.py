"""One episode: a walk over the units, in actions and observations. Nothing is evaluated here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rlprune.arrays import IntArray
from rlprune.budgets.limits import cost_name
from rlprune.choices.choice import Kind, Unit
from rlprune.envs.actions import Action, decode, encode, entries_of
from rlprune.envs.observations import Observation, Observer, Previous
from rlprune.errors import ActionError
from rlprune.evaluation.problem import Outcome, PruningProblem


class RunningEpisode:
    """An episode on its way.

    Args:
        problem: what is pruned.
        observer: of the same problem; it may be shared by many walks.
        plan: a whole plan, ``[K]``, that :meth:`next_action` asks for. The walk sees nothing of it: where it takes
            another level than the plan's, because it knows no way to the budgets from there, the nearest one counts.

    Attributes:
        at: the number of the unit that is decided next.
        observation: at that unit.
        seen, done: observations and executed actions so far.
    """

    def __init__(self, problem: PruningProblem, observer: Observer, plan: IntArray | None = None) -> None:
        self.problem, self._observer, self._plan = problem, observer, plan
        self.walk = problem.planner.start()
        self.at = 0
        self._previous = Previous()
        self.observation: Observation = observer.observe(self.walk, self.at, self._previous)
        self.seen: list[Observation] = []
        self.done: list[Action] = []

    def next_action(self) -> Action | None:
        """What the plan that is followed asks for at this unit; None where none is."""
        if self._plan is None:
            return None
        unit, plan = self.problem.space.units[self.at], self._plan
        return self._vector({kind: self._entry(place, int(plan[place])) for kind, place in unit.places.items()})

    def decide(self, action: npt.ArrayLike) -> dict[str, Any]:
        """Take all choices of the current unit and go to the next.

        Returns:
            What was executed; see the table in :class:`rlprune.envs.LayerPruningEnv`.

        Raises:
            ActionError: every unit is decided, or the action is none.
        """
        if self.walk.done:
            raise ActionError("The episode is over: every unit is decided. Call reset() before the next step.")
        unit = self.problem.space.units[self.at]
        entries = entries_of(action, self.problem.space.kinds)
        levels = {kind: self._take(place, entries[kind]) for kind, place in unit.places.items()}
        executed = self._vector({kind: self._entry(unit.places[kind], level) for kind, level in levels.items()})
        self.seen.append(self.observation)
        self.done.append(executed)
        self._previous = self._previous.after(self.problem.space.kinds, executed, self._shares(unit, levels))
        self.at += 1
        self.observation = self._observer.observe(self.walk, self.at, self._previous)
        return {"unit": unit.name, "levels": levels, "executed_action": executed} | self._channels(unit, levels)

    def _take(self, place: int, entry: float) -> int:
        choice = self.problem.space.choices[place]
        return self.walk.decide(choice.level_at(decode(entry, *self._anchors(place))))

    def _anchors(self, place: int) -> tuple[float, float]:
        """Shares that the entries -1 and 0 mean at a choice."""
        choice = self.problem.space.choices[place]
        return choice.lowest, choice.share(float(self.problem.planner.filled[place]))

    def _entry(self, place: int, level: int) -> float:
        return encode(self.problem.space.choices[place].share(level), *self._anchors(place))

    def _vector(self, entries: dict[Kind, float]) -> Action:
        return np.array([entries.get(kind, 0.0) for kind in self.problem.space.kinds], dtype=np.float32)

    def _shares(self, unit: Unit, levels: dict[Kind, int]) -> dict[Kind, float]:
        return {kind: self.problem.space.choices[unit.places[kind]].share(level) for kind, level in levels.items()}

    def _channels(self, unit: Unit, levels: dict[Kind, int]) -> dict[str, Any]:
        if "channels" not in levels:
            return {}
        group, width = self.problem.space.choices[unit.places["channels"]], levels["channels"]
        return {"group": group.name, "width": width, "keep_ratio": group.share(width)}


def plan_of(act: Callable[[Observation], npt.ArrayLike], problem: PruningProblem, observer: Observer) -> IntArray:
    """The plan, ``[K]``, of a policy that maps an observation to an action."""
    episode = RunningEpisode(problem, observer)
    while not episode.walk.done:
        episode.decide(act(episode.observation))
    return episode.walk.levels


def summary(outcome: Outcome, problem: PruningProblem) -> dict[str, Any]:
    """What ``info`` holds at the end of an episode."""
    return {
        "outcome": outcome,
        "score": outcome.quality.score,
        "divergence": outcome.quality.divergence,
        **{cost_name(metric): cost for metric, cost in outcome.costs.items()},
        "reward_terms": dict(outcome.terms),
        "plan_levels": outcome.levels.copy(),
        "evaluations": problem.evaluations,
        "cache_hits": problem.cache_hits,
    }
