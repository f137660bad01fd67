"""The result of a run computed again, from its plans and tables; what cannot be is left as it is claimed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from rlprune.budgets.limits import cost_name
from rlprune.evaluation.problem import Outcome, PruningProblem
from rlprune.evaluation.quality import Quality
from rlprune.evaluation.range_plane import hypervolumes
from rlprune.experiments.pipeline.candidate import digest, score_on_test, weights
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.pipeline.results import choices_of
from rlprune.experiments.runs.episodes import EpisodeTable
from rlprune.experiments.runs.ranking import best_first, standings
from rlprune.experiments.runs.result import Front, Mark, Result, SearchCounts, StatedFinalist, TotalCost
from rlprune.experiments.runs.row import DENSE, POLICY_ALONE, UNSEARCHED, Row, StatedPoint
from rlprune.experiments.runs.sessions import WorkSession
from rlprune.experiments.runs.verdict import ranked
from rlprune.experiments.validating.rebuilding import Rebuilt
from rlprune.tasks.base import APART
from rlprune.tasks.overlap import split_digest


@dataclass(frozen=True)
class Listed:
    """A network that the result lists.

    Attributes:
        subject: for people.
        row: of the table, or a point of the front.
        problem: at its budget.
        plan: the file of its plan, relative to the run; None where none was written.
    """

    subject: str
    row: Row
    problem: PruningProblem
    plan: str | None


def listed(rebuilt: Rebuilt) -> Iterator[Listed]:
    """Every row, then every point of the front."""
    result = rebuilt.result
    for row in result.rows:
        plan = None if row.role == DENSE else f"plans/{row.name}.json"
        yield Listed(row.name, row, rebuilt.at(result.budgets[0]), plan)
    for point in points_of(result):
        written = point.method in (result.agent, POLICY_ALONE)
        plan = f"plans/{point.method}-{point.budget.replace('=', '')}.json" if written else None
        yield Listed(f"{point.method} at {point.budget}", point, rebuilt.at(point.budget), plan)


def points_of(result: Result) -> list[StatedPoint]:
    """Of the front of a range; else none."""
    return [] if result.front is None else result.front.points


def inputs_of(rebuilt: Rebuilt) -> Result:
    """What was given: settings, network, data, limits; and whom the rows make the winner."""
    config, network, problem = rebuilt.config, rebuilt.network, rebuilt.at(rebuilt.result.budgets[0])
    return replace(
        rebuilt.result,
        network=config.network,
        agent=config.agent,
        episodes=config.episodes,
        seed=config.seed,
        reward=config.reward,
        fingerprint=network.fingerprint,
        weights=digest(weights(network.model)),
        data={which: split_digest(getattr(rebuilt.material.task, which)) for which in APART},
        samples=rebuilt.evaluator.dense.samples,
        groups=choices_of(problem.space),
        limits={cost_name(metric): limit for metric, limit in problem.planner.limits.items()},
        winner=ranked(rebuilt.result.rows)[0].name,
    )


def networks_of(rebuilt: Rebuilt, networks: list[Listed], progress: Progress) -> list[Row]:
    """Every network scored again, on the test samples too: what was reported is checked, nothing is chosen by them."""
    with progress.phase("networks", f"Rebuilding and scoring {len(networks)} networks"):
        for item in networks:
            if rebuilt.impossible(item.row.widths) is None:
                rebuilt.candidate(item.row.widths, item.row.role)
    with progress.phase("test", "Scoring them on the test samples, to check what was reported"):
        rebuilt.complete(score_on_test(rebuilt.candidates(), rebuilt.evaluator))
    behind = _intervals(rebuilt)
    return [_network(rebuilt, item, behind) for item in networks]


def _intervals(rebuilt: Rebuilt) -> dict[str, tuple[float, float]]:
    """Row to how far it is behind the best, beyond the noise."""
    rows = [row for row in rebuilt.result.rows if row.role != DENSE and rebuilt.impossible(row.widths) is None]
    found = standings([rebuilt.candidate(row.widths, row.role).quality for row in rows])
    return {row.name: one.behind for row, one in zip(rows, found, strict=True) if one.behind is not None}


def _network(rebuilt: Rebuilt, item: Listed, behind: Mapping[str, tuple[float, float]]) -> Row:
    row = item.row
    if rebuilt.impossible(row.widths) is not None:
        return row
    made = rebuilt.candidate(row.widths, row.role).row(item.problem.space, rebuilt.facts)
    low, high = behind.get(row.name, (None, None))
    searched = rebuilt.result.searches.get(row.name)
    rewarded = row.role != DENSE and rebuilt.lacking is None
    found = replace(
        made,
        name=row.name,
        widths=_widths(rebuilt, item),
        reward=rebuilt.outcome(row.widths, row.reward).reward if rewarded else None,
        evaluations=None if searched is None else searched.evaluations,
        behind_low=low,
        behind_high=high,
    )
    if rebuilt.lacking is not None:
        found = replace(found, latency_promised_ms=None, latency_p99_promised_ms=None, energy_promised_mj=None)
    return StatedPoint.of(found, row.method, row.budget, row.budget_cost) if isinstance(row, StatedPoint) else found


def _widths(rebuilt: Rebuilt, item: Listed) -> tuple[int, ...]:
    """The dense network's, the planner's, those of the best finalist; where nothing else is known, as claimed."""
    row = item.row
    if row.role == DENSE:
        return tuple(rebuilt.candidate(row.widths, DENSE).levels.tolist())
    if row.role in UNSEARCHED:
        return row.widths if rebuilt.lacking else tuple(item.problem.unsearched[row.role].levels.tolist())
    finalists = rebuilt.result.finalists.get(row.name)
    return finalists[best_first([one.standing for one in finalists])[0]].widths if finalists else row.widths


def mark_of(rebuilt: Rebuilt, mark: Mark, widths: tuple[int, ...], role: str = "") -> Mark:
    """What the search sees of a plan, at the budget where it earns nearest to what is claimed."""
    outcome = rebuilt.outcome(widths, mark.reward)
    quality = rebuilt.evaluator.dense if role == DENSE else outcome.quality
    costs = {cost_name(metric): cost for metric, cost in outcome.costs.items() if cost_name(metric) in mark.costs}
    reward = None if role == DENSE or rebuilt.lacking is not None else outcome.reward
    return Mark(quality.score, quality.divergence, costs, reward)


def finalist_of(rebuilt: Rebuilt, finalist: StatedFinalist) -> StatedFinalist:
    """A finalist scored again on all validation samples."""
    found = rebuilt.evaluator.finalist(np.array(finalist.widths))
    return replace(finalist, score_validation=found.score, divergence=found.divergence)


def counts_of(counts: SearchCounts, table: EpisodeTable) -> SearchCounts:
    """What the table of a method's episodes tells."""
    return replace(
        counts,
        episodes=len(table.widths),
        evaluations=int(table["evaluations"][-1]),
        cache_hits=int(table["cache_hits"][-1]),
        best_reward=float(np.nanmax(table["reward"])),
    )


def front_of(rebuilt: Rebuilt, front: Front, tables: Mapping[str, EpisodeTable]) -> Front:
    """The hypervolumes follow from the episodes; nothing is evaluated."""
    if rebuilt.lacking is not None:
        return replace(front, hypervolume={})
    outcomes = {name: _outcomes(rebuilt, table) for name, table in tables.items()}
    found = hypervolumes(rebuilt.levels, rebuilt.levels[0].planner.budgets[0].metric, outcomes)
    return replace(front, hypervolume={name: found[name] for name in front.hypervolume if name in found})


def _outcomes(rebuilt: Rebuilt, table: EpisodeTable) -> list[Outcome]:
    samples = rebuilt.evaluator.dense.samples
    qualities = zip(table["score"].tolist(), table["divergence"].tolist(), strict=True)
    return [
        rebuilt.problem.judged(widths, Quality(score, divergence, samples))
        for widths, (score, divergence) in zip(table.widths, qualities, strict=True)
    ]


def cost_of(result: Result, cost: TotalCost, sessions: list[WorkSession]) -> TotalCost:
    """The sum of its parts."""
    return replace(
        cost,
        evaluations=sum(counts.evaluations for counts in result.searches.values()),
        sessions=len(sessions),
        wall_seconds=sum(session.seconds for session in sessions),
        cpu_seconds=sum(session.cpu_seconds for session in sessions),
    )
