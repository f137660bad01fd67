"""Entries of several runs in one folder for TensorBoard: each method and seed once, whatever run it stands in."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rlprune.errors import RunError
from rlprune.experiments.tensorboard.events import FOLDER, entry_name

EVENTS = "events.out.tfevents.*"


@dataclass(frozen=True)
class JoinedEntry:
    """A method of a finished run, and what it is called beside those of other runs."""

    run: Path
    method: str
    seed: int
    label: str


def join_entries(entries: Iterable[JoinedEntry], folder: Path) -> None:
    """Copy the event files of runs into ``folder``; of entries of one name the first, and no run's entry twice.

    Args:
        folder: gets a folder ``LABEL-seedN`` for each entry. What runs do not hold is left out.

    Raises:
        RunError: a file cannot be read or written.
    """
    names: set[str] = set()
    sources: set[Path] = set()
    for entry in entries:
        name = entry_name(re.sub(r"[^\w.=@-]+", "-", entry.label), entry.seed)
        source = entry.run / FOLDER / entry_name(entry.method, entry.seed)
        files = [path for path in sorted(source.glob(EVENTS)) if path.is_file() and not path.is_symlink()]
        if files and name not in names and source not in sources:
            _copy(files, folder / name)
            names.add(name)
            sources.add(source)


def _copy(files: Iterable[Path], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in files:
            shutil.copyfile(path, folder / path.name)
    except OSError as reason:
        raise RunError(f"Cannot write to {folder}: {reason.strerror or reason}.") from reason
