"""The run folder: everything a training produced and all that is needed to reproduce it."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from rlprune.errors import RunError
from rlprune.experiments.runs.episodes import EpisodeTable, read_csv
from rlprune.experiments.runs.free_folder import STATUS, check_free
from rlprune.experiments.runs.result import Result, read_result
from rlprune.experiments.settings import commands
from rlprune.experiments.settings.options import as_dict, from_dict
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.experiments.settings.yaml_file import CONFIG, read_yaml
from rlprune.support.files import (
    plain_name,
    read_json,
    read_text,
    refuse_links,
    require_text,
    write_atomic,
    write_folder,
    write_json,
)

SCHEMA = "rlprune-run/1"
RESULT, PLAN, PROFILE, POLICY, REPORT, PAGE, FRONT = (
    "result.json",
    "plan.json",
    "profile.json",
    "policy.json",
    "report.md",
    "report.html",
    "front.json",
)
ONNX, TENSORS, COMPACT = NETWORKS = ("pruned.onnx", "pruned.safetensors", "pruned.compact.safetensors")
COMMAND = "command.txt"
MAX_COMMAND_BYTES = 2**16
LOCK = ".lock"
RESUMABLE = ("running", "interrupted", "failed")


def _status(status: str, **facts: Any) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    holder = {"pid": os.getpid(), "host": platform.node()} if status == "running" else {}
    return {"schema": SCHEMA, "status": status, "time": now, **holder, **facts}


class RunFolder:
    """One run on disk. Every file is written whole or not at all.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._folder: os.stat_result | None = None

    @classmethod
    @contextmanager
    def create(
        cls, path: str | Path, config: TrainConfig, command: str, versions: Mapping[str, Any]
    ) -> Iterator[RunFolder]:
        """A new run with its settings, command line and versions; it is ours while the block runs.

        Raises:
            RunError: the folder is not empty, is in use, or cannot be written.
        """
        check_free(path)
        settings = {name: value for name, value in as_dict(config).items() if name != "resume"}
        run = cls(path)
        write_folder(
            run.path,
            {
                CONFIG: yaml.safe_dump(settings, sort_keys=False),
                COMMAND: command + "\n",
                "versions.json": json.dumps(versions, indent=2) + "\n",
                STATUS: json.dumps(_status("running")) + "\n",
            },
            RunError,
        )
        with run._locked(), run._recording():
            yield run

    @classmethod
    @contextmanager
    def resume(cls, path: str | Path) -> Iterator[RunFolder]:
        """A run that was broken off, to go on with; it is ours while the block runs.

        What a process that was killed left half written is removed.

        Raises:
            RunError: there is no run, it is complete, another process works on it, or it cannot be written.
        """
        run = cls(path)
        run.state(*RESUMABLE)
        with run._locked():
            run.state(*RESUMABLE)  # whoever held the lock may have finished
            for left in run.path.rglob(".*.*"):
                if left.is_file() and not left.is_symlink():
                    left.unlink(missing_ok=True)
            with run._recording():
                yield run

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = FileLock(self.path / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout as reason:
            raise RunError(
                f"One process at a time works on a run; {self.path} is in use by {self._holder()}. Wait for it."
            ) from reason
        except (OSError, NotImplementedError) as reason:
            raise RunError(f"Cannot lock {self.path}: {reason}. Choose a folder that can be written.") from reason
        try:
            self._folder = os.stat(self.path)
            yield
        finally:
            lock.release()

    def _holder(self) -> str:
        try:
            status = read_json(self.path / STATUS, RunError)
        except RunError:
            return "another process"
        return f"process {status.get('pid')} on {status.get('host')} since {status.get('time')}"[:200]

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """Note in the status file that the run goes on, and how it ended: complete, interrupted or failed."""
        self.set_status("running")
        try:
            yield
        except KeyboardInterrupt:
            self._note_end("interrupted")
            raise
        except BaseException as reason:
            self._note_end("failed", reason=f"{type(reason).__name__}: {reason}")
            raise
        self.set_status("complete")
        with suppress(OSError):  # nobody works on a complete run, so nobody misses its lock
            (self.path / LOCK).unlink()

    def _note_end(self, status: str, **facts: Any) -> None:
        with suppress(RunError):  # what ended the run is told, not that its folder cannot be written
            self.set_status(status, **facts)

    def set_status(self, status: str, **facts: Any) -> None:
        """Write the status file."""
        self.write_json(STATUS, _status(status, **facts))

    def state(self, *wanted: str) -> str:
        """How the run stands: running (or killed meanwhile), complete, interrupted or failed.

        Args:
            wanted: the states that will do.

        Raises:
            RunError: there is no run, it stands otherwise, or a link leads out of the folder.
        """
        require_text(self.path, RunError)
        refuse_links(self.path, RunError)
        if not (self.path / STATUS).is_file():
            why = f"it has no {STATUS}" if self.path.exists() else "it is not there"
            raise RunError(f"{self.path} is no run folder: {why}. Give the folder that `rlprune train` wrote.")
        status = read_json(self.path / STATUS, RunError)
        if status.get("schema") != SCHEMA:
            raise RunError(
                f"{self.path / STATUS} must have schema {SCHEMA!r}; {status.get('schema')!r:.80} came. Another version "
                "of rlprune wrote it: use that one."
            )
        state = str(status.get("status"))
        if state in wanted:
            return state
        if state == "complete":
            raise RunError(f"The run in {self.path} is complete: nothing is left to do. See {self.path / REPORT}.")
        if state not in RESUMABLE:
            states = ", ".join((*RESUMABLE, "complete"))
            raise RunError(f"{self.path / STATUS} must hold one of {states}; {state!r:.80} came. Train again.")
        told = "still running, or was killed" if state == "running" else state
        raise RunError(f"The run in {self.path} is not complete ({told}). Continue it: {commands.resume(self.path)}")

    @classmethod
    def open(cls, path: str | Path, *needed: str) -> RunFolder:
        """A run that was finished.

        Args:
            needed: files that must be there.

        Raises:
            RunError: there is no run, it was not finished, a file is missing, or a link leads out of the folder.
        """
        run = cls(path)
        run.state("complete")
        for name in needed:
            if not (run.path / name).is_file():
                raise RunError(f"The run in {path} has no {name}, which is needed here. Train again.")
        return run

    def config(self) -> TrainConfig:
        """The settings of the run.

        Raises:
            RunError: they cannot be read.
            ConfigError: they hold something that is no setting.
        """
        return from_dict(TrainConfig, read_yaml(self.path / CONFIG, RunError), f"{self.path / CONFIG}: ")

    def result(self) -> Result:
        """The content of ``result.json``.

        Raises:
            RunError: it is missing, or does not hold what a result holds.
        """
        return read_result(self.path / RESULT)

    def command(self) -> str:
        """The command line of the run. Raises as :meth:`result`."""
        return read_text(self.path / COMMAND, RunError, MAX_COMMAND_BYTES).strip()

    def episodes(self, method: str) -> Path:
        """The file of a method's episodes.

        Raises:
            RunError: the name of the method cannot stand in the name of a file.
        """
        return self.path / f"episodes-{plain_name(method, RunError)}.csv"

    def episode_tables(self, methods: Iterable[str]) -> dict[str, EpisodeTable]:
        """Method to its table of episodes.

        Raises:
            RunError: a table is missing or malformed.
        """
        return {method: read_csv(self.episodes(method)) for method in methods}

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file of the run."""
        self.check_there()
        return write_atomic(self.path / name, text, RunError)

    def write_json(self, name: str, value: Any) -> Path:
        """Write a JSON file of the run."""
        self.check_there()
        return write_json(self.path / name, value, RunError)

    def check_there(self) -> None:
        """Refuse to go on where the folder was removed while the run was going on.

        Raises:
            RunError: see above.
        """
        if self._folder is None:
            return
        try:
            same = os.path.samestat(self._folder, os.stat(self.path))
        except OSError:
            same = False
        if not same:
            raise RunError(
                f"A run folder must stay where it is; {self.path} was removed or replaced while the run was going on. "
                "Start again with another --out."
            )
