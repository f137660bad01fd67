"""Profiles that ship: measured on one machine each, which they describe and no other.

A file is named ``MACHINE-RUNTIME--NETWORK.json``; ``MACHINE-RUNTIME--layers.json`` fits other networks made of the same
kinds of layers. The script ``rlprune.experiments.benchmarks.ready_profiles`` measures them.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
SEPARATOR = "--"
LAYERS = "layers"


def ready_names(folder: Path = FOLDER) -> list[str]:
    """What may stand behind ``ready:``, sorted."""
    return sorted({path.stem.partition(SEPARATOR)[0] for path in folder.glob(f"*{SEPARATOR}*.json")})


def ready_files(name: str, folder: Path = FOLDER) -> dict[str, Path]:
    """Network (or ``layers``) -> file of one machine and runtime; the layers come last."""
    found = {path.stem.partition(SEPARATOR)[2]: path for path in sorted(folder.glob(f"{name}{SEPARATOR}*.json"))}
    return dict(sorted(found.items(), key=lambda item: item[0] == LAYERS))
