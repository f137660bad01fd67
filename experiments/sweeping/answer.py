"""What a sweep answers: how every member stands, and the comparison of those that are complete."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rlprune.errors import RlpruneError
from rlprune.experiments.comparing.comparison import Comparison, compare_runs
from rlprune.experiments.runs.tables import print_table
from rlprune.experiments.settings.result_configs import CompareConfig
from rlprune.experiments.sweeping.folder import STATES, StudyFolder

SCHEMA = "rlprune-sweep/1"


@dataclass(frozen=True)
class MemberState:
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
        members: its members, in its order.
        comparison: of the members that are complete, if there are any.
        note: why there is no comparison, where there should be one.
        dry_run: whether nothing was to be run.
    """

    study: str
    out: str
    members: list[MemberState]
    comparison: Comparison | None
    note: str | None
    dry_run: bool

    @property
    def exit_code(self) -> int:
        """1 where a member is not complete, although it was to be."""
        return int(not self.dry_run and any(member.state != "complete" for member in self.members))

    def counts(self) -> dict[str, int]:
        """How many members stand how."""
        found = Counter(member.state for member in self.members)
        return {state: found[state] for state in STATES}

    def as_dict(self) -> dict[str, object]:
        """Plain values."""
        return {
            "schema": SCHEMA,
            "study": self.study,
            "out": self.out,
            "counts": self.counts(),
            "members": [asdict(member) for member in self.members],
            "comparison": None if self.comparison is None else self.comparison.as_dict(),
            "note": self.note,
        }

    def show(self) -> None:
        """Print the comparison, then what failed; of a dry run all members."""
        if self.dry_run:
            cells = [[member.name, member.state] for member in self.members]
            print_table(f"Study {self.study} in {self.out}", ["member", "state"], cells)
            profiles = dict.fromkeys(member.missing_profile for member in self.members if member.state != "complete")
            for path in filter(None, profiles):
                print(f"To be measured first: {path}")
        if self.comparison is not None:
            self.comparison.show()
        if self.note is not None:
            print(f"There is no comparison: {self.note}")
        for member in self.members:
            if member.error is not None:
                print(f"Failed: {member.name}: {member.error}" + (f" (see {member.log})" if member.log else ""))
        told = ", ".join(f"{count} {state}" for state, count in self.counts().items() if count)
        print(f"Study {self.study}: {told}. Folder: {self.out}")
        if any(member.state == "failed" for member in self.members):
            print("Members that failed are run again with --retry.")


def compared(folder: StudyFolder, complete: Sequence[MemberState]) -> tuple[Comparison | None, str | None]:
    """The comparison of complete members, made anew in ``comparison/`` of the study; or why there is none."""
    if not complete:
        return None, None
    out = folder.path / "comparison"
    try:
        shutil.rmtree(out, ignore_errors=True)
        return compare_runs(CompareConfig(runs=[member.run for member in complete], out=str(out))), None
    except RlpruneError as reason:
        return None, str(reason)
