"""The verbs ``train`` and ``search``: prepare, search, choose, measure, test, deliver, report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from rlprune.devices import resolve_device
from rlprune.errors import ConfigError
from rlprune.experiments.pipeline.best_plans import choose
from rlprune.experiments.pipeline.candidate import score_on_test
from rlprune.experiments.pipeline.delivering import deliver
from rlprune.experiments.pipeline.final_measurement import measure
from rlprune.experiments.pipeline.findings import Findings
from rlprune.experiments.pipeline.loading import load_material
from rlprune.experiments.pipeline.preparing import in_processes, prepare
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.pipeline.results import result_of
from rlprune.experiments.pipeline.run_in_progress import RunInProgress
from rlprune.experiments.pipeline.running_methods import (
    at_each_budget,
    check_episodes,
    check_searchers,
    idle_workers,
    methods,
    search_with_all,
)
from rlprune.experiments.reports.report import write_report
from rlprune.experiments.runs.free_folder import check_free
from rlprune.experiments.runs.journal import Journal, read_journal
from rlprune.experiments.runs.run_folder import PROFILE, RESULT, RESUMABLE, RunFolder
from rlprune.experiments.runs.versions import versions
from rlprune.experiments.settings.trust import refuse_code
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.experiments.tensorboard.events import episode_writers
from rlprune.experiments.tensorboard.summary import write_summary
from rlprune.support.threads import torch_threads


def train(config: TrainConfig, command: str, progress: Progress | None = None) -> RunFolder:
    """Run the whole job and return its folder; with ``config.resume``, go on with a run that was broken off.

    Everything a user can get wrong is checked before anything is written; the folder is made when the search begins, or
    before a profile is measured for it.

    Raises:
        RlpruneError: a setting or an input is wrong.
        Interrupted: the user wants to stop; it names the best plan so far and the command that continues.
    """
    progress = progress or Progress()
    if config.resume is not None:
        return resume(config.resume, config, progress)
    config.check()
    check_searchers(config)
    check_free(config.folder())
    opened = partial(RunFolder.create, config.folder(), config, command, versions())
    return _through_the_steps(config, progress, config.device, opened)


def resume(path: str, config: TrainConfig, progress: Progress) -> RunFolder:
    """Go on with a run that was broken off, to the result that it would have had.

    Args:
        config: of its settings, ``workers`` count; network and task must be named where they are code.

    Raises:
        ConfigError: other settings were given, or code of the run was not named.
        RunError: there is no run, it is complete, or another process works on it.
    """
    config.check_resume()
    run = RunFolder(path)
    run.state(*RESUMABLE)
    settings = replace(run.config(), out=path)
    _check_named(config, settings, run.path)
    if config.workers is not None:
        settings = replace(settings, workers=config.workers)
    settings.check()
    check_searchers(settings)
    measured = run.path / PROFILE
    read_journal(run.path)  # what cannot be repeated is refused before anything is written
    progress.note(f"Going on with {path}")
    device = str(measured) if measured.is_file() else settings.device
    return _through_the_steps(settings, progress, device, partial(RunFolder.resume, path))


def _check_named(config: TrainConfig, settings: TrainConfig, path: Path) -> None:
    network = None if config.network == TrainConfig.network else config.network
    for name, given, own in (("network", network, settings.network), ("task", config.task, settings.task)):
        if given not in (None, own):
            raise ConfigError(
                f"A run is continued with its own settings; its {name} is {own}, {given} came. Leave it out."
            )
    refuse_code(path, settings, network, config.task)


def _through_the_steps(
    config: TrainConfig, progress: Progress, device: str, opened: Callable[[], AbstractContextManager[RunFolder]]
) -> RunFolder:
    """The pipeline: every step takes what those before it gave.

    Args:
        device: the one that the settings name; of a run that goes on, its own profile where there is one.
        opened: the folder, ours while its context lasts.
    """
    with torch_threads(config.threads), RunInProgress(config, opened) as run, ExitStack() as stack:
        target = resolve_device(device, threads=config.threads)
        with progress.phase("load", f"Loading {config.network}"):
            material = load_material(config, config.multiple)
        prepared = prepare(config, material, target, progress, on_nan=config.on_nan, place=run.profile_path)
        progress.notes(idle_workers(config))
        problem = stack.enter_context(in_processes(prepared.problem, config.workers or 1))
        problems = at_each_budget(config, problem)
        check_episodes(config, problems)

        folder = run.folder  # nothing that a user can get wrong is found after this
        if prepared.profile is not None:
            prepared.profile.save(run.profile_path())
        names = methods(config.agent, config.baselines)
        journal = stack.enter_context(closing(Journal(folder.path)))
        writers = stack.enter_context(episode_writers(folder.path, config.seed, names, problems, config.episodes))

        searches = search_with_all(run, problem, journal, writers, progress)
        chosen = choose(config, problems, searches, progress)
        with progress.phase("measure"):
            measurement = measure(chosen.candidates, replace(prepared, problem=problem), config, progress)
        with progress.phase("test", "Scoring the chosen plans on the test samples, once"):
            chosen = replace(chosen, candidates=score_on_test(measurement.candidates, problem.evaluator))
        findings = Findings(config, prepared.profile, searches, chosen, measurement.provenance)
        with progress.phase("write", f"Writing {folder.path}"):
            notes = deliver(folder, findings, progress)
        folder.write_json(RESULT, result_of(findings, run.cost, progress.seconds, notes).as_dict())
        write_summary(folder, config, write_report(folder), writers)
    return folder
