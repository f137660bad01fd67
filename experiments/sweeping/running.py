"""Running a study: profiles that its members share, then every member that is not complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from rlprune.devices import resolve_device
from rlprune.devices.sources import is_source
from rlprune.errors import ConfigError
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.runs.interruption import Interrupted
from rlprune.experiments.settings.options import as_dict
from rlprune.experiments.settings.verb_configs import ProfileConfig, SweepConfig, TrainConfig
from rlprune.experiments.sweeping.answer import Entry, SweepAnswer, compared
from rlprune.experiments.sweeping.folder import StudyFolder
from rlprune.experiments.sweeping.local import LocalRunner
from rlprune.experiments.sweeping.on_ray import LOCAL, RayRunner, connected
from rlprune.experiments.sweeping.orders import End, Order, Work
from rlprune.experiments.sweeping.profiles import profile_name, profile_of
from rlprune.experiments.sweeping.study import Study, read_study
from rlprune.support.progress import Bar

DETAIL = 110


class Runner(Protocol):
    """Works on orders, here or elsewhere; see :class:`LocalRunner`."""

    def run(self, orders: Sequence[Order], ended: Callable[[Order, End], None]) -> None: ...


@dataclass(frozen=True)
class Task:
    """A member, as it is run in its study folder.

    Attributes:
        name: of the member.
        device: as the study calls it.
        config: its settings; where a profile is shared, the device is that profile.
        profile: how the shared profile is measured; its ``out`` says where.
    """

    name: str
    device: str
    config: TrainConfig
    profile: ProfileConfig | None

    @property
    def lacks_profile(self) -> bool:
        """Whether its profile must be measured first."""
        return self.profile is not None and not Path(self.profile.out).is_file()


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
    for member, task in zip(study.members, tasks, strict=True):
        folder.check(member, task.config)
        folder.state(member.name)
    _check_devices(tasks, here=config.ray is None)
    if config.ray is not None:
        _check_nodes(study, tasks, config.ray)
    if config.dry_run:
        return _answer(study, folder, tasks, dry_run=True)
    with folder.locked(progress) as lock:
        with _runner(config, study, folder, lock) as runner:
            folder.keep(study)
            Sweep(folder, tasks, runner, command, progress).work(config.retry)
        return _answer(study, folder, tasks, dry_run=False)


def tasks_of(study: Study, folder: StudyFolder) -> list[Task]:
    """The members with the profiles that they share, in the order of the study."""
    return [_task(member.name, member.config, folder) for member in study.members]


def _task(name: str, config: TrainConfig, folder: StudyFolder) -> Task:
    device, config = config.device, replace(config, out=str(folder.run(name)))
    profile = profile_of(config)
    if profile is None:
        return Task(name, device, config, None)
    path = str(folder.profile(profile_name(profile)))
    return Task(name, device, replace(config, device=path), replace(profile, out=path))


def _check_devices(tasks: Sequence[Task], here: bool) -> None:
    """Refuse profiles that cannot be read and, where the work is done here, devices that are absent.

    Raises:
        DeviceError, ProfileError: see :func:`resolve_device`.
    """
    for device, threads in {(task.device, task.config.threads) for task in tasks}:
        if here or is_source(device):
            resolve_device(device, threads=threads)


def _check_nodes(study: Study, tasks: Sequence[Task], address: str) -> None:
    """Refuse measurements that any node of a cluster might make.

    Raises:
        ConfigError: a device that must be measured has no nodes.
    """
    for task in tasks:
        if address != LOCAL and task.lacks_profile and task.device not in study.nodes:
            raise ConfigError(
                f"On a cluster a device is measured by the nodes that have it; nothing says which have {task.device}. "
                f"Name their Ray resource in the study: 'nodes: {{{task.device}: RESOURCE}}'."
            )


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
        self._turns = str(folder.path / "turns")

    def work(self, retry: bool) -> None:
        """Profiles one after the other, then the members.

        Raises:
            Interrupted: see :func:`sweep`.
        """
        if retry:
            for task in self._tasks:
                self._folder.forget_failure(task.name)
        try:
            self._measure(self._due())
            self._train([task for task in self._due() if not task.lacks_profile])
        except KeyboardInterrupt as reason:
            left = len(self._due())
            raise Interrupted(
                f"{len(self._tasks) - left} of {len(self._tasks)} members are done. Continue with: {self._command}"
            ) from reason

    def _due(self) -> list[Task]:
        """What is not complete and has not failed."""
        return [task for task in self._tasks if self._folder.state(task.name) in ("missing", "interrupted")]

    def _measure(self, tasks: Sequence[Task]) -> None:
        """The shared profiles that are missing; where one fails, so have its members."""
        wanted = {task.profile.out: task.profile for task in tasks if task.profile is not None}
        for path, profile in wanted.items():
            if not Path(path).is_file():
                order = self._order_of(profile)
                log = self._folder.log(order.name)
                self._progress.note(f"Measuring {profile.network} on {profile.device} for all members (log: {log})")
                self._runner.run([order], partial(self._measured, tasks))

    def _order_of(self, profile: ProfileConfig) -> Order:
        name = f"profile-{Path(profile.out).stem}"
        return Order(name, "profile", profile.device, as_dict(profile), self._command, self._turns)

    def _measured(self, tasks: Sequence[Task], order: Order, end: End) -> None:
        if end.state == "done":
            return
        path = order.settings["out"]
        self._progress.note(f"{path} could not be measured: {_shortened(end.error or end.state)}")
        for task in tasks:
            if task.profile is not None and task.profile.out == path and end.state == "failed":
                self._folder.note_failure(task.name, f"its profile could not be measured: {end.error}")

    def _train(self, tasks: Sequence[Task]) -> None:
        if not tasks:
            return
        with self._progress.bar("Members", len(tasks)) as bar:
            self._runner.run([self._order(task) for task in tasks], lambda order, end: self._trained(order, end, bar))

    def _order(self, task: Task) -> Order:
        work: Work = "train" if self._folder.state(task.name) == "missing" else "resume"
        return Order(task.name, work, task.device, as_dict(task.config), self._command, self._turns)

    def _trained(self, order: Order, end: End, bar: Bar) -> None:
        state = self._folder.state(order.name)
        if end.state == "failed" and state != "complete":
            self._folder.note_failure(order.name, end.error)
            self._progress.note(f"{order.name} failed: {_shortened(end.error)}")
        else:
            self._progress.note(f"{order.name} is {state}")
        bar.step("")


def _shortened(text: str) -> str:
    return text if len(text) <= DETAIL else f"{text[: DETAIL - 1]}…"


def _answer(study: Study, folder: StudyFolder, tasks: Sequence[Task], dry_run: bool) -> SweepAnswer:
    entries = [_entry(folder, task) for task in tasks]
    found, note = (
        (None, None) if dry_run else compared(folder, [entry for entry in entries if entry.state == "complete"])
    )
    return SweepAnswer(study.name, str(folder.path), entries, found, note, dry_run)


def _entry(folder: StudyFolder, task: Task) -> Entry:
    state = folder.state(task.name)
    error = folder.failure(task.name) if state == "failed" else None
    log = folder.log(task.name)
    return Entry(
        task.name,
        state,
        str(folder.run(task.name)),
        task.config.device if task.lacks_profile else None,
        error,
        str(log) if log.is_file() else None,
    )
