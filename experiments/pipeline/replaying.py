"""A learned policy on another network: one walk, one evaluation, beside uniform plans at the same budget."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rlprune.agents import AGENTS, Policy, replay
from rlprune.devices import Device, resolve_device
from rlprune.devices.sources import is_source
from rlprune.errors import ProfileError, RlpruneError, RunError
from rlprune.evaluation.problem import PruningProblem
from rlprune.experiments.pipeline.candidate import (
    Candidate,
    dense_candidate,
    score_on_test,
    single_candidate,
    table,
)
from rlprune.experiments.pipeline.device_profile import needs_profile
from rlprune.experiments.pipeline.final_measurement import measure
from rlprune.experiments.pipeline.loading import load_material
from rlprune.experiments.pipeline.preparing import Prepared, prepare
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.pipeline.provenance import Provenance, batch_note
from rlprune.experiments.pipeline.results import labelled
from rlprune.experiments.runs.details import details_of
from rlprune.experiments.runs.details_table import print_details
from rlprune.experiments.runs.free_folder import check_free
from rlprune.experiments.runs.plan_results import ReplayResult
from rlprune.experiments.runs.row import LEARNED
from rlprune.experiments.runs.run_folder import PLAN, POLICY, PROFILE, RESULT, RunFolder
from rlprune.experiments.runs.tables import print_rows
from rlprune.experiments.runs.verdict import Case, verdict
from rlprune.experiments.settings.result_configs import ReplayConfig
from rlprune.experiments.settings.trust import refuse_code
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.networks.network import Network
from rlprune.plans.plan import PruningPlan
from rlprune.support.files import write_json
from rlprune.support.records import as_plain
from rlprune.support.threads import torch_threads


@dataclass(frozen=True)
class ReplayAnswer:
    """What a replay found."""

    result: ReplayResult

    def as_dict(self) -> dict[str, object]:
        """The result as plain values."""
        values: dict[str, object] = as_plain(self.result)
        return values

    def show(self) -> None:
        """Print table, plan and verdict."""
        result = self.result
        title = f"Policy of {result.run} on {result.network}, {', '.join(result.budgets)}"
        print_rows(title, result.metric, result.rows)
        print_details(result.details, result.rows)
        print(result.verdict.replace("**", ""))
        for note in result.notes:
            print(f"- {note}")
        widest = max(len(name) for name in result.plan)
        print("What is kept:")
        for (name, ratio), kept in zip(result.plan.items(), result.rows[-1].widths, strict=True):
            print(f"  {name:<{widest}}  {kept:>5}  {ratio:.2f}")
        if result.out:
            print(f"Plan: {Path(result.out) / PLAN}")


def replay_run(config: ReplayConfig, command: str, progress: Progress | None = None) -> ReplayAnswer:
    """Replay the policy of a run.

    Raises:
        RlpruneError: a setting or an input is wrong.
    """
    progress = progress or Progress()
    config.check()
    run = RunFolder.open(config.run)
    settings = config.settings(run.config())
    settings.check()
    refuse_code(run.path, settings, config.network, config.task)
    if not (run.path / POLICY).is_file():
        if settings.agent in AGENTS:
            raise RunError(f"The policy of the run in {run.path} ({POLICY}) is missing. Put it back, or train again.")
        raise RunError(
            f"The run in {run.path} has no policy ({POLICY}); it is a run of {settings.agent}. Replay a run of an "
            "agent that learns, such as ddpg or ppo."
        )
    policy = Policy.load(run.path)
    if config.out is not None:
        check_free(config.out)
    with torch_threads(settings.threads):
        material = load_material(settings, settings.multiple)
        device = _device(run, config, settings, material.network, progress)
        prepared = prepare(settings, material, device, progress)
        problem = prepared.problem
        measurement = measure(_candidates(settings.agent, policy, problem), prepared, settings, progress)
        tested = score_on_test(measurement.candidates, problem.evaluator)
    result = _result(config, settings, command, problem, tested, measurement.provenance)
    if config.out is not None:
        _write(Path(config.out), settings, result, prepared, tested[-1])
    return ReplayAnswer(result)


UNASKED = "no budget and no reward is on latency or energy; --device asks for it"


def _device(
    run: RunFolder, config: ReplayConfig, settings: TrainConfig, network: Network, progress: Progress
) -> Device:
    """The one that was named; else the run's, by a profile that fits; else this machine, where something needs it."""
    if config.device is not None:
        return resolve_device(config.device, threads=settings.threads)
    needed = needs_profile(settings)
    path = run.path / PROFILE
    theirs = resolve_device(str(path)) if path.is_file() else None
    found = _fitting([theirs, *_asked(settings)], network)
    if found is not None:
        return found if needed else replace(found, runtime=None, absent=UNASKED)
    name = settings.device if theirs is None else theirs.name
    if not needed:
        return Device(name, "cpu", None, None, UNASKED)
    here = resolve_device("cpu" if is_source(name) else name, threads=settings.threads)
    assert here.runtime is not None  # a device without a profile always has one
    of_run = "" if theirs is None or theirs.source is None else f" (its own is of another, on {theirs.source.device})"
    progress.note(
        f"The run has no profile of this network{of_run}: it is measured here, on "
        f"{here.runtime.device_name()} with {here.runtime.identity}. Name another with --device."
    )
    return here


def _asked(settings: TrainConfig) -> list[Device]:
    """The profile that the run was told to use, where it is still there: it may hold other networks too."""
    try:
        return [resolve_device(settings.device)] if is_source(settings.device) else []
    except RlpruneError:
        return []


def _fitting(devices: Sequence[Device | None], network: Network) -> Device | None:
    """The first whose profile holds ``network``."""
    for device in devices:
        if device is not None and device.source is not None:
            with suppress(ProfileError):
                device.source.for_network(network)
                return device
    return None


def _candidates(agent: str, policy: Policy, problem: PruningProblem) -> list[Candidate]:
    evaluator = problem.evaluator
    outcome = replay(policy, problem)
    plain = problem.unsearched.items()
    return [
        dense_candidate(problem),
        *(single_candidate(name, name, one, evaluator) for name, one in plain),
        single_candidate(agent, LEARNED, outcome, evaluator),
    ]


def _result(
    config: ReplayConfig,
    settings: TrainConfig,
    command: str,
    problem: PruningProblem,
    candidates: Sequence[Candidate],
    provenance: Provenance,
) -> ReplayResult:
    rows = table(candidates, problem.space, provenance)
    task, budgets = problem.evaluator.task, [str(budget) for budget in problem.planner.budgets]
    return ReplayResult(
        run=config.run,
        command=command,
        network=settings.network,
        task=task.name,
        metric=task.metric,
        budgets=budgets,
        device=provenance.facts,
        energy_source=provenance.source,
        rows=rows,
        details=details_of(task, {item.name: item.details for item in candidates}),
        plan={
            label: choice.share(level)
            for (label, choice), level in zip(labelled(problem.space), rows[-1].widths, strict=True)
        },
        verdict=verdict(Case(settings.agent, task.metric, budgets, rows, kept=False)),
        notes=[
            "The policy was replayed as it is: one walk, one evaluation, no fine-tuning.",
            *batch_note(provenance.batch),
            *provenance.notes,
        ],
        out=config.out,
    )


def _write(
    folder: Path,
    settings: TrainConfig,
    result: ReplayResult,
    prepared: Prepared,
    replayed: Candidate,
) -> None:
    notes = {"policy_of": result.run, **settings.network_notes(), "budgets": result.budgets}
    PruningPlan.from_levels(prepared.problem.space, replayed.levels, notes).save(folder / PLAN)
    write_json(folder / RESULT, as_plain(result), RunError)
    if prepared.profile is not None:
        prepared.profile.save(folder / PROFILE)
