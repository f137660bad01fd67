"""The members of a study as they are run in its folder, with the profiles that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rlprune.devices import resolve_device
from rlprune.devices.sources import is_source
from rlprune.errors import ConfigError
from rlprune.experiments.settings.verb_configs import ProfileConfig, TrainConfig
from rlprune.experiments.sweeping.folder import StudyFolder
from rlprune.experiments.sweeping.profiles import profile_name, profile_of
from rlprune.experiments.sweeping.study import Study


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


def check_devices(tasks: Sequence[Task], here: bool) -> None:
    """Refuse profiles that cannot be read and, where the work is done here, devices that are absent.

    Raises:
        DeviceError, ProfileError: see :func:`resolve_device`.
    """
    for device, threads in {(task.device, task.config.threads) for task in tasks}:
        if here or is_source(device):
            resolve_device(device, threads=threads)


def check_nodes(study: Study, tasks: Sequence[Task]) -> None:
    """Refuse measurements that any node of a cluster might make.

    Raises:
        ConfigError: a device that must be measured has no nodes.
    """
    for task in tasks:
        if task.lacks_profile and task.device not in study.nodes:
            raise ConfigError(
                f"On a cluster a device is measured by the nodes that have it; nothing says which have {task.device}. "
                f"Name their Ray resource in the study: 'nodes: {{{task.device}: RESOURCE}}'."
            )
