"""What all runtimes ask of their settings."""

from __future__ import annotations

from collections.abc import Sequence

from rlprune.devices.host import usable_cores
from rlprune.devices.runtimes.base import Runtime
from rlprune.errors import DeviceError


def check_counts(threads: int, batch: int) -> None:
    """Refuse counts below 1, and more threads than there are cores: they would wait for each other.

    Raises:
        DeviceError: it tells the cores.
    """
    if threads < 1 or batch < 1:
        raise DeviceError(f"Threads and batch must be 1 or more; {threads} and {batch} came.")
    if threads > (cores := usable_cores()):
        raise DeviceError(
            f"Threads must be at most the {cores} cores this process may use; {threads} came. Lower --threads."
        )


def check_precision(library: str, precision: str, known: Sequence[str]) -> None:
    """Refuse a precision that a library does not have here.

    Raises:
        DeviceError: it names those that it has.
    """
    if precision not in known:
        raise DeviceError(
            f"The precision of {library} must be {' or '.join(known)}; {precision!r} came. Change --precision or the "
            "runtime: rlprune devices lists them."
        )


def check_present(runtime: Runtime, name: str | None = None) -> None:
    """Refuse a runtime that cannot be used here, under ``name`` or that of its library.

    Raises:
        DeviceError: it gives the reason.
    """
    if (reason := runtime.available()) is not None:
        raise DeviceError(
            f"{name or runtime.identity.name} cannot be used here: {reason}. rlprune devices tells what can."
        )
