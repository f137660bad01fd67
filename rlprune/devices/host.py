"""What this machine is called in a profile."""

from __future__ import annotations

import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


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
    """Such as ``Linux 6.8 x86_64``."""
    release = ".".join(platform.release().split(".")[:2])
    return f"{platform.system()} {release} {platform.machine()}"
