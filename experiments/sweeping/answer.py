"""What a sweep answers: how every member stands, and the comparison of those that are complete."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rlprune.errors import RlpruneError, RunError
from rlprune.experiments.comparing.comparison import Comparison, compare_runs
from rlprune.experiments.runs.tables import print_table
from rlprune.experiments.settings.verb_configs import CompareConfig
from rlprune.experiments.sweeping.folder import STATES, StudyFolder

SCHEMA = "rlprune-sweep/1"


@dataclass(frozen=True)
class Entry:
    """One member.

    Attributes:
        name: of the member.
        state: ``complete``, ``failed``, ``interrupted`` or ``missing``.
        run: its folder.
        missing_profile: the profile that must be measured before it.
        error: why it failed.
        log: what it said, where it said something.
    """

    name: str
    state: str
    run: str
    missing_profile: str | None
    error: str | None
    log: str | None


@dataclass(frozen=True, eq=False)
class SweepAnswer:
    """A study and how far it is.

    Attributes:
        study: its name.
        out: its folder.
        entries: its members, in its order.
        comparison: of the members that are complete, if there are any.
        note: why there is no comparison, where there should be one.
        dry_run: whether nothing was to be run.
    """

    study: str
    out: str
    entries: list[Entry]
    comparison: Comparison | None
    note: str | None
    dry_run: bool

    @property
    def exit_code(self) -> int:
        """1 where a member is not complete, although it was to be."""
        return int(not self.dry_run and any(entry.state != "complete" for entry in self.entries))

    def counts(self) -> dict[str, int]:
        """How many members stand how."""
        found = Counter(entry.state for entry in self.entries)
        return {state: found[state] for state in STATES}

    def as_dict(self) -> dict[str, object]:
        """Plain values."""
        return {
            "schema": SCHEMA,
            "study": self.study,
            "out": self.out,
            "counts": self.counts(),
            "members": [asdict(entry) for entry in self.entries],
            "comparison": None if self.comparison is None else self.comparison.as_dict(),
            "note": self.note,
        }

    def show(self) -> None:
        """Print the comparison, then what failed; of a dry run all members."""
        if self.dry_run:
            print_table(f"Study {self.study} in {self.out}", ["member", "state"], self._cells())
            profiles = dict.fromkeys(entry.missing_profile for entry in self.entries if entry.state != "complete")
            for path in filter(None, profiles):
                print(f"To be measured first: {path}")
        if self.comparison is not None:
            self.comparison.show()
        if self.note is not None:
            print(f"There is no comparison: {self.note}")
        for entry in self.entries:
            if entry.error is not None:
                print(f"Failed: {entry.name}: {entry.error}" + (f" (see {entry.log})" if entry.log else ""))
        print(f"Study {self.study}: {self._told()}. Folder: {self.out}")
        if any(entry.state == "failed" for entry in self.entries):
            print("Members that failed are run again with --retry.")

    def _cells(self) -> list[list[str]]:
        return [[entry.name, entry.state] for entry in self.entries]

    def _told(self) -> str:
        return ", ".join(f"{count} {state}" for state, count in self.counts().items() if count)


def compared(folder: StudyFolder, complete: Sequence[Entry]) -> tuple[Comparison | None, str | None]:
    """The comparison of complete members, written into ``comparison/`` of the study; or why there is none."""
    if not complete:
        return None, None
    out = folder.path / "comparison"
    try:
        found = compare_runs(CompareConfig(runs=[entry.run for entry in complete]))
        _replace(found, out)
    except RlpruneError as reason:
        return None, str(reason)
    return replace(found, out=str(out)), None


def _replace(found: Comparison, out: Path) -> None:
    """Write all files anew, then put them in the place of the old ones."""
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as made:
            staged = Path(made) / out.name
            staged.mkdir()
            found.write(staged)
            shutil.rmtree(out, ignore_errors=True)
            staged.rename(out)
    except OSError as reason:
        raise RunError(f"Cannot write {out}: {reason.strerror or reason}.") from reason
