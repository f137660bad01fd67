"""Cases are run, each in a process of its own, and what they answered is kept."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.gate.cases import Case

CASES, ANSWERS, RUNS = "cases.json", "answers", "runs"


def command() -> Path:
    """The program ``rlprune`` of this Python's environment."""
    path = Path(sys.executable).parent / "rlprune"
    if not path.is_file():
        raise SystemExit(f"There is no {path}: install the project in this environment.")
    return path


def answer_file(folder: Path, case: Case) -> Path:
    """Where the exit code and the printed text of a case are kept."""
    return folder / ANSWERS / f"{case.name}.json"


def run_case(folder: Path, case: Case) -> float:
    """Run a case in ``folder``, and return the seconds it took."""
    began = time.monotonic()
    out = folder / RUNS / case.name
    shutil.rmtree(out, ignore_errors=True)
    if case.copy_of is not None:
        shutil.copytree(folder / RUNS / case.copy_of, out)
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120", "TERM": "dumb"}
    done = subprocess.run(
        [command(), *case.arguments], cwd=folder, env=surroundings, capture_output=True, encoding="utf-8", check=False
    )
    answer = {"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
    path = answer_file(folder, case)
    path.with_suffix(".new").write_text(json.dumps(answer, indent=1))
    path.with_suffix(".new").replace(path)
    return time.monotonic() - began


def run_cases(folder: Path, cases: Iterable[Case], jobs: int, tell: Callable[[Case, float], None]) -> None:
    """Run cases that were not run yet; those that read runs of others come last."""
    for name in (ANSWERS, RUNS):
        (folder / name).mkdir(parents=True, exist_ok=True)
    missing = [case for case in cases if not answer_file(folder, case).exists()]
    with ThreadPoolExecutor(jobs) as pool:
        for stage in ([c for c in missing if not c.needs], [c for c in missing if c.needs]):
            for case, seconds in zip(stage, pool.map(lambda case: run_case(folder, case), stage), strict=True):
                tell(case, seconds)


def write_cases(folder: Path, cases: Iterable[Case]) -> None:
    """Keep what a recording consists of."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CASES).write_text(json.dumps([dataclasses.asdict(case) for case in cases], indent=1) + "\n")


def read_cases(folder: Path) -> list[Case]:
    """The cases of a recording that were run."""
    if not (folder / CASES).is_file():
        raise SystemExit(f"{folder} is no recording: it has no {CASES}. Record one first.")
    cases = []
    for values in json.loads((folder / CASES).read_text()):
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        cases.append(Case(**{**values, **lists}))
    return [case for case in cases if answer_file(folder, case).exists()]
