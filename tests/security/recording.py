"""The run that is spoilt: recorded once, so that every machine and every day spoils the same bytes.

    python -m tests.security.recording

trains it again, in the root of the repository, where the format of a run has changed.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.experiments.conftest import make_workplace, train_quickly

RECORDED = Path(__file__).parent / "recorded"
LEFT_OUT = ("tensorboard", "pictures", "report.*", "front.json", "pruned.*", ".lock", "versions.json")
"""What no reader that is tested here needs."""


def record(run: Path, folder: Path = RECORDED) -> None:
    """Replace the recorded run by another one."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))


def keys_of(tree: Any, depth: int = 2) -> set[str]:
    """Names in a JSON tree, as paths of at most so many; those in entries of a list are told together."""
    if isinstance(tree, list):
        return set().union(*(keys_of(value, depth) for value in tree))
    if not isinstance(tree, dict) or not depth:
        return set()
    below = {f"{key}/{name}" for key, value in tree.items() for name in keys_of(value, depth - 1)}
    return below | tree.keys()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        record(train_quickly(make_workplace(Path(folder))).path)
