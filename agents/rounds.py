"""Rounds of plans: chosen together, evaluated together, then learned from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rlprune.agents.searcher import EpisodeLog
from rlprune.agents.surrogate import Known, Surrogate
from rlprune.arrays import IntArray
from rlprune.evaluation.problem import PruningProblem


@dataclass(frozen=True)
class Proposal:
    """A plan to evaluate: for which of the problems, and who decided it (one of ``searcher.ORIGINS``)."""

    at: int
    plan: IntArray
    origin: str


Propose = Callable[[int, Known], Proposal]
"""From the number of a problem and the plans that are known, those of this round too, to the next one to evaluate."""


class Rounds:
    """Evaluates plans of several problems in turn, and has the surrogate learn from them.

    The first plans of each problem are the filled one and that of the probes.
    """

    def __init__(self, problems: Sequence[PruningProblem], surrogate: Surrogate, log: EpisodeLog, count: int) -> None:
        self._problems, self._surrogate, self._log, self._left = problems, surrogate, log, count
        self._number = 0

    @property
    def left(self) -> int:
        """Episodes that are still to come."""
        return self._left

    def start(self) -> None:
        """Evaluate the plans that need no search."""
        first = [
            Proposal(at, plan, origin)
            for at, problem in enumerate(self._problems)
            for origin, plan in (("filled", problem.planner.filled), ("probe", problem.probe))
        ]
        self._evaluate(first[: self._left])

    def play(self, count: int, propose: Propose) -> None:
        """Evaluate at most ``count`` further plans, the problems taken in turn."""
        known, proposals = self._surrogate.known, []
        for _ in range(min(count, self._left)):
            proposals.append(propose(self._number % len(self._problems), known))
            known.add(tuple(proposals[-1].plan.tolist()))
            self._number += 1
        self._evaluate(proposals)

    def _evaluate(self, proposals: Sequence[Proposal]) -> None:
        qualities = self._problems[0].evaluator.many([proposal.plan for proposal in proposals])
        for proposal, quality in zip(proposals, qualities, strict=True):
            outcome = self._problems[proposal.at].judged(proposal.plan, quality)
            self._surrogate.record(outcome)
            self._log.add(outcome, proposal.origin)
        self._left -= len(proposals)
