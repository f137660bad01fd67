"""What a training writes at its end: result, plans, the pruned network, report, pictures and TensorBoard's summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlprune.agents.replay import action_spread, replayed_plan
from rlprune.budgets.limits import cost_name
from rlprune.choices.choice import Choice
from rlprune.choices.space import Space
from rlprune.evaluation.resampling import LEVEL, SEED, draws_of
from rlprune.experiments.pipeline import remarks
from rlprune.experiments.pipeline.candidate import Candidate, digest, weights
from rlprune.experiments.pipeline.findings import Findings
from rlprune.experiments.pipeline.provenance import batch_note
from rlprune.experiments.pipeline.range_front import front_of
from rlprune.experiments.pipeline.running_methods import Search
from rlprune.experiments.reports.profile_pictures import profile_series
from rlprune.experiments.reports.report_outcome import over_budget
from rlprune.experiments.runs.details import details_of
from rlprune.experiments.runs.result_shape import SCHEMA
from rlprune.experiments.runs.rows import FILLED
from rlprune.experiments.runs.run_cost import RunCost
from rlprune.experiments.runs.verdict import Case, ranked, verdict
from rlprune.tasks.base import APART
from rlprune.tasks.overlap import split_digest


def result_of(
    findings: Findings, cost: RunCost, seconds: Mapping[str, float], of_files: Sequence[str]
) -> dict[str, Any]:
    """The content of ``result.json``: plain values, units in the names.

    Args:
        cost: of the run itself.
        seconds: of every phase.
        of_files: what :func:`rlprune.experiments.pipeline.delivering.deliver` said.
    """
    config, chosen, rows = findings.config, findings.chosen, findings.rows
    problem, planner = chosen.problem, chosen.problem.planner
    task, front = problem.evaluator.task, front_of(findings) if chosen.several else None
    result = {
        "schema": SCHEMA,
        "network": config.network,
        "fingerprint": problem.network.fingerprint,
        "weights": digest(weights(problem.network.model)),
        "task": task.name,
        "data": {which: split_digest(getattr(task, which)) for which in APART},
        "metric": task.metric,
        "agent": config.agent,
        "episodes": config.episodes,
        "seed": config.seed,
        "reward": config.reward,
        "samples": problem.evaluator.dense.samples,
        "batchnorm": problem.evaluator.statistics.as_dict(),
        "images": {which: len(getattr(task, which)) for which in APART},
        "budgets": [str(budget) for budget in planner.budgets],
        "limits": {cost_name(metric): limit for metric, limit in planner.limits.items()},
        "device": findings.provenance.facts,
        "energy_source": findings.provenance.source,
        "groups": _choices_of(problem.space),
        "rows": [row.as_dict() for row in rows],
        "details": details_of(task, {item.name: item.details for item in chosen.table}),
        "winner": ranked(rows)[0].name,
        "noise": {"draws": draws_of(task, len(task.validation)), "seed": SEED, "level": LEVEL},
        "front": front,
        "verdict": _verdict(findings, front),
        "marks": {item.name: _mark(item) for item in chosen.table},
        "finalists": {item.name: _finalists(item) for item in chosen.table if item.finalists},
        "searches": {name: _counts(search) for name, search in findings.searches.items()},
        "policy": _policy_plan(findings),
        "seconds": dict(seconds),
        "cost": cost.total(sum(search.episodes[-1].evaluations for search in findings.searches.values())),
        "profile": None if findings.profile is None else _profile_series(findings),
    }
    result["notes"] = [*over_budget(result), *_notes(findings), *of_files]
    return result


def labelled(space: Space) -> list[tuple[str, Choice]]:
    """Every choice with the name that tables and pictures give it; of its kind too, where there are several."""
    return [(f"{c.name} {c.kind}" if space.layered else c.name, c) for c in space.choices]


def _choices_of(space: Space) -> list[dict[str, Any]]:
    """Every choice as a result states it: label and full level; of mixed decisions its kind and what it is of."""
    kinds = [{"kind": c.kind, "of": c.name} if space.layered else {} for c in space.choices]
    return [{"name": label, "width": c.full, **kind} for (label, c), kind in zip(labelled(space), kinds, strict=True)]


def _profile_series(findings: Findings) -> dict[str, Any]:
    assert findings.profile is not None  # asked for only where there is one
    return profile_series(findings.profile, findings.chosen.problem.network, findings.config.network)


def _verdict(findings: Findings, front: dict[str, Any] | None) -> str:
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
            front="" if front is None else f"{front['verdict']} Chosen on it: {front['chosen']}.",
            spread=None if policy is None or len(problem.space.units) < 2 else action_spread(policy, problem),
        )
    )


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


def _mark(item: Candidate) -> dict[str, Any]:
    costs = {cost_name(metric): cost for metric, cost in item.costs.items()}
    return {"score": item.searched.score, "divergence": item.searched.divergence, "costs": costs, "reward": item.reward}


def _finalists(item: Candidate) -> list[dict[str, Any]]:
    return [
        {
            "widths": finalist.outcome.levels.tolist(),
            "reward": finalist.outcome.reward,
            "score_validation": finalist.quality.score,
            "divergence": finalist.quality.divergence,
            "behind": None if finalist.behind is None else list(finalist.behind),
        }
        for finalist in item.finalists
    ]


def _counts(search: Search) -> dict[str, Any]:
    last = search.episodes[-1]
    return {
        "episodes": len(search.episodes),
        "evaluations": last.evaluations,
        "cache_hits": last.cache_hits,
        "seconds": last.seconds,
        "inference_seconds": search.inference_seconds,
        "best_reward": search.best(1)[0].reward,
    }
