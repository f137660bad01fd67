"""Where a job takes the profile of its network from: a file, or the profiles that ship."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from rlprune.devices.grid import LAYER_SCHEMA, LayerProfile
from rlprune.devices.profiles.profile import DeviceProfile
from rlprune.devices.ready import FOLDER, ready_files, ready_names
from rlprune.devices.runtimes.base import RuntimeIdentity
from rlprune.errors import DeviceError, ProfileError, unknown_name
from rlprune.networks.network import Network
from rlprune.support.files import read_json

READY = "ready:"


class ProfileSource(Protocol):
    """Gives the profile of a network; a :class:`DeviceProfile` gives itself.

    Attributes:
        device: that was measured.
        runtime: it was measured with.
    """

    @property
    def device(self) -> str: ...

    @property
    def runtime(self) -> RuntimeIdentity: ...

    def for_network(self, network: Network) -> DeviceProfile:
        """The profile of ``network``.

        Raises:
            ProfileError: there is none.
        """
        ...


class ReadyProfiles:
    """The profiles of one machine and runtime that ship.

    Args:
        name: without ``ready:``.

    Raises:
        DeviceError: no profile of this name ships.
    """

    def __init__(self, name: str, folder: Path = FOLDER) -> None:
        if name not in ready_names(folder):
            raise DeviceError(unknown_name("ready profile", name, ready_names(folder)))
        self._files = ready_files(name, folder)
        self._name = name
        first = open_profile(next(iter(self._files.values())))
        self.device, self.runtime = first.device, first.runtime

    def for_network(self, network: Network) -> DeviceProfile:
        """The profile of this very network, else one put together from its layers."""
        for path in self._files.values():
            source = open_profile(path)
            if isinstance(source, LayerProfile) or source.fingerprint == network.fingerprint:
                return source.for_network(network)
        raise ProfileError(
            f"{READY}{self._name} holds profiles of {', '.join(self._files)}, none of this network. "
            "Measure it: rlprune profile."
        )


def is_source(name: str) -> bool:
    """Whether a device's name stands for a profile, whatever files there are.

    It does as ``ready:NAME``, as ``*.json``, and as a path with a folder in it, such as ``./FILE``.
    """
    return name.startswith(READY) or name.endswith(".json") or "/" in name


def open_source(name: str) -> ProfileSource:
    """The profile behind ``ready:NAME``, or the file of this name.

    Raises:
        ProfileError: the file cannot be read.
        DeviceError: no profile of this name ships.
    """
    return ReadyProfiles(name.removeprefix(READY)) if name.startswith(READY) else open_profile(Path(name))


def open_profile(path: Path) -> DeviceProfile | LayerProfile:
    """Read a profile of a network or of kinds of layers, whichever the file holds.

    Raises:
        ProfileError: the file cannot be read, or holds neither.
    """
    kind = str(read_json(path, ProfileError).get("schema")).partition("/")[0]
    return LayerProfile.load(path) if kind == LAYER_SCHEMA.partition("/")[0] else DeviceProfile.load(path)
