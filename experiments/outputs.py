"""What a training writes at its end: result, plans, the pruned network, report, pictures and TensorBoard's summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlprune.agents.replay import action_spread, replayed_plan
from rlprune.budget import cost_name
from rlprune.devices import DeviceProfile
from rlprune.errors import DeviceError, NetworkError, RunError
from rlprune.experiments.cost import RunCost
from rlprune.experiments.details import details_of
from rlprune.experiments.device_facts import DeviceFacts, batch_note
from rlprune.experiments.profile_pictures import profile_series
from rlprune.experiments.progress import Progress
from rlprune.experiments.report import write_report
from rlprune.experiments.result_shape import SCHEMA
from rlprune.experiments.rows import Row, finalist_name
from rlprune.experiments.run_config import TrainConfig
from rlprune.experiments.run_folder import COMPACT, ONNX, PLAN, RESULT, TENSORS, RunFolder
from rlprune.experiments.scoring import Candidate, digest, weights
from rlprune.experiments.searches import Search
from rlprune.experiments.setup import choices_of, scarcity, untouched
from rlprune.experiments.summaries import write_summaries
from rlprune.experiments.tensorboard import EpisodeWriter
from rlprune.experiments.verdict import blind, collapse, ranked, verdict
from rlprune.export import verify_onnx
from rlprune.files import write_atomic
from rlprune.plan import PruningPlan
from rlprune.problem import PruningProblem
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
    front: dict[str, Any] | None = None

    def winner(self, rows: Sequence[Row]) -> Candidate:
        """The best pruned network, whatever method found it."""
        best = ranked(rows)[0].name
        return next(item for item in self.candidates if item.name == best)

    def rows(self) -> list[Row]:
        """The table."""
        return [item.row(self.problem, self.power) for item in self.candidates]


def write_all(run: RunFolder, facts: Facts, writers: Mapping[str, EpisodeWriter], progress: Progress) -> dict[str, Any]:
    """Write plans, the pruned network, ``result.json``, the report, and what TensorBoard shows beside curves."""
    rows = facts.rows()
    with progress.phase("write", f"Writing {run.path}"):
        _write_plans(run, facts, rows)
        write_network(run, facts.winner(rows), facts.problem, facts.power.batch, progress)
    run.write_json(RESULT, result_of(facts, rows, progress.seconds))
    result = write_report(run)
    write_summaries(run, facts.config, result, writers)
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
        "score_validation": row.score_validation,
        "score_test": row.score_test,
        "latency_promised_ms": row.latency_promised_ms,
        "latency_measured_ms": row.latency_measured_ms,
        "macs": row.macs,
        "params": row.params,
    }


def write_network(run: RunFolder, item: Candidate, problem: PruningProblem, batch: int, progress: Progress) -> None:
    """The pruned network as safetensors (fits the module of ``plan.apply``), and as ONNX if that computes the same.

    Where weights were treated, ``pruned.compact.safetensors`` holds the same in the fewest bytes.
    """
    write_atomic(run.path / TENSORS, weights(item.module), RunError)
    if (compact := item.delivered.compact()) is not None:
        write_atomic(run.path / COMPACT, compact, RunError)
    inputs = problem.network.example_inputs
    try:
        model = item.delivered.onnx(inputs, problem.evaluator.task.calibration, batch=batch)
        verify_onnx(model, item.module, inputs, batch=batch, tolerance=item.delivered.tolerance)
    except (NetworkError, DeviceError) as reason:
        progress.note(f"pruned.onnx is not written: {reason}")
    else:
        write_atomic(run.path / ONNX, model, RunError)


def result_of(facts: Facts, rows: list[Row], seconds: Mapping[str, float]) -> dict[str, Any]:
    """The content of ``result.json``: plain values, units in the names."""
    config, problem, planner = facts.config, facts.problem, facts.problem.planner
    task = problem.evaluator.task
    return {
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
        "images": {which: len(getattr(task, which)) for which in APART},
        "budgets": [str(budget) for budget in planner.budgets],
        "limits": {cost_name(metric): limit for metric, limit in planner.limits.items()},
        "device": facts.power.facts,
        "energy_source": facts.power.source,
        "groups": choices_of(problem.space),
        "rows": [row.as_dict() for row in rows],
        "details": details_of(task, {item.name: item.details for item in facts.candidates}),
        "winner": ranked(rows)[0].name,
        "front": facts.front,
        "verdict": _verdict(facts, rows),
        "notes": _notes(facts),
        "marks": {item.name: _mark(item) for item in facts.candidates},
        "finalists": {item.name: _finalists(item) for item in facts.candidates if item.finalists},
        "searches": {name: _counts(search) for name, search in facts.searches.items()},
        "policy": _policy_plan(facts),
        "seconds": dict(seconds),
        "cost": facts.cost.total(sum(search.episodes[-1].evaluations for search in facts.searches.values())),
        "profile": None if facts.profile is None else _profile_series(facts),
    }


def _profile_series(facts: Facts) -> dict[str, Any]:
    assert facts.profile is not None  # asked for only where there is one
    return profile_series(facts.profile, facts.problem.network, facts.config.network)


def _verdict(facts: Facts, rows: list[Row]) -> str:
    config, problem = facts.config, facts.problem
    budgets = [str(budget) for budget in problem.planner.budgets]
    words = verdict(config.agent, problem.evaluator.task.metric, budgets, rows)
    words += f" `plan.json` is the plan of {facts.winner(rows).name}."
    if facts.front is not None:
        words = f"{facts.front['verdict']} Chosen on it: {facts.front['chosen']}. {words}"
    search = facts.searches[config.agent]
    words += collapse(config.agent, config.episodes, search.best(1)[0].reward, problem.uniform.reward)
    return words if search.policy is None else words + blind(config.agent, action_spread(search.policy, problem))


def _notes(facts: Facts) -> list[str]:
    sizes = {item.quality.samples for item in facts.candidates}
    return [
        f"Validation: all {max(sizes)} samples, repaired by least squares, BatchNorm re-estimated, no fine-tuning.",
        "Speed and energy (E = P x T) use the measured latency where there is one, else the promised one.",
        *batch_note(facts.power.batch),
        *facts.power.notes,
        *scarcity(facts.problem),
        *untouched(facts.problem.evaluator.tables),
    ]


def _policy_plan(facts: Facts) -> list[int] | None:
    """The channels that the learned policy leaves by itself: one walk, no search."""
    policy = facts.searches[facts.config.agent].policy
    return None if policy is None else replayed_plan(policy, facts.problem).tolist()


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
