"""The folder of a study: its runs, profiles and logs, and how far it is."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rlprune.errors import RunError
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.runs.free_folder import STATUS
from rlprune.experiments.runs.run_folder import RunFolder
from rlprune.experiments.settings.options import as_dict
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.experiments.sweeping.study import Member, Settings, Study, differences
from rlprune.support.files import read_json, write_atomic, write_json

FAILURE = "rlprune-failure/1"
LOCK = ".lock"
PATIENCE_S = 120.0
ANY = ("out", "resume", "workers")
"""Settings on which no result depends."""
STATES = ("complete", "failed", "interrupted", "missing")


class StudyFolder:
    """Where a study is kept: ``study.yaml``, ``members/``, ``profiles/``, ``logs/``, ``failed/``, ``comparison/``.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def run(self, name: str) -> Path:
        """The run folder of a member."""
        return self.path / "members" / name

    def profile(self, name: str) -> Path:
        """The file of a profile that members share."""
        return self.path / "profiles" / f"{name}.json"

    def log(self, name: str) -> Path:
        """What a piece of work said."""
        return self.path / "logs" / f"{name}.txt"

    def _failure(self, name: str) -> Path:
        return self.path / "failed" / f"{name}.json"

    def state(self, name: str) -> str:
        """How a member stands: one of ``STATES``.

        Raises:
            RunError: its folder holds something else, or cannot be read.
        """
        begun = (self.run(name) / STATUS).is_file()
        if begun and RunFolder(self.run(name)).state("complete", "running", "interrupted", "failed") == "complete":
            return "complete"
        if self._failure(name).is_file():
            return "failed"
        return "interrupted" if begun else "missing"

    def failure(self, name: str) -> str:
        """Why a member failed.

        Raises:
            RunError: the note cannot be read.
        """
        return str(read_json(self._failure(name), RunError).get("error"))

    def note_failure(self, name: str, error: str) -> None:
        """Remember that a member failed."""
        write_json(self._failure(name), {"schema": FAILURE, "member": name, "error": error}, RunError)

    def forget_failure(self, name: str) -> None:
        """Let a member that failed be run again."""
        self._failure(name).unlink(missing_ok=True)

    def keep(self, study: Study) -> None:
        """Write a copy of the study."""
        write_atomic(self.path / "study.yaml", study.text, RunError)

    def check(self, member: Member, settings: TrainConfig) -> None:
        """Refuse a run that stands in the place of a member and has other settings.

        Args:
            settings: those the member is run with.

        Raises:
            RunError: it has, or is no run at all.
        """
        path = self.run(member.name)
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return
        found = _compared(RunFolder(path).config())
        if wrong := differences(found, _compared(settings)):
            raise RunError(
                f"A study goes on where its members have the settings that it states; {path} and the study differ: "
                f"{wrong}. Remove that folder, or choose another with --out."
            )

    @contextmanager
    def locked(self, progress: Progress) -> Iterator[int]:
        """Ours while the block runs, and while any process lives that inherited the descriptor.

        Raises:
            RunError: another sweep works on it, or it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as reason:
            raise RunError(
                f"Cannot write to {self.path}: {reason.strerror or reason}. Choose another --out."
            ) from reason
        try:
            self._take(handle, progress)
            yield handle
        finally:
            os.close(handle)

    def _take(self, handle: int, progress: Progress) -> None:
        """Lock; what a sweep that was killed left running is waited for."""
        for attempt in range(int(PATIENCE_S * 10)):
            with suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.truncate(handle, 0)
                os.pwrite(handle, json.dumps({"pid": os.getpid(), "host": platform.node()}).encode(), 0)
                return
            if _is_held(holder := os.pread(handle, 1024, 0)):
                break
            if attempt == 0:
                progress.note("Members of a sweep that was killed are still ending; waiting for them")
            time.sleep(0.1)
        raise RunError(
            f"One sweep at a time works on a study; {self.path} is in use ({holder.decode(errors='replace')}). "
            "Wait for it, or choose another folder with --out."
        )


def _is_held(holder: bytes) -> bool:
    """Whether the sweep that noted itself lives, as far as can be told from here."""
    try:
        noted = json.loads(holder)
        if noted["host"] != platform.node():
            return True
        os.kill(int(noted["pid"]), 0)
    except ProcessLookupError:
        return False
    except (ValueError, KeyError, TypeError, OSError, OverflowError):
        return True
    return True


def _compared(config: TrainConfig) -> Settings:
    """Settings that decide about the result. A profile of the study is the same wherever the study stands."""
    device = Path(config.device)
    named = f"profiles/{device.name}" if device.parent.name == "profiles" else config.device
    return {**{name: value for name, value in as_dict(config).items() if name not in ANY}, "device": named}
