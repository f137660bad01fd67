"""The run folder: everything a training produced and all that is needed to reproduce it."""

from __future__ import annotations

import datetime
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from rlprune.errors import RunError
from rlprune.experiments.config import as_dict, from_dict
from rlprune.experiments.result_shape import checked_result
from rlprune.experiments.run_config import TrainConfig
from rlprune.experiments.yaml_file import read_yaml
from rlprune.files import check_tree, plain_name, read_json, read_text, write_atomic, write_json

SCHEMA = "rlprune-run/1"
STATUS, CONFIG, RESULT, PLAN, PROFILE, REPORT = (
    "status.json",
    "config.yaml",
    "result.json",
    "plan.json",
    "profile.json",
    "report.md",
)
COMMAND = "command.txt"
MAX_COMMAND_BYTES = 2**16
MALFORMED = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What a file with well-formed values that do not belong together can lead to."""


def check_free(path: str | Path) -> None:
    """Refuse a folder that cannot be written or is not empty. Nothing is left behind.

    Raises:
        RunError: it says which.
    """
    path = Path(path)
    missing = [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
    try:
        if not missing:
            _check_empty(path)
        for folder in reversed(missing):
            folder.mkdir()
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as reason:
        why = reason.strerror or reason
        raise RunError(f"Cannot write to {path}: {why}. Choose another folder with --out.") from reason
    finally:
        for folder in missing:
            if folder.is_dir():
                folder.rmdir()


def _check_empty(path: Path) -> None:
    if not path.is_dir():
        raise RunError(f"The output must be a folder; {path} is a file. Choose another with --out.")
    if any(path.iterdir()):
        status = path / STATUS
        held = f"another run ({_state(status)})" if status.is_file() else "other files"
        raise RunError(f"The output folder must be new or empty; {path} holds {held}. Choose another with --out.")


def _state(status: Path) -> str:
    try:
        return str(read_json(status, RunError).get("status", "unknown"))[:80]
    except RunError:
        return "unreadable"


def _refuse_links(path: Path) -> None:
    """What is read and written stays in the folder: a run has no links, so one from outside that has is no run."""
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            if (Path(folder) / name).is_symlink():
                raise RunError(f"A run folder must hold no links; {Path(folder) / name} is one. Replace it by the file.")


class RunFolder:
    """One run on disk. Every file is written whole or not at all.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @classmethod
    def create(cls, path: str | Path, config: TrainConfig, command: str, versions: Mapping[str, Any]) -> RunFolder:
        """A new run with its settings, command line and versions.

        Raises:
            RunError: the folder is not empty, or cannot be written.
        """
        check_free(path)
        run = cls(path)
        run.set_status("running")
        run.write_text(CONFIG, yaml.safe_dump(as_dict(config), sort_keys=False))
        run.write_text(COMMAND, command + "\n")
        run.write_json("versions.json", versions)
        return run

    @classmethod
    def open(cls, path: str | Path, *needed: str) -> RunFolder:
        """A run that was finished.

        Args:
            needed: files that must be there.

        Raises:
            RunError: there is no run, it was not finished, a file is missing, or a link leads out of the folder.
        """
        run = cls(path)
        _refuse_links(run.path)
        if not (run.path / STATUS).is_file():
            raise RunError(f"{path} is no run folder: it has no {STATUS}. Give the folder that `rlprune train` wrote.")
        status = read_json(run.path / STATUS, RunError)
        if status.get("schema") != SCHEMA:
            raise RunError(f"{path} must have schema {SCHEMA!r}; {status.get('schema')!r:.80} came.")
        if status.get("status") != "complete":
            raise RunError(
                f"The run in {path} is not complete ({status.get('status')!s:.80}). Train again into a new folder."
            )
        for name in needed:
            if not (run.path / name).is_file():
                raise RunError(f"The run in {path} has no {name}, which is needed here.")
        return run

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Note in the status file how the block ended: complete, interrupted or failed."""
        try:
            yield
        except KeyboardInterrupt:
            self.set_status("interrupted")
            raise
        except BaseException:
            self.set_status("failed")
            raise
        self.set_status("complete")

    def set_status(self, status: str) -> None:
        """Write the status file."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self.write_json(STATUS, {"schema": SCHEMA, "status": status, "time": now})

    def config(self) -> TrainConfig:
        """The settings of the run.

        Raises:
            RunError: they cannot be read.
            ConfigError: they hold something that is no setting.
        """
        return from_dict(TrainConfig, read_yaml(self.path / CONFIG, RunError))

    def result(self) -> dict[str, Any]:
        """The content of ``result.json``.

        Raises:
            RunError: it is missing, or does not hold what a result holds.
        """
        return checked_result(read_json(self.path / RESULT, RunError), self.path / RESULT)

    def command(self) -> str:
        """The command line of the run. Raises as :meth:`result`."""
        text = read_text(self.path / COMMAND, RunError, MAX_COMMAND_BYTES).strip()
        check_tree(text, str(self.path / COMMAND), RunError)
        return text

    def episodes(self, method: str) -> Path:
        """The file of a method's episodes.

        Raises:
            RunError: the name of the method cannot stand in the name of a file.
        """
        return self.path / f"episodes-{plain_name(method, RunError)}.csv"

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file of the run."""
        return write_atomic(self.path / name, text, RunError)

    def write_json(self, name: str, value: Any) -> Path:
        """Write a JSON file of the run."""
        return write_json(self.path / name, value, RunError)
