"""What this machine is called in a profile, and what else it is doing."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
STAT = Path("/proc/stat")
NVIDIA = Path("/sys/module/nvidia/version")


def cpu_model(cpuinfo: Path = CPUINFO) -> str:
    """The processor's name as the kernel tells it, and the cores it shows; no host name, no serial number."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    fields = [line.partition(":") for line in lines]
    names = [value.strip() for key, _, value in fields if key.strip() in {"model name", "Model"}]
    name = names[0] if names else platform.processor() or platform.machine() or "unknown processor"
    cores = sum(key.strip() == "processor" for key, _, _ in fields)
    return f"{name}, {cores} cores" if cores else name


def operating_system() -> str:
    """Name and version of the system, such as ``Linux 6.8 x86_64``."""
    release = ".".join(platform.release().split(".")[:2])
    return f"{platform.system()} {release} {platform.machine()}"


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int | None:
    """The machine's memory; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def gpu_name() -> str | None:
    """The GPU that torch uses first; None where it sees none."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def gpu_driver(version: Path = NVIDIA) -> str | None:
    """The version of NVIDIA's kernel driver; None where none is loaded."""
    try:
        return version.read_text(encoding="ascii", errors="replace").strip() or None
    except OSError:
        return None


class LoadWatch:
    """How much other programs ran meanwhile; a context manager.

    Counted is the time in which all cores were busy, time that a hypervisor gave to other machines included, less the
    time of this process and of its finished children.

    Args:
        stat: the kernel's counters.

    Attributes:
        other_load: cores that other programs kept busy on average, once the block has ended; None where the kernel does
            not tell.
    """

    def __init__(self, stat: Path = STAT) -> None:
        self._stat = stat
        self.other_load: float | None = None

    def __enter__(self) -> LoadWatch:
        self._start, self._busy, self._own = time.monotonic(), _busy_seconds(self._stat), _own_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        busy, elapsed = _busy_seconds(self._stat), time.monotonic() - self._start
        if busy is not None and self._busy is not None and elapsed > 0:
            self.other_load = max(0.0, (busy - self._busy - (_own_seconds() - self._own)) / elapsed)


def current_load(seconds: float = 0.3, stat: Path = STAT) -> float | None:
    """Cores that other programs keep busy now, looked at for ``seconds``; None where the kernel does not tell."""
    with LoadWatch(stat) as watch:
        time.sleep(seconds)
    return watch.other_load


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _busy_seconds(stat: Path) -> float | None:
    """Seconds in which cores did anything, since the machine started, summed over cores."""
    try:
        label, *ticks = stat.read_text(encoding="ascii", errors="replace").splitlines()[0].split()
        counted = [int(tick) for tick in ticks]
        user, nice, system, _idle, _waiting, interrupts, soft, steal = counted[:8]
    except (OSError, ValueError, IndexError):
        return None
    busy = user + nice + system + interrupts + soft + steal
    return busy / os.sysconf("SC_CLK_TCK") if label == "cpu" else None
