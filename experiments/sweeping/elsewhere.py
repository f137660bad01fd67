"""A piece of work on another machine: what is sent there, what is done there, what comes back."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rlprune import __version__
from rlprune.errors import RunError
from rlprune.experiments.sweeping.archive import pack, unpack
from rlprune.experiments.sweeping.local import POLL_S, Piece, stop
from rlprune.experiments.sweeping.orders import End, Order

PROFILE = "profile.json"


@dataclass(frozen=True)
class Parcel:
    """An order with everything that it needs and another machine may not have.

    Attributes:
        order: with the paths of the machine that sends it.
        profile: the file that its device names, if it names one.
        begun: the run to go on with, packed.
        folder: the working folder; used there too, where there is one of this name.
        version: of rlprune, which must be the same there.
    """

    order: Order
    profile: bytes | None
    begun: bytes | None
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
            begun = pack(out) if order.work == "resume" else None
        except OSError as reason:
            raise RunError(f"Cannot send {order.name}: {reason}.") from reason
        return cls(order, profile, begun, str(Path.cwd()), __version__)


@dataclass(frozen=True)
class Parcelled:
    """What comes back.

    Attributes:
        end: how the work ended.
        said: its log.
        result: what it wrote, packed; None where it wrote nothing.
        node: the machine that did it.
    """

    end: End
    said: str
    result: bytes | None
    node: str


def work_on(parcel: Parcel) -> Parcelled:
    """Do the work of a parcel in a process of its own, in a temporary folder."""
    node = os.uname().nodename
    if parcel.version != __version__:
        wrong = f"all machines need the same rlprune; {node} has {__version__}, the sweep {parcel.version}"
        return Parcelled(End("failed", wrong), "", None, node)
    with tempfile.TemporaryDirectory(prefix="rlprune-") as made:
        place = Path(made)
        order = _settled(parcel, place)
        log = place / "log.txt"
        folder = parcel.folder if Path(parcel.folder).is_dir() else None
        end = _watched(Piece.start(order, log, folder=folder))
        result = place / "result"
        return Parcelled(end, log.read_text(errors="replace"), pack(result) if result.is_dir() else None, node)


def _settled(parcel: Parcel, place: Path) -> Order:
    """The order with the paths of this machine, and its files there."""
    order, changes = parcel.order, {"out": str(place / "result")}
    if order.work == "profile":
        changes["out"] = str(place / "result" / PROFILE)
    if parcel.profile is not None:
        changes["device"] = str(place / PROFILE)
        (place / PROFILE).write_bytes(parcel.profile)
    if parcel.begun is not None:
        unpack(parcel.begun, place / "result")
        if parcel.profile is not None and not (place / "result" / PROFILE).is_file():  # it was killed that early
            (place / "result" / PROFILE).write_bytes(parcel.profile)
    turns = Path(tempfile.gettempdir()) / f"rlprune-turns-{os.getuid()}"
    return replace(order, settings={**order.settings, **changes}, turns=str(turns))


def _watched(piece: Piece) -> End:
    try:
        while (end := piece.end()) is None:
            time.sleep(POLL_S)
        return end
    finally:
        stop([piece])
