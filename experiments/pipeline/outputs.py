"""What a training writes at its end: result, plans, the pruned network, report, pictures and TensorBoard's summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from rlprune.agents.replay import action_spread, replayed_plan
from rlprune.budgets.limits import cost_name
from rlprune.devices import DeviceProfile
from rlprune.evaluation.problem import PruningProblem
from rlprune.evaluation.resampling import LEVEL, SEED, draws_of
from rlprune.experiments.pipeline.delivering import network_files
from rlprune.experiments.pipeline.device_facts import DeviceFacts, batch_note
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.pipeline.scoring import Candidate, digest, table, weights
from rlprune.experiments.pipeline.searching import Search
from rlprune.experiments.pipeline.setup import choices_of, statistics_notes, untouched
from rlprune.experiments.reports.outcome import over_budget
from rlprune.experiments.reports.profile_pictures import profile_plans
from rlprune.experiments.reports.report import write_report
from rlprune.experiments.runs.details import details_of
from rlprune.experiments.runs.result import (
    FILLED,
    BatchNorms,
    Front,
    Mark,
    Noise,
    ProfilePlans,
    Result,
    Row,
    SearchCounts,
    StatedFinalist,
    finalist_name,
)
from rlprune.experiments.runs.run_cost import RunCost
from rlprune.experiments.runs.run_folder import PLAN, RESULT, RunFolder
from rlprune.experiments.runs.verdict import Case, ranked, verdict
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.experiments.tensorboard.events import EpisodeWriter
from rlprune.experiments.tensorboard.summary import write_summary
from rlprune.plans.plan import PruningPlan
from rlprune.support.records import as_record
from rlprune.tasks.base import APART
from rlprune.tasks.overlap import split_digest


@dataclass(eq=False)
class Facts:
    """Everything a finished training knows."""

    config: TrainConfig
    problem: PruningProblem
    profile: DeviceProfile | None
    power: DeviceFacts
    searches: Mapping[str, Search]
    candidates: list[Candidate]
    cost: RunCost
    front: Front | None = None

    def winner(self, rows: Sequence[Row]) -> Candidate:
        """The best pruned network, whatever method found it."""
        best = ranked(rows)[0].name
        return next(item for item in self.candidates if item.name == best)

    def rows(self) -> list[Row]:
        """The table."""
        return table(self.candidates, self.problem, self.power)


def write_all(run: RunFolder, facts: Facts, writers: Mapping[str, EpisodeWriter], progress: Progress) -> Result:
    """Write plans, the pruned network, ``result.json``, the report, and what TensorBoard shows beside curves."""
    rows = facts.rows()
    with progress.phase("write", f"Writing {run.path}"):
        _write_plans(run, facts, rows)
        notes = write_network(run, facts.winner(rows), facts.problem, facts.power.batch, progress)
    run.write_json(RESULT, result_of(facts, rows, progress.seconds, notes).as_dict())
    result = write_report(run)
    write_summary(run, facts.config, result, writers)
    return result


def _write_plans(run: RunFolder, facts: Facts, rows: list[Row]) -> None:
    for item, row in zip(facts.candidates, rows, strict=True):
        if item.role == "dense":
            continue
        plan = PruningPlan.from_levels(facts.problem.space, item.levels, plan_notes(facts, row))
        plan.save(run.path / "plans" / f"{item.name}.json")
        if item is facts.winner(rows):
            plan.save(run.path / PLAN)
        if facts.problem.space.layered:
            _write_finalists(run, item, facts)


def _write_finalists(run: RunFolder, item: Candidate, facts: Facts) -> None:
    """Plans that are more than channels cannot be made again of levels alone."""
    for number, finalist in enumerate(item.finalists, start=1):
        plan = PruningPlan.from_levels(facts.problem.space, finalist.outcome.levels, facts.config.network_notes())
        plan.save(run.path / "plans" / f"{finalist_name(item.name, number)}.json")


def plan_notes(facts: Facts, row: Row) -> dict[str, Any]:
    """For readers of a plan: where it comes from and what it is worth."""
    return {
        **facts.config.network_notes(),
        "method": row.name,
        "budgets": [str(budget) for budget in facts.problem.planner.budgets],
        "seed": facts.config.seed,
        "batchnorm": facts.problem.evaluator.statistics.share,
        "score_validation": row.score_validation,
        "score_test": row.score_test,
        "latency_promised_ms": row.latency_promised_ms,
        "latency_measured_ms": row.latency_measured_ms,
        "macs": row.macs,
        "params": row.params,
    }


def write_network(
    run: RunFolder, item: Candidate, problem: PruningProblem, batch: int, progress: Progress
) -> list[str]:
    """Write the files of the pruned network (:func:`network_files`).

    Returns:
        Notes on them, for the report.
    """
    files = network_files(item.delivered, problem.network, problem.evaluator.task.calibration, batch)
    files.write(run.path)
    for line in files.notes:
        progress.note(line)
    return files.notes


def result_of(facts: Facts, rows: list[Row], seconds: Mapping[str, float], of_files: Sequence[str] = ()) -> Result:
    """The content of ``result.json``.

    Args:
        of_files: what :func:`write_network` said.
    """
    config, problem, planner = facts.config, facts.problem, facts.problem.planner
    task = problem.evaluator.task
    result = Result(
        network=config.network,
        fingerprint=problem.network.fingerprint,
        weights=digest(weights(problem.network.model)),
        task=task.name,
        data={which: split_digest(getattr(task, which)) for which in APART},
        metric=task.metric,
        agent=config.agent,
        episodes=config.episodes,
        seed=config.seed,
        reward=config.reward,
        samples=problem.evaluator.dense.samples,
        batchnorm=as_record(problem.evaluator.statistics.as_dict(), BatchNorms),
        images={which: len(getattr(task, which)) for which in APART},
        budgets=[str(budget) for budget in planner.budgets],
        limits={cost_name(metric): limit for metric, limit in planner.limits.items()},
        device=facts.power.facts,
        energy_source=facts.power.source,
        groups=choices_of(problem.space),
        rows=rows,
        details=details_of(task, {item.name: item.details for item in facts.candidates}),
        winner=ranked(rows)[0].name,
        noise=Noise(draws_of(task, len(task.validation)), SEED, LEVEL),
        front=facts.front,
        verdict=_verdict(facts, rows),
        marks={item.name: _mark(item) for item in facts.candidates},
        finalists={item.name: _finalists(item) for item in facts.candidates if item.finalists},
        searches={name: _counts(search) for name, search in facts.searches.items()},
        policy=_policy_plan(facts),
        seconds=dict(seconds),
        cost=facts.cost.total(sum(search.episodes[-1].evaluations for search in facts.searches.values())),
        profile=_profile_plans(facts),
        notes=[*_notes(facts), *of_files],
    )
    return replace(result, notes=[*over_budget(result), *result.notes])


def _profile_plans(facts: Facts) -> ProfilePlans | None:
    if facts.profile is None:
        return None
    return profile_plans(facts.profile, facts.problem.network, facts.config.network)


def _verdict(facts: Facts, rows: list[Row]) -> str:
    config, problem, front = facts.config, facts.problem, facts.front
    policy = facts.searches[config.agent].policy
    return verdict(
        Case(
            agent=config.agent,
            metric=problem.evaluator.task.metric,
            budgets=[str(budget) for budget in problem.planner.budgets],
            rows=rows,
            rewards={FILLED: problem.filled.reward, **_best_rewards(facts)},
            plans=problem.planner.count(config.episodes) if front is None else None,
            used=problem.planner.target,
            front="" if front is None else f"{front.verdict} Chosen on it: {front.chosen}.",
            spread=None if policy is None or len(problem.space.units) < 2 else action_spread(policy, problem),
        )
    )


def _best_rewards(facts: Facts) -> dict[str, float]:
    """The best reward of each method; over a range, what the plan in the table earns at its budget."""
    if facts.front is None:
        return {name: search.best(1)[0].reward for name, search in facts.searches.items()}
    searched = [item for item in facts.candidates if item.name in facts.searches]
    return {item.name: facts.problem.judged(item.levels, item.searched).reward for item in searched}


def _notes(facts: Facts) -> list[str]:
    sizes = {item.quality.samples for item in facts.candidates}
    return [
        f"Validation: all {max(sizes)} samples, repaired by least squares, no fine-tuning.",
        "Speed and energy (E = P x T) use the measured latency where there is one, else the promised one.",
        *batch_note(facts.power.batch),
        *facts.power.notes,
        *untouched(facts.problem.evaluator),
        *statistics_notes(facts.problem.evaluator),
    ]


def _policy_plan(facts: Facts) -> list[int] | None:
    """The channels that the learned policy leaves by itself: one walk, no search."""
    policy = facts.searches[facts.config.agent].policy
    return None if policy is None else replayed_plan(policy, facts.problem).tolist()


def _mark(item: Candidate) -> Mark:
    costs = {cost_name(metric): cost for metric, cost in item.costs.items()}
    return Mark(item.searched.score, item.searched.divergence, costs, item.reward)


def _finalists(item: Candidate) -> list[StatedFinalist]:
    return [
        StatedFinalist(
            tuple(finalist.outcome.levels.tolist()),
            finalist.outcome.reward,
            finalist.quality.score,
            finalist.quality.divergence,
            finalist.behind,
        )
        for finalist in item.finalists
    ]


def _counts(search: Search) -> SearchCounts:
    last = search.episodes[-1]
    return SearchCounts(
        episodes=len(search.episodes),
        evaluations=last.evaluations,
        cache_hits=last.cache_hits,
        seconds=last.seconds,
        inference_seconds=search.inference_seconds,
        best_reward=search.best(1)[0].reward,
    )
