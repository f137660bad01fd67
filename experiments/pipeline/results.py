"""The content of ``result.json``: all that a training found, and what it says about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from rlprune.agents import AGENTS, ORIGINS
from rlprune.agents.replay import action_spread, replayed_plan
from rlprune.budgets.limits import cost_name
from rlprune.choices.choice import Choice
from rlprune.choices.space import Space
from rlprune.evaluation.resampling import LEVEL, SEED, draws_of
from rlprune.experiments.pipeline import remarks
from rlprune.experiments.pipeline.candidate import Candidate, digest, weights
from rlprune.experiments.pipeline.findings import Findings
from rlprune.experiments.pipeline.profile_plans import profile_plans
from rlprune.experiments.pipeline.provenance import batch_note
from rlprune.experiments.pipeline.range_front import front_of
from rlprune.experiments.pipeline.running_methods import Search
from rlprune.experiments.reports.outcome import over_budget
from rlprune.experiments.runs.details import details_of
from rlprune.experiments.runs.profile_plans import ProfilePlans
from rlprune.experiments.runs.result import (
    BatchNorms,
    Front,
    Mark,
    Noise,
    Result,
    SearchCounts,
    StatedChoice,
    StatedFinalist,
)
from rlprune.experiments.runs.row import FILLED
from rlprune.experiments.runs.sessions import RunCost
from rlprune.experiments.runs.verdict import Case, ranked, verdict
from rlprune.support.records import as_record
from rlprune.tasks.base import APART
from rlprune.tasks.overlap import split_digest


def result_of(findings: Findings, cost: RunCost, seconds: Mapping[str, float], of_files: Sequence[str]) -> Result:
    """The content of ``result.json``.

    Args:
        cost: of the run itself.
        seconds: of every phase.
        of_files: what :func:`rlprune.experiments.pipeline.delivering.deliver` said.
    """
    config, chosen, rows = findings.config, findings.chosen, findings.rows
    problem, planner = chosen.problem, chosen.problem.planner
    task, front = problem.evaluator.task, front_of(findings) if chosen.several else None
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
        device=findings.provenance.facts,
        energy_source=findings.provenance.source,
        groups=choices_of(problem.space),
        rows=rows,
        details=details_of(task, {item.name: item.details for item in chosen.table}),
        winner=ranked(rows)[0].name,
        noise=Noise(draws_of(task, len(task.validation)), SEED, LEVEL),
        front=front,
        verdict=_verdict(findings, front),
        marks={item.name: _mark(item) for item in chosen.table},
        finalists={item.name: _finalists(item) for item in chosen.table if item.finalists},
        searches={name: _counts(search) for name, search in findings.searches.items()},
        policy=_policy_plan(findings),
        seconds=dict(seconds),
        cost=cost.total(sum(search.episodes[-1].evaluations for search in findings.searches.values())),
        profile=_profile_plans(findings),
        notes=[*_notes(findings), *of_files],
    )
    return replace(result, notes=[*over_budget(result), *result.notes])


def labelled(space: Space) -> list[tuple[str, Choice]]:
    """Every choice with the name that tables and pictures give it; of its kind too, where there are several."""
    return [(f"{c.name} {c.kind}" if space.layered else c.name, c) for c in space.choices]


def choices_of(space: Space) -> list[StatedChoice]:
    """Every choice as a result states it; of mixed decisions with its kind and what it is of."""
    mixed = space.layered
    return [
        StatedChoice(label, c.full, c.kind if mixed else None, c.name if mixed else None)
        for label, c in labelled(space)
    ]


def _profile_plans(findings: Findings) -> ProfilePlans | None:
    if findings.profile is None:
        return None
    return profile_plans(findings.profile, findings.chosen.problem.network, findings.config.network)


def _verdict(findings: Findings, front: Front | None) -> str:
    config, problem = findings.config, findings.chosen.problem
    policy = findings.searches[config.agent].policy
    return verdict(
        Case(
            agent=config.agent,
            metric=problem.evaluator.task.metric,
            budgets=[str(budget) for budget in problem.planner.budgets],
            rows=findings.rows,
            rewards={FILLED: problem.filled.reward, **_best_rewards(findings)},
            plans=problem.planner.count(config.episodes) if front is None else None,
            used=problem.planner.target,
            front="" if front is None else f"{front.verdict} Chosen on it: {front.chosen}.",
            spread=None if policy is None or len(problem.space.units) < 2 else action_spread(policy, problem),
            priced=policy is not None and policy.spec.meaning == "price",
            decided=_decided(findings),
        )
    )


def _decided(findings: Findings) -> str:
    """Who decided the agent's plan in the table, in words; nothing where the method is one whole."""
    agent = findings.config.agent
    own = next(item for item in findings.chosen.table if item.name == agent)
    episodes = findings.searches[agent].episodes
    if agent not in AGENTS:
        return ""
    problem, policy = findings.chosen.problem, findings.searches[agent].policy
    alike = policy is not None and (replayed_plan(policy, problem) == problem.probe).all()
    alone = "; by itself the policy decides the probes' plan here" if alike else ""
    origins = (e.origin for e in episodes if tuple(e.outcome.levels.tolist()) == tuple(own.levels.tolist()))
    told = ORIGINS.get(next(origins, "policy"), "")
    return f"{told}{alone}" if told else ""


def _best_rewards(findings: Findings) -> dict[str, float]:
    """The best reward of each method; over a range, what the plan in the table earns at its budget."""
    chosen = findings.chosen
    if not chosen.several:
        return {name: search.best(1)[0].reward for name, search in findings.searches.items()}
    searched = [item for item in chosen.table if item.name in findings.searches]
    return {item.name: chosen.problem.judged(item.levels, item.searched).reward for item in searched}


def _notes(findings: Findings) -> list[str]:
    sizes = {item.quality.samples for item in findings.chosen.table}
    evaluator = findings.chosen.problem.evaluator
    return [
        f"Validation: all {max(sizes)} samples, repaired by least squares, no fine-tuning.",
        "Speed and energy (E = P x T) use the measured latency where there is one, else the promised one.",
        *batch_note(findings.provenance.batch),
        *findings.provenance.notes,
        *remarks.untouched(evaluator),
        *remarks.of_statistics(evaluator),
    ]


def _policy_plan(findings: Findings) -> list[int] | None:
    """The channels that the learned policy leaves by itself: one walk, no search."""
    policy = findings.searches[findings.config.agent].policy
    return None if policy is None else replayed_plan(policy, findings.chosen.problem).tolist()


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
