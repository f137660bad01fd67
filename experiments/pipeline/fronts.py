"""Training over a range of budgets: one search, a whole front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rlprune.agents import Policy, replay
from rlprune.arrays import FloatArray
from rlprune.budgets.completion import FITS
from rlprune.budgets.limits import Budget, cost_name
from rlprune.evaluation.pareto import dominated, nearest
from rlprune.evaluation.problem import Outcome, PruningProblem
from rlprune.evaluation.range_plane import RangePlane
from rlprune.experiments.pipeline.device_facts import DeviceFacts
from rlprune.experiments.pipeline.job import Job
from rlprune.experiments.pipeline.outputs import Facts
from rlprune.experiments.pipeline.scoring import Candidate, candidate, dense_candidate
from rlprune.experiments.pipeline.searching import Finalist, Search, finalists, ranked, role_of
from rlprune.experiments.runs.result import POLICY_ALONE, UNSEARCHED, Front, StatedPoint
from rlprune.experiments.runs.verdict import hypervolume_text
from rlprune.experiments.settings.parsing import parse_preferences
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.plans.plan import PruningPlan

FINALISTS = 2
"""Plans of a method that are scored on all validation samples at each budget."""


@dataclass(eq=False)
class Point:
    """What one method has at one budget.

    Attributes:
        method: its name; "policy" is the learned policy by itself, one walk and no search.
        budget: the budget.
        candidate: its best plan there.
    """

    method: str
    budget: Budget
    candidate: Candidate


@dataclass(eq=False)
class FrontJob(Job):
    """Searches all budgets of a range together, and chooses on the front that comes out."""

    points: list[Point] = field(default_factory=list)
    volumes: dict[str, float] = field(default_factory=dict)
    _scored: dict[tuple[int, ...], Finalist] = field(default_factory=dict)

    @classmethod
    def budgeted(cls, config: TrainConfig, problem: PruningProblem) -> list[PruningProblem]:
        """The problem at each level of the range.

        Raises:
            BudgetError: the lowest budget cannot be met.
        """
        wide = config.budget_range()
        assert wide is not None  # the job is chosen by it
        others = list(problem.planner.budgets[1:])
        return [problem.within([level, *others]) for level in wide.budgets(config.levels)]

    def _candidates(self, searches: dict[str, Search]) -> list[Candidate]:
        """Dense, and every method's best plan at every budget."""
        problems = self.budgeted(self.config, self.problem)
        metric = problems[-1].planner.budgets[0].metric
        found = {name: [episode.outcome for episode in search.episodes] for name, search in searches.items()}
        self.volumes = volumes_of(problems, metric, found)
        cheaper: dict[str, list[Outcome]] = {}
        policy = searches[self.config.agent].policy
        text = f"Scoring the front on {len(self.material.task.validation)} samples"
        total = len(problems) * (1 + len(searches) + (policy is not None))
        with self.progress.phase("finalists", text), self.progress.bar("front", total) as self._bar:
            for problem in problems:
                for name, outcome in problem.unsearched.items():
                    self._add(name, name, problem, [outcome])
                for name, search in searches.items():
                    role = role_of(name, self.config.agent)
                    # What was best for less is allowed here too: more budget is never worse.
                    outcomes = [*_best_within(search, problem), *cheaper.get(name, [])]
                    cheaper[name] = [self._add(name, role, problem, outcomes, search.evaluations)]
            if policy is not None:
                self._replay(policy, problems)
        return [dense_candidate(self.problem), *(point.candidate for point in self.points)]

    def _replay(self, policy: Policy, problems: Sequence[PruningProblem]) -> None:
        for problem in problems:
            self._add(POLICY_ALONE, POLICY_ALONE, problem, [replay(policy, problem)])

    def _add(
        self,
        method: str,
        role: str,
        problem: PruningProblem,
        outcomes: Sequence[Outcome],
        evaluations: int | None = None,
    ) -> Outcome:
        """Score plans on all validation samples, where they were not yet, and take the best for a point."""
        new = [outcome for outcome in outcomes if tuple(outcome.levels.tolist()) not in self._scored]
        for finalist in finalists(new, self.problem.evaluator):
            self._scored[tuple(finalist.outcome.levels.tolist())] = finalist
        found = ranked([self._scored[tuple(outcome.levels.tolist())] for outcome in outcomes])
        budget = problem.planner.budgets[0]
        item = candidate(f"{method} {budget}", role, found, self.problem.evaluator, evaluations)
        self.points.append(Point(method, budget, item))
        self._bar.step(method)
        return found[0].outcome

    def _facts(self, power: DeviceFacts, searches: dict[str, Search], candidates: list[Candidate]) -> Facts:
        facts = super()._facts(power, searches, candidates)
        chosen, dense = self._chosen(), candidates[0]
        named = [point for point in self.points if point.budget == chosen.budget and point.method != POLICY_ALONE]
        for point in named:
            point.candidate.name = point.method
        facts.candidates = [dense, *(point.candidate for point in named)]
        facts.problem = self.problem.within([chosen.budget, *self.problem.planner.budgets[1:]])
        facts.front = self._front(facts, chosen)
        return facts

    def _chosen(self) -> Point:
        """The agent's point that is nearest to the ideal one by the preferences."""
        own = [point for point in self.points if point.method == self.config.agent]
        cost = own[0].budget.metric.partition("_")[0]
        weights = parse_preferences(self.config.prefer) or {"accuracy": 1.0, cost: 1.0}
        return own[nearest(_losses(own, list(weights)), list(weights.values()))]

    def _front(self, facts: Facts, chosen: Point) -> Front:
        """What ``result.json`` says of the front, plans included."""
        points = []
        for point in self.points:
            row, cost = point.candidate.row(self.problem, facts.power), point.candidate.costs[point.budget.metric]
            points.append(StatedPoint.of(row, point.method, str(point.budget), cost))
            if point.method in (self.config.agent, POLICY_ALONE):
                notes = {**self.config.network_notes(), "method": point.method, "budgets": [str(point.budget)]}
                path = self.run.path / "plans" / f"{point.method}-{str(point.budget).replace('=', '')}.json"
                PruningPlan.from_levels(self.problem.space, point.candidate.levels, notes).save(path)
        metric = chosen.budget.metric
        return Front(
            range=str(self.config.budget_range()),
            cost=cost_name(metric),
            dense_cost=self.problem.dense_costs[metric],
            chosen=str(chosen.budget),
            hypervolume=self.volumes,
            verdict=hypervolume_text(self.config.agent, self.volumes, metric),
            best=self._best(metric),
            points=points,
        )

    def _best(self, metric: str) -> list[str]:
        """Points that no other one beats in accuracy and in every measured or limited cost."""
        measured = [name for name in ("latency", "energy") if name in self.problem.costs]
        beaten = dominated(_losses(self.points, ["accuracy", *dict.fromkeys([metric, *measured])]))
        return [point.candidate.name for point, is_beaten in zip(self.points, beaten, strict=True) if not is_beaten]


def _best_within(search: Search, problem: PruningProblem) -> list[Outcome]:
    """The plans of least loss that meet a budget, whatever budget they were made for; filled where there is none."""
    outcomes = [episode.outcome for episode in search.episodes if episode.outcome.defined]
    if not outcomes:
        return [problem.filled]
    used = problem.planner.usage(np.stack([outcome.levels for outcome in outcomes]))
    fitting = [outcome for outcome, share in zip(outcomes, used, strict=True) if share <= FITS]
    distinct = {tuple(outcome.levels.tolist()): outcome for outcome in sorted(fitting, key=lambda item: item.loss)}
    return list(distinct.values())[:FINALISTS] or [problem.filled]


def _objective(item: Candidate, name: str) -> float:
    """What is made small."""
    if name == "accuracy":
        return -item.quality.score
    cost = item.costs.get(name)
    return 0.0 if cost is None else cost


def _losses(points: Sequence[Point], names: Sequence[str]) -> FloatArray:
    return np.array([[_objective(point.candidate, name) for name in names] for point in points])


def volumes_of(
    problems: Sequence[PruningProblem], metric: str, found: Mapping[str, Sequence[Outcome]]
) -> dict[str, float]:
    """Hypervolume of each method's outcomes; of those that search nothing the plans of all budgets.

    Args:
        problems: the budgets, lowest first; see :class:`RangePlane`.
        metric: the cost that counts.
    """
    plane = RangePlane.of(problems, metric)
    plain = {name: [problem.unsearched[name] for problem in problems] for name in UNSEARCHED}
    every = {**plain, **found}
    return {name: plane.hypervolume(outcomes) for name, outcomes in every.items()}
