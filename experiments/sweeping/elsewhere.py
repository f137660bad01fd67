"""A piece of work on another machine: what is sent there, what is done there, what comes back."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import yaml

from rlprune import __version__
from rlprune.errors import RunError
from rlprune.experiments.settings.yaml_file import CONFIG
from rlprune.experiments.sweeping.local import work_on
from rlprune.experiments.sweeping.orders import End, Order
from rlprune.support.files import write_atomic

PROFILE = "profile.json"
Files = Mapping[str, bytes]
"""The files of a folder: path in it to content."""


@dataclass(frozen=True)
class Parcel:
    """An order with everything that it needs and another machine may not have.

    Attributes:
        order: with the paths of the machine that sends it.
        profile: the file that its device names, if it names one.
        begun: the run to go on with; empty where there is none.
        folder: the working folder; used there too, where there is one of this name.
        version: of rlprune, which must be the same there.
    """

    order: Order
    profile: bytes | None
    begun: Files
    folder: str
    version: str

    @classmethod
    def of(cls, order: Order) -> Parcel:
        """The order with its files.

        Raises:
            RunError: one cannot be read.
        """
        device, out = Path(order.settings["device"]), Path(order.settings["out"])
        try:
            profile = device.read_bytes() if device.is_file() else None
            begun = files_of(out) if order.work == "resume" else {}
        except OSError as reason:
            raise RunError(f"Cannot send {order.name}: {reason}.") from reason
        return cls(order, profile, begun, str(Path.cwd()), __version__)


@dataclass(frozen=True)
class Parcelled:
    """What comes back.

    Attributes:
        end: how the work ended.
        said: its log.
        result: what it wrote; empty where it wrote nothing.
        node: the machine that did it.
    """

    end: End
    said: str
    result: Files
    node: str


def work_on_parcel(parcel: Parcel) -> Parcelled:
    """Do the work of a parcel in a process of its own, in a temporary folder."""
    node = os.uname().nodename
    if parcel.version != __version__:
        wrong = f"all machines need the same rlprune; {node} has {__version__}, the sweep {parcel.version}"
        return Parcelled(End("failed", wrong), "", {}, node)
    with tempfile.TemporaryDirectory(prefix="rlprune-") as made:
        order, log = _settled(parcel, Path(made)), Path(made) / "log.txt"
        folder = parcel.folder if Path(parcel.folder).is_dir() else None
        end = work_on(order, log, Event(), Event(), folder=folder)
        return Parcelled(end, log.read_text(errors="replace"), files_of(Path(made) / "result"), node)


def _settled(parcel: Parcel, place: Path) -> Order:
    """The order with the paths of this machine, and its files there."""
    order, result = parcel.order, place / "result"
    changes = {"out": str(result / PROFILE if order.work == "profile" else result)}
    write_files(parcel.begun, result)
    if parcel.profile is not None:
        changes["device"] = str(place / PROFILE)
        (place / PROFILE).write_bytes(parcel.profile)
        if parcel.begun and PROFILE not in parcel.begun:  # it was killed that early
            (result / PROFILE).write_bytes(parcel.profile)
    turns = Path(tempfile.gettempdir()) / f"rlprune-turns-{os.getuid()}"
    return replace(order, settings={**order.settings, **changes}, turns=str(turns))


def take(order: Order, result: Files) -> None:
    """Put what a piece of work wrote elsewhere where it would have written it here, at once.

    Raises:
        RunError: it is not what was to come, or it cannot be written.
    """
    out = Path(order.settings["out"])
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as made:
            staged = Path(made) / "result"
            write_files(result, staged)
            if order.work == "profile":
                if PROFILE in result:
                    (staged / PROFILE).replace(out)
                return
            noted = {name: value for name, value in order.settings.items() if name != "resume"}
            write_atomic(staged / CONFIG, yaml.safe_dump(noted, sort_keys=False), RunError)
            if out.exists():
                out.rename(Path(made) / "before")
            staged.rename(out)
    except OSError as reason:
        raise RunError(f"Cannot write {out}: {reason.strerror or reason}.") from reason


def files_of(folder: Path) -> Files:
    """All files of a folder; hidden ones (locks, half-written files) are left out."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in named.items() if not _is_hidden(name)}


def write_files(files: Files, folder: Path) -> None:
    """Write files into a folder, and nowhere else.

    Raises:
        RunError: a name leads out of the folder.
        OSError: one cannot be written.
    """
    for name in files:
        if _is_hidden(name) or "\\" in name or ":" in name:
            raise RunError(f"What comes back from a run holds plain files below its folder; {name!r} came.")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _is_hidden(name: str) -> bool:
    """Whether a part of a path begins with a dot, as ``..`` does, or is empty, as before ``/root``."""
    return any(part == "" or part.startswith(".") for part in name.split("/"))
