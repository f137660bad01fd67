"""The action ``price``: corrections of what units are expected to lose, from which a knapsack makes the plan.

A keep ratio is a hard action to learn: levels round it, budgets clip it, and one unit's deviation spoils the rest of
the plan. A price is none of this. Each choice has a table of what it loses alone at each level
(:mod:`rlprune.evaluation.probes`); an entry ``a`` in [-1, 1] multiplies that of its unit by ``exp(2 a)``: what it loses
among others. Once the last unit is priced, the plan of least loss within the budgets follows
(:mod:`rlprune.budgets.knapsack`). So every plan fits, zero everywhere is about the probes' plan, and plans change step
by step with the actions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rlprune.arrays import FloatArray, IntArray
from rlprune.budgets.knapsack import Knapsack
from rlprune.envs.actions import Action, entries_of
from rlprune.envs.observations import Observation, static_rows
from rlprune.envs.slots import observation_space
from rlprune.errors import ActionError
from rlprune.evaluation.problem import PruningProblem

REACH = 2.0
"""Logarithm of the largest correction."""


class Pricing:
    """Prices of one problem, for many episodes at once.

    Attributes:
        problem: what is pruned.
        reference: the plan of no corrections, ``[K]``.
    """

    def __init__(self, problem: PruningProblem) -> None:
        self.problem = problem
        space = problem.space
        self._knapsack = Knapsack(problem.planner, space.canonical)
        self._losses = problem.evaluator.loss_tables.of(space.choices)
        steps = [(at, space.kinds.index(kind), place)
                 for at, unit in enumerate(space.units) for kind, place in unit.places.items()]  # fmt: skip
        ordered = sorted(steps, key=lambda step: step[2])
        self._units, self._entries = np.array([(at, entry) for at, entry, _ in ordered]).T
        self._present = np.zeros((len(space.units), len(space.kinds)), dtype=np.float32)
        self._present[self._units, self._entries] = 1.0
        box = observation_space(space.kinds, "price")
        self._low, self._high = box.low, box.high
        self._static = static_rows(problem)
        self.reference = self.plans(np.zeros((1, *self._present.shape)))[0]

    @property
    def length(self) -> int:
        """Steps of an episode."""
        return len(self._present)

    def executed(self, at: int, actions: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Actions at a unit, ``[N, kinds]``, 0 where it has no choice of a kind."""
        return np.asarray(np.clip(actions, -1.0, 1.0) * self._present[at], dtype=np.float32)

    def plans(self, actions: npt.NDArray[Any]) -> IntArray:
        """The plans of whole episodes' actions, ``[N, U, kinds] -> [N, K]``."""
        return self._knapsack.solve_many(self._priced(actions))

    def _priced(self, actions: npt.NDArray[Any]) -> FloatArray:
        corrections = np.exp(REACH * np.asarray(actions, dtype=np.float64)[:, self._units, self._entries])
        return np.asarray(self._losses * corrections[:, :, None])

    def observations(self, at: int, previous: npt.NDArray[Any]) -> Observation:
        """Observations of episodes at a unit, which executed ``previous`` (``[N, kinds]``) before; ``[N, slots]``."""
        rows = np.hstack([np.repeat(self._static[at][None], len(previous), axis=0), previous.astype(np.float32)])
        return np.asarray(np.clip(rows, self._low, self._high))


class PricedEpisode:
    """An episode of prices on its way.

    Attributes:
        at: the number of the unit that is priced next.
        observation: at that unit.
    """

    def __init__(self, pricing: Pricing) -> None:
        self.problem, self._pricing = pricing.problem, pricing
        self.at = 0
        self._prices = np.zeros((1, pricing.length, len(self.problem.space.kinds)), dtype=np.float32)
        self.observation: Observation = pricing.observations(0, self._prices[:, 0])[0]

    @property
    def levels(self) -> IntArray:
        """The plan of the prices so far, the other units priced at 0, ``[K]``."""
        return np.asarray(self._pricing.plans(self._prices)[0])

    @property
    def done(self) -> bool:
        """True when every unit is priced."""
        return self.at == self._pricing.length

    def is_decided(self, place: int) -> bool:
        """Whether the level of a choice is final: none is before the last price."""
        return self.done

    def decide(self, action: npt.ArrayLike) -> dict[str, Any]:
        """Price the current unit and go to the next.

        Returns:
            What was executed; see the table in :class:`rlprune.envs.LayerPruningEnv`.

        Raises:
            ActionError: every unit is priced, or the action is none.
        """
        if self.done:
            raise ActionError("The episode is over: every unit is decided. Call reset() before the next step.")
        entries = entries_of(action, self.problem.space.kinds)
        unit = self.problem.space.units[self.at]
        executed: Action = self._pricing.executed(self.at, np.array([list(entries.values())]))[0]
        self._prices[0, self.at] = executed
        self.at += 1
        self.observation = self._pricing.observations(self.at, executed[None])[0]
        return {"unit": unit.name, "executed_action": executed}
