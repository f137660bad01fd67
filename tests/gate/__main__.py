"""``python -m tests.gate``."""

from __future__ import annotations

import argparse
import fnmatch
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.gate.cases import Case, small_cases, whole_cases
from tests.gate.comparing import differences
from tests.gate.running import RUNS, command, read_cases, run_cases, write_cases


def main(argv: Sequence[str] | None = None) -> int:
    """Record or replay; 1 where something differs."""
    options = _parser().parse_args(argv)
    print(f"Program: {command()}")
    return int((record if options.verb == "record" else replay)(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.gate", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    recording = verbs.add_parser("record", help="run the cases that FOLDER does not hold yet")
    recording.add_argument("--small", action="store_true", help="a few minutes' worth of cases instead of hours")
    replaying = verbs.add_parser("replay", help="run the cases of FOLDER again and compare; exit code 1: one differs")
    replaying.add_argument(
        "--old", action="store_true", help="make no runs: report, compare, validate, apply, ... read the recorded ones"
    )
    replaying.add_argument("--pages", action="store_true", help="compare reports and pictures too")
    replaying.add_argument("--work", type=Path, help="folder for the new runs, kept; cases it holds are not run again")
    for verb in (recording, replaying):
        verb.add_argument("folder", type=Path, metavar="FOLDER")
        verb.add_argument("--only", default="*", metavar="PATTERN", help="such as 'refused-*', and what these read")
        verb.add_argument("--jobs", type=int, default=1, metavar="N", help="cases at the same time")
    return parser


def record(options: argparse.Namespace) -> int:
    """Run what is missing in the folder."""
    cases = small_cases() if options.small else whole_cases()
    write_cases(options.folder, cases)
    run_cases(options.folder.resolve(), _chosen(cases, options.only), options.jobs, _tell)
    return 0


def replay(options: argparse.Namespace) -> int:
    """Run the cases of a recording again, and tell what differs."""
    old = options.folder.resolve()
    new = Path(tempfile.mkdtemp(prefix="gate-")) if options.work is None else options.work.resolve()
    cases = _chosen(read_cases(old), options.only)
    if options.old:
        readers = [case for case in cases if case.needs]
        for name in {name for case in readers for name in case.needs}:
            shutil.copytree(old / RUNS / name, new / RUNS / name, dirs_exist_ok=True)
        cases = readers
    run_cases(new, cases, options.jobs, _tell)
    found = {case.name: differences(case, old, new, options.pages) for case in cases}
    width = max(map(len, found), default=0)
    print()
    for name, lines in found.items():
        print(f"{name:<{width}}  {f'DIFFERS in {len(lines)}' if lines else 'equal'}")
        for line in lines[:5]:
            print(f"{'':<{width}}    {line}")
    differing = sum(map(bool, found.values()))
    print(f"{len(found) - differing} of {len(found)} cases are equal.")
    if differing:
        print(f"Recorded: {old}\nNew:      {new}")
    elif options.work is None:
        shutil.rmtree(new)
    return int(differing > 0)


def _chosen(cases: list[Case], pattern: str) -> list[Case]:
    names = {case.name for case in cases if fnmatch.fnmatch(case.name, pattern)}
    needed = {name for case in cases if case.name in names for name in case.needs}
    return [case for case in cases if case.name in names | needed]


def _tell(case: Case, seconds: float) -> None:
    print(f"{case.name} {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
