"""The third step: of what every method found, the best plan at each budget, scored on all validation samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from rlprune.agents.replay import replay
from rlprune.budgets.completion import FITS
from rlprune.budgets.limits import Budget
from rlprune.evaluation.pareto import nearest
from rlprune.evaluation.problem import Outcome, PruningProblem
from rlprune.experiments.pipeline.candidate import Candidate, Finalist, candidate, dense_candidate, ranked
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.pipeline.running_methods import Search, role_of
from rlprune.experiments.runs.row import DENSE, POLICY_ALONE
from rlprune.experiments.settings.parsing import parse_preferences
from rlprune.experiments.settings.verb_configs import TrainConfig

AT_EACH = 2
"""Plans of a method that are scored on all validation samples at each of several budgets."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """The best plan of every method at every budget that was searched.

    Attributes:
        problems: one a budget, lowest first.
        place: number of the budget that the table is about: of several, what the user prefers on the agent's front.
        candidates: the dense network, then the plans of each budget; last, of a range, what the policy decides alone.
            Those of the table go by the name of their method, the others by the budget's too.
    """

    problems: Sequence[PruningProblem]
    place: int
    candidates: Sequence[Candidate]

    @property
    def problem(self) -> PruningProblem:
        """At the budget that the table is about."""
        return self.problems[self.place]

    def budget_of(self, candidate: Candidate) -> Budget:
        """The budget that it was found for."""
        return self.problems[candidate.place].planner.budgets[0]

    @property
    def several(self) -> bool:
        """Whether a range of budgets was searched."""
        return len(self.problems) > 1

    @property
    def table(self) -> list[Candidate]:
        """The dense network, and the methods' plans at the budget that the table is about."""
        return [item for item in self.candidates if item.name == item.method]

    @property
    def points(self) -> list[Candidate]:
        """Every method at every budget."""
        return [item for item in self.candidates if item.role != DENSE]


@dataclass(frozen=True, eq=False)
class _Contenders:
    """Plans of a method, of which the best at a budget is to be found."""

    method: str
    role: str
    place: int
    outcomes: Sequence[Outcome]
    evaluations: int | None = None


def choose(
    config: TrainConfig, problems: Sequence[PruningProblem], searches: Mapping[str, Search], progress: Progress
) -> Chosen:
    """Score the finalists of every method at every budget, and take the best.

    What was best for less is allowed at a higher budget too: more budget is never worse.

    Args:
        problems: one a budget, lowest first.
        searches: by method.
    """
    evaluator, every = problems[-1].evaluator, list(_contenders(config, problems, searches))
    score = cache(evaluator.finalist)
    cheaper: dict[str, list[Finalist]] = {}
    found: list[tuple[_Contenders, list[Finalist]]] = []
    text = f"Scoring finalists on {len(evaluator.task.validation)} validation samples"
    total = sum(len(one.outcomes) for one in every)
    with progress.phase("finalists", text), progress.bar("finalists", total) as bar:
        for one in every:
            scored = []
            for outcome in one.outcomes:
                scored.append(Finalist(outcome, score(tuple(outcome.levels.tolist()))))
                bar.step(one.method)
            best = ranked([*scored, *cheaper.get(one.method, [])])
            if one.method in searches:
                cheaper[one.method] = best[:1]
            found.append((one, best))
        place = _preferred(config, problems, [best[0] for one, best in found if one.method == config.agent])
        candidates = [_candidate(one, best, problems, place) for one, best in found]
    return Chosen(problems, place, [dense_candidate(problems[-1]), *candidates])


def _contenders(
    config: TrainConfig, problems: Sequence[PruningProblem], searches: Mapping[str, Search]
) -> Iterator[_Contenders]:
    """In the order of the table, budget by budget; what the policy decides alone is the agent's too."""
    several, policy = len(problems) > 1, searches[config.agent].policy
    decided = [] if policy is None else [replay(policy, problem) for problem in problems]
    for place, problem in enumerate(problems):
        for name, outcome in problem.unsearched.items():
            yield _Contenders(name, name, place, [outcome])
        for name, search in searches.items():
            best = _best_within(search, problem) if several else search.best(config.finalists)
            own = decided[place : place + 1] if name == config.agent else []
            yield _Contenders(name, role_of(name, config.agent), place, _distinct([*best, *own]), search.evaluations)
    for place, outcome in enumerate(decided):
        yield _Contenders(POLICY_ALONE, POLICY_ALONE, place, [outcome])


def _distinct(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Each plan once."""
    return list({tuple(outcome.levels.tolist()): outcome for outcome in outcomes}.values())


def _best_within(search: Search, problem: PruningProblem) -> list[Outcome]:
    """The plans of least loss that meet a budget, whatever budget they were made for; filled where there is none."""
    outcomes = [episode.outcome for episode in search.episodes if episode.outcome.defined]
    if not outcomes:
        return [problem.filled]
    used = problem.planner.usage(np.stack([outcome.levels for outcome in outcomes]))
    fitting = [outcome for outcome, share in zip(outcomes, used, strict=True) if share <= FITS]
    distinct = {tuple(outcome.levels.tolist()): outcome for outcome in sorted(fitting, key=lambda item: item.loss)}
    return list(distinct.values())[:AT_EACH] or [problem.filled]


def _preferred(config: TrainConfig, problems: Sequence[PruningProblem], own: Sequence[Finalist]) -> int:
    """Number of the budget whose plan of the agent is nearest to the ideal one by the preferences."""
    if len(problems) == 1:
        return 0
    cost = problems[0].planner.budgets[0].metric
    weights = parse_preferences(config.prefer) or {"accuracy": 1.0, cost: 1.0}
    losses = [losses_of(best.quality.score, best.outcome.costs, weights) for best in own]
    return nearest(np.array(losses), list(weights.values()))


def losses_of(score: float, costs: Mapping[str, float], names: Iterable[str]) -> list[float]:
    """What is to be small, by name: costs as they are, ``accuracy`` negated; 0 where a cost is not known."""
    return [-score if name == "accuracy" else costs.get(name, 0.0) for name in names]


def _candidate(
    one: _Contenders, finalists: Sequence[Finalist], problems: Sequence[PruningProblem], chosen: int
) -> Candidate:
    """The best of a method at a budget; its name tells the budget where the table is about another one."""
    problem = problems[one.place]
    name = one.method if one.place == chosen else f"{one.method} {problem.planner.budgets[0]}"
    made = candidate(name, one.role, finalists, problems[-1].evaluator)
    return replace(made, evaluations=one.evaluations, method=one.method, place=one.place)
