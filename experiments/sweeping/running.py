"""Running a study: profiles that its members share, then every member that is not complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.runs.interruption import Interrupted
from rlprune.experiments.settings.options import Settings, as_dict
from rlprune.experiments.settings.verb_configs import SweepConfig
from rlprune.experiments.sweeping.answer import MemberState, SweepAnswer, compared
from rlprune.experiments.sweeping.folder import StudyFolder
from rlprune.experiments.sweeping.local import LocalRunner
from rlprune.experiments.sweeping.on_ray import LOCAL, RayRunner, connected
from rlprune.experiments.sweeping.orders import End, Order, Work
from rlprune.experiments.sweeping.study import Study, read_study
from rlprune.experiments.sweeping.tasks import Task, check_devices, check_nodes, tasks_of
from rlprune.support.progress import Bar

DETAIL = 110


class Runner(Protocol):
    """Works on orders, here or elsewhere; see :class:`LocalRunner`."""

    def run(self, orders: Sequence[Order], ended: Callable[[Order, End], None]) -> None: ...


def sweep(config: SweepConfig, command: str, progress: Progress | None = None) -> SweepAnswer:
    """Run the members of a study that are not complete, and compare those that are.

    A member that fails is noted and does not stop the others; it is run again only with ``config.retry``. Everything
    that can be known before is checked before anything is written.

    Raises:
        RlpruneError: the study, a member's settings, a device or the study folder is wrong.
        Interrupted: the user wants to stop; it names the command that continues.
    """
    config.check()
    progress = progress or Progress()
    study = read_study(config.study)
    folder = StudyFolder(config.out or f"studies/{study.name}")
    tasks = tasks_of(study, folder)
    for task in tasks:
        folder.check(task.name, task.config)
        folder.state(task.name)
    check_devices(tasks, here=config.ray is None)
    if config.ray not in (None, LOCAL):
        check_nodes(study, tasks)
    if not config.dry_run:
        with folder.locked(progress) as lock:
            with _runner(config, study, folder, lock) as runner:
                folder.keep(study)
                Sweep(folder, tasks, runner, command, progress).work(config.retry)
            return _answer(study, folder, tasks, dry_run=False)
    return _answer(study, folder, tasks, dry_run=True)


@contextmanager
def _runner(config: SweepConfig, study: Study, folder: StudyFolder, lock: int) -> Iterator[Runner]:
    if config.ray is None:
        yield LocalRunner(config.processes, folder.log, lock)
        return
    with connected(config.ray, config.processes) as ray:
        yield RayRunner(ray, {} if config.ray == LOCAL else study.nodes, folder.log)


class Sweep:
    """One piece of work on a study."""

    def __init__(
        self, folder: StudyFolder, tasks: Sequence[Task], runner: Runner, command: str, progress: Progress
    ) -> None:
        self._folder, self._tasks, self._runner = folder, tasks, runner
        self._command, self._progress = command, progress

    def work(self, retry: bool) -> None:
        """Profiles one after the other, then the members.

        Raises:
            Interrupted: see :func:`sweep`.
        """
        if retry:
            for task in self._tasks:
                self._folder.forget_failure(task.name)
        try:
            self._measure_profiles()
            self._train([task for task in self._due() if not task.lacks_profile])
        except KeyboardInterrupt as reason:
            done = len(self._tasks) - len(self._due())
            told = f"{done} of {len(self._tasks)} members are done. Continue with: {self._command}"
            raise Interrupted(told) from reason

    def _due(self) -> list[Task]:
        """What is not complete and has not failed."""
        return [task for task in self._tasks if self._folder.state(task.name) in ("missing", "interrupted")]

    def _order(self, name: str, work: Work, device: str, settings: Settings) -> Order:
        return Order(name, work, device, as_dict(settings), self._command, str(self._folder.path / "turns"))

    def _measure_profiles(self) -> None:
        """Those that are missing."""
        wanted = {task.profile.out: task.profile for task in self._due() if task.profile is not None}
        for path, profile in wanted.items():
            if not Path(path).is_file():
                order = self._order(f"profile-{Path(path).stem}", "profile", profile.device, profile)
                log = self._folder.log(order.name)
                self._progress.note(f"Measuring {profile.network} on {profile.device} for all members (log: {log})")
                self._runner.run([order], self._measured)

    def _measured(self, order: Order, end: End) -> None:
        """Where a profile failed, so have its members."""
        if end.state == "done":
            return
        path = order.settings["out"]
        self._progress.note(f"{path} could not be measured: {_shortened(end.error or end.state)}")
        for task in self._due():
            if task.config.device == path and end.state == "failed":
                self._folder.note_failure(task.name, f"its profile could not be measured: {end.error}")

    def _train(self, tasks: Sequence[Task]) -> None:
        if not tasks:
            return
        orders = [self._order(task.name, self._work(task), task.device, task.config) for task in tasks]
        with self._progress.bar("Members", len(tasks)) as bar:
            self._runner.run(orders, lambda order, end: self._trained(order, end, bar))

    def _work(self, task: Task) -> Work:
        return "train" if self._folder.state(task.name) == "missing" else "resume"

    def _trained(self, order: Order, end: End, bar: Bar) -> None:
        state = self._folder.state(order.name)
        if end.state == "failed" and state != "complete":
            self._folder.note_failure(order.name, end.error)
            self._progress.note(f"{order.name} failed: {_shortened(end.error)}")
        else:
            self._progress.note(f"{order.name} is {state}")
        bar.step()


def _shortened(text: str) -> str:
    return text if len(text) <= DETAIL else f"{text[: DETAIL - 1]}…"


def _answer(study: Study, folder: StudyFolder, tasks: Sequence[Task], dry_run: bool) -> SweepAnswer:
    members = [_state_of(task, folder) for task in tasks]
    complete = [member for member in members if member.state == "complete" and not dry_run]
    return SweepAnswer(study.name, str(folder.path), members, *compared(folder, complete), dry_run)


def _state_of(task: Task, folder: StudyFolder) -> MemberState:
    state, log = folder.state(task.name), folder.log(task.name)
    return MemberState(
        task.name,
        state,
        run=str(folder.run(task.name)),
        missing_profile=task.config.device if task.lacks_profile else None,
        error=folder.failure(task.name) if state == "failed" else None,
        log=str(log) if log.is_file() else None,
    )
