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
from rlprune.experiments.run_config import TrainConfig
from rlprune.files import read_json, write_atomic, write_json

SCHEMA = "rlprune-run/1"
STATUS, CONFIG, RESULT, PLAN, PROFILE, REPORT = (
    "status.json",
    "config.yaml",
    "result.json",
    "plan.json",
    "profile.json",
    "report.md",
)
MAX_CONFIG_BYTES = 2**20


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
        return str(read_json(status, RunError).get("status", "unknown"))
    except RunError:
        return "unreadable"


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
        run.write_text("command.txt", command + "\n")
        run.write_json("versions.json", versions)
        return run

    @classmethod
    def open(cls, path: str | Path, *needed: str) -> RunFolder:
        """A run that was finished.

        Args:
            needed: files that must be there.

        Raises:
            RunError: there is no run, it was not finished, or a file is missing.
        """
        run = cls(path)
        if not (run.path / STATUS).is_file():
            raise RunError(f"{path} is no run folder: it has no {STATUS}. Give the folder that `rlprune train` wrote.")
        status = read_json(run.path / STATUS, RunError)
        if status.get("schema") != SCHEMA:
            raise RunError(f"{path} must have schema {SCHEMA!r}; {status.get('schema')!r} came.")
        if status.get("status") != "complete":
            raise RunError(
                f"The run in {path} is not complete ({status.get('status')}). Train again into a new folder."
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
        path = self.path / CONFIG
        try:
            text = path.read_text(encoding="utf-8")
            values = yaml.safe_load(text[:MAX_CONFIG_BYTES])
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as reason:
            raise RunError(f"Cannot read {path}: {reason}.") from reason
        if not isinstance(values, dict):
            raise RunError(f"{path} must hold settings by name; it holds {type(values).__name__}.")
        return from_dict(TrainConfig, values)

    def result(self) -> dict[str, Any]:
        """The content of ``result.json``."""
        return read_json(self.path / RESULT, RunError)

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file of the run."""
        return write_atomic(self.path / name, text, RunError)

    def write_json(self, name: str, value: Any) -> Path:
        """Write a JSON file of the run."""
        return write_json(self.path / name, value, RunError)
