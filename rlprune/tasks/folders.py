"""Where data sets lie on disk. Nothing is ever downloaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rlprune.errors import TaskError

DATA_VARIABLE = "RLPRUNE_DATA"


def find_file(folder: Path, name: str) -> Path | None:
    """``name`` or ``name.gz`` in ``folder``."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def find_folder(
    task: str,
    files: Sequence[str],
    data_dir: str | Path | None,
    *,
    inside: Sequence[str],
    otherwise: Sequence[str] = (),
    advice: str,
    bare: bool = True,
) -> Path:
    """The first folder that holds all of ``files``, each plain or gzipped.

    Looked for in ``data_dir`` alone where it is given; else in the folder that the environment variable RLPRUNE_DATA
    names, in ``data`` of the working folder, and in ``otherwise``.

    Args:
        task: for the message.
        files: names that must all be there.
        data_dir: a folder stated by the user.
        inside: sub-folders of each place that are tried as well.
        otherwise: folders where systems put this data set.
        advice: how to get the files.
        bare: whether the usual places may hold the files themselves, not only in one of ``inside``.

    Raises:
        TaskError: no such folder; it lists where was looked and how to get the files.
    """
    roots = [Path(data_dir)] if data_dir is not None else _usual_roots()
    within = ("", *inside) if bare or data_dir is not None else inside
    tried = [root / name for root in roots for name in within]
    if data_dir is None:
        tried += [Path(folder) for folder in otherwise]
    for folder in tried:
        if all(find_file(folder, name) for name in files):
            return folder
    looked = ", ".join(str(folder) for folder in tried)
    raise TaskError(f"Task {task!r} needs {', '.join(files)} in one folder; not found in {looked}. {advice}")


def _usual_roots() -> list[Path]:
    stated = os.environ.get(DATA_VARIABLE)
    return ([Path(stated)] if stated else []) + [Path("data")]
