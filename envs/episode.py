"""One episode: a walk over the units, in actions and observations. Nothing is evaluated here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rlprune.arrays import IntArray
from rlprune.budgets.limits import cost_name
from rlprune.choices.choice import Kind, Unit
from rlprune.envs.actions import Action, Meaning, decode, encode, entries_of
from rlprune.envs.observations import Observation, Observer, Previous
from rlprune.envs.pricing import PricedEpisode, Pricing
from rlprune.errors import ActionError
from rlprune.evaluation.problem import Outcome, PruningProblem


class Episode(Protocol):
    """An episode on its way, whatever its actions mean."""

    problem: PruningProblem
    at: int
    observation: Observation

    @property
    def levels(self) -> IntArray:
        """The plan that would follow the decisions so far, ``[K]``."""
        ...

    @property
    def done(self) -> bool:
        """Whether every unit is decided; ``levels`` is then the plan."""
        ...

    def is_decided(self, place: int) -> bool:
        """Whether the level of a choice is final."""
        ...

    def decide(self, action: npt.ArrayLike) -> dict[str, Any]:
        """Take an action for the current unit and go to the next."""
        ...


class RatioEpisode:
    """An episode of keep ratios on its way.

    Args:
        problem: what is pruned.
        observer: of the same problem; it may be shared by many walks.

    Attributes:
        at: the number of the unit that is decided next.
        observation: at that unit.
    """

    def __init__(self, problem: PruningProblem, observer: Observer) -> None:
        self.problem, self._observer = problem, observer
        self.walk = problem.planner.start()
        self.at = 0
        self._previous = Previous()
        self.observation: Observation = observer.observe(self.walk, self.at, self._previous)

    @property
    def levels(self) -> IntArray:
        """The decided levels, then those of a plan that meets the budgets, ``[K]``."""
        return self.walk.levels

    @property
    def done(self) -> bool:
        """True when every unit is decided."""
        return self.walk.done

    def is_decided(self, place: int) -> bool:
        """Whether the level of a choice is final."""
        return place < self.walk.index

    def decide(self, action: npt.ArrayLike) -> dict[str, Any]:
        """Take all choices of the current unit and go to the next.

        Returns:
            What was executed; see the table in :class:`rlprune.envs.LayerPruningEnv`.

        Raises:
            ActionError: every unit is decided, or the action is none.
        """
        if self.done:
            raise ActionError("The episode is over: every unit is decided. Call reset() before the next step.")
        unit = self.problem.space.units[self.at]
        entries = entries_of(action, self.problem.space.kinds)
        levels = {kind: self._take(place, entries[kind]) for kind, place in unit.places.items()}
        executed = self._vector({kind: self._entry(unit.places[kind], level) for kind, level in levels.items()})
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


def new_episode(problem: PruningProblem, meaning: Meaning) -> Episode:
    """An episode that begins."""
    return starter(problem, meaning)()


def starter(problem: PruningProblem, meaning: Meaning) -> Callable[[], Episode]:
    """What begins episodes of a problem; what they share is computed once."""
    if meaning == "price":
        pricing = Pricing(problem)
        return lambda: PricedEpisode(pricing)
    observer = Observer(problem)
    return lambda: RatioEpisode(problem, observer)


def plan_of(act: Callable[[Observation], npt.ArrayLike], episode: Episode) -> IntArray:
    """The plan, ``[K]``, to which observations lead when they are answered with actions."""
    while not episode.done:
        episode.decide(act(episode.observation))
    return episode.levels


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
