"""The folder of a study: its runs, profiles and logs, and how far it is."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, lock_descriptor

from rlprune.errors import RunError
from rlprune.experiments.pipeline.progress import Progress
from rlprune.experiments.runs.free_folder import STATUS
from rlprune.experiments.runs.run_folder import RunFolder
from rlprune.experiments.settings.options import as_dict
from rlprune.experiments.settings.verb_configs import TrainConfig
from rlprune.experiments.sweeping.study import Study, Values, differences
from rlprune.support.files import read_json, write_atomic, write_json

FAILURE = "rlprune-failure/1"
LOCK, MEMBERS_LOCK, HOLDER = ".lock", ".members.lock", ".sweep.json"
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

    def check(self, name: str, settings: TrainConfig) -> None:
        """Refuse a run that stands in the place of a member and has other settings.

        Args:
            settings: those the member is run with.

        Raises:
            RunError: it has, or is no run at all.
        """
        path = self.run(name)
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
        """Ours while the block runs.

        Yields a descriptor for the members to inherit. It is locked too, until the last of them has ended: members of a
        sweep that was killed are waited for.

        Raises:
            RunError: another sweep works on it, or it cannot be written.
        """
        with ExitStack() as stack:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                stack.enter_context(FileLock(self.path / LOCK, timeout=0))
                inherited = stack.enter_context((self.path / MEMBERS_LOCK).open("wb")).fileno()
                _wait_for_members(inherited, progress)
            except TimeoutError as reason:
                raise RunError(
                    f"One sweep at a time works on a study; {self.path} is in use ({self._holder()}). Wait for it, or "
                    "choose another folder with --out."
                ) from reason
            except (OSError, NotImplementedError) as reason:
                raise RunError(
                    f"Cannot write to {self.path}: {getattr(reason, 'strerror', None) or reason}. Choose another --out."
                ) from reason
            write_json(self.path / HOLDER, {"pid": os.getpid(), "host": platform.node()}, RunError)
            yield inherited

    def _holder(self) -> str:
        try:
            return json.dumps(read_json(self.path / HOLDER, RunError))
        except RunError:
            return "by another process"


def _wait_for_members(handle: int, progress: Progress) -> None:
    until = time.monotonic() + PATIENCE_S
    if not lock_descriptor(handle, blocking=False):
        progress.note("Members of a sweep that was killed are still ending; waiting for them")
        while not lock_descriptor(handle, blocking=False):
            if time.monotonic() > until:
                raise TimeoutError
            time.sleep(0.1)


def _compared(config: TrainConfig) -> Values:
    """Settings that decide about the result. A profile of the study is the same wherever the study stands."""
    device = Path(config.device)
    named = f"profiles/{device.name}" if device.parent.name == "profiles" else config.device
    return {**{name: value for name, value in as_dict(config).items() if name not in ANY}, "device": named}
