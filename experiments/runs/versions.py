"""What a run was made with."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import rlprune

PACKAGES = (
    "torch",
    "numpy",
    "gymnasium",
    "stable-baselines3",
    "onnx",
    "onnxruntime",
    "openvino",
    "optuna",
    "safetensors",
    "tensorboard",
)


def versions() -> dict[str, str | int | None]:
    """Python, this project and its commit, the libraries it stands on, platform, processor, cores, memory and GPU."""
    from rlprune.devices.host import cpu_model, gpu_driver, gpu_name, memory_bytes, operating_system, usable_cores

    return {
        "rlprune": rlprune.__version__,
        "commit": commit(),
        "python": sys.version.split()[0],
        **{name: _installed(name) for name in PACKAGES},
        "platform": platform.platform(terse=True),
        "operating_system": operating_system(),
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "memory_bytes": memory_bytes(),
        "gpu": gpu_name(),
        "gpu_driver": gpu_driver(),
    }


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit() -> str | None:
    """The commit this project is run from, with ``+changes`` where files differ; None outside a git checkout."""
    folder = Path(rlprune.__file__).resolve().parents[1]
    if not (folder / ".git").exists() or shutil.which("git") is None:
        return None
    head = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{head}+changes" if head and changed else head


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
