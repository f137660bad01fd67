"""A finished run rebuilt from its folder, by the functions that made it; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rlprune.devices import Device, DeviceProfile, resolve_device
from rlprune.devices.sources import is_source
from rlprune.errors import DeviceError, NetworkError, ProfileError
from rlprune.evaluation.batchnorm_choice import StatisticsChoice
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import Outcome, PruningProblem
from rlprune.experiments.pipeline.candidate import Candidate, dense_candidate, single_candidate
from rlprune.experiments.pipeline.device_profile import is_measured, needs_profile
from rlprune.experiments.pipeline.loading import Material, load_material
from rlprune.experiments.pipeline.preparing import Prepared, make_evaluator, make_problem, prepare
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.pipeline.provenance import Provenance, provenance_of
from rlprune.experiments.pipeline.running_methods import at_each_budget
from rlprune.experiments.runs.result import Result
from rlprune.experiments.runs.row import DENSE
from rlprune.experiments.runs.run_folder import PROFILE, RunFolder
from rlprune.experiments.settings.result_configs import ValidateConfig
from rlprune.experiments.settings.trust import refuse_code
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.networks.network import Network

ON_NAN = "skip"
"""A plan without a reward is a finding here, not an error."""


@dataclass(eq=False)
class Rebuilt:
    """What a run worked with.

    Attributes:
        run, config, result: the record.
        material: network and task.
        prepared: its device, without runtime where it is not here; its profile, where it has one that can be used.
        levels: the problem at each budget that was searched, lowest first.
        lacking: why costs, budgets and rewards that rest on the profile cannot be known; None where they can.
        facts: what energy and tails rest on.
    """

    run: RunFolder
    config: TrainConfig
    result: Result
    material: Material
    prepared: Prepared
    levels: list[PruningProblem]
    lacking: str | None
    facts: Provenance
    _known: dict[tuple[int, ...], Candidate] = field(default_factory=dict)

    @property
    def target(self) -> Device:
        """The run's device."""
        return self.prepared.target

    @property
    def profile(self) -> DeviceProfile | None:
        """Of the run, where it has one that can be used."""
        return self.prepared.profile

    @property
    def problem(self) -> PruningProblem:
        """The problem at the highest budget."""
        return self.levels[-1]

    @property
    def network(self) -> Network:
        """With the widths that the profile allows."""
        return self.problem.network

    @property
    def evaluator(self) -> Evaluator:
        """Of plans, on the samples of the search."""
        return self.problem.evaluator

    def at(self, budget: str) -> PruningProblem:
        """The problem at the level of this budget; the highest where there is no such level."""
        for problem in self.levels:
            if budget in map(str, problem.planner.budgets):
                return problem
        return self.problem

    def impossible(self, widths: Any) -> str | None:
        """Why these widths fit no network here; None where they do."""
        choices = self.problem.space.choices
        if not isinstance(widths, list | tuple) or len(widths) != len(choices):
            return f"the network has {len(choices)} {'choices' if self.problem.space.layered else 'groups'}"
        wrong = [
            f"{choice.name} cannot have {level!r} {'channels' if choice.kind == 'channels' else f'as {choice.kind}'}"
            for choice, level in zip(choices, widths, strict=True)
            if type(level) is not int or level not in choice.levels
        ]
        return wrong[0] if wrong else None

    def outcome(self, widths: Sequence[int], reward: Any) -> Outcome:
        """What a plan does; over a range, at the budget where it earns nearest to ``reward``."""
        plan = np.array(widths, dtype=np.int64)
        outcomes = [problem.outcome(plan) for problem in self.levels]
        known = float(reward) if isinstance(reward, int | float) else 0.0
        return min(outcomes, key=lambda outcome: abs(outcome.reward - known))

    def candidate(self, widths: Sequence[int], role: str) -> Candidate:
        """The network of these widths as it is delivered, scored on all validation samples; made once."""
        key = tuple(int(width) for width in widths) if role != DENSE else ()
        if key not in self._known:
            self._known[key] = self._made(widths, role)
        return self._known[key]

    def _made(self, widths: Sequence[int], role: str) -> Candidate:
        if role == DENSE:
            return dense_candidate(self.problem)
        outcome = self.problem.outcome(np.array(widths, dtype=np.int64))
        return single_candidate(str(len(self._known)), role, outcome, self.evaluator)

    def candidates(self) -> list[Candidate]:
        """All that were made."""
        return list(self._known.values())

    def complete(self, candidates: Sequence[Candidate]) -> None:
        """Take all that were made, in the same order, with more known of each."""
        self._known = dict(zip(self._known, candidates, strict=True))


def rebuild(settings: ValidateConfig, run: RunFolder, progress: Progress) -> Rebuilt:
    """Load network, task, profile and device of a run, and state its problem.

    Raises:
        RlpruneError: network or data cannot be loaded here.
    """
    config = _config(settings, run)
    with progress.phase("load", f"Loading {config.network}"):
        material = load_material(config, config.multiple)
    target, lacking = _target(run, config)
    if settings.no_timing:
        target = replace(target, runtime=None, absent="latency was not measured again (--no-timing)")
    prepared, lacking = _prepared(config, material, target, progress, lacking, _statistics(run.result()))
    levels = at_each_budget(config, prepared.problem) if lacking is None else [prepared.problem]
    facts = provenance_of(target, prepared.profile, config.watts, [])
    return Rebuilt(run, config, run.result(), material, prepared, levels, lacking, facts)


def _config(settings: ValidateConfig, run: RunFolder) -> TrainConfig:
    config = run.config()
    refuse_code(run.path, config, settings.network, settings.task)
    return replace(
        config,
        data_dir=settings.data_dir or config.data_dir,
        profile_samples=settings.samples or config.profile_samples,
    )


def _target(run: RunFolder, config: TrainConfig) -> tuple[Device, str | None]:
    """The device of the run, and why its profile cannot be used where that is so."""
    path = run.path / PROFILE
    needed = needs_profile(config) or is_source(config.device)
    try:
        if path.is_file() or not needed:
            return resolve_device(str(path) if path.is_file() else config.device, threads=config.threads), None
        return Device("cpu", "cpu", None, None, f"the run has no {PROFILE}"), f"the run has no {PROFILE}"
    except ProfileError as reason:
        return Device("cpu", "cpu", None, None, f"{PROFILE} cannot be used"), str(reason)
    except DeviceError as reason:
        return Device("cpu", "cpu", None, None, str(reason)), None


def _statistics(result: Result) -> StatisticsChoice:
    """What BatchNorms had; before runs told, they were always re-estimated."""
    return StatisticsChoice(1.0 if result.batchnorm is None else result.batchnorm.share)


def _prepared(
    config: TrainConfig,
    material: Material,
    target: Device,
    progress: Progress,
    lacking: str | None,
    statistics: StatisticsChoice,
) -> tuple[Prepared, str | None]:
    if lacking is None:
        try:
            return prepare(config, material, target, progress, on_nan=ON_NAN, statistics=statistics), None
        except (ProfileError, NetworkError) as reason:
            lacking = str(reason)
    evaluator = make_evaluator(material, config.samples, config.seed, statistics)
    countable = [budget for budget in config.budgets() if not is_measured(budget)]
    return Prepared(target, None, make_problem(material, evaluator, None, countable, "agreement", ON_NAN)), lacking
