"""Lines of Python by room, and the difference to another commit.

python -m tests.lines           # of the working tree
python -m tests.lines COMMIT    # and what has changed since
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("rlprune", "envs", "agents", "experiments", "tests")


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def room_of(path: str) -> str:
    """The folder of the first two levels that a file stands in; tests are one room."""
    parts = Path(path).parts[:-1]
    return parts[0] if parts[0] == "tests" else "/".join(parts[:2])


def lines_by_room(paths: Sequence[str], read: Callable[[str], str]) -> Counter[str]:
    """Lines of the Python files among ``paths``; what else lies there does not count."""
    counted: Counter[str] = Counter()
    for path in paths:
        if path.endswith(".py") and Path(path).parts[0] in FOLDERS:
            counted[room_of(path)] += read(path).count("\n")
    return counted


def now() -> Counter[str]:
    paths = git("ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    files = [path for path in paths if (ROOT / path).is_file() and not (ROOT / path).is_symlink()]
    return lines_by_room(files, lambda path: (ROOT / path).read_text(encoding="utf-8"))


def then(commit: str) -> Counter[str]:
    return lines_by_room(
        git("ls-tree", "-r", "--name-only", commit).splitlines(), lambda path: git("show", f"{commit}:{path}")
    )


def table(new: Counter[str], old: Counter[str] | None) -> str:
    """A Markdown table with a line for each room, then for the product, then for the tests."""
    rooms = sorted(new.keys() | (old or {}).keys(), key=lambda room: (FOLDERS.index(room.partition("/")[0]), room))
    product = [room for room in rooms if room != "tests"]
    sums = [("**product**", product), *([("tests", ["tests"])] if "tests" in rooms else [])]
    lines = ["| room | lines | before | change |", "|---|---:|---:|---:|"]
    for name, parts in [*((room, [room]) for room in product), *sums]:
        count = sum(new[part] for part in parts)
        if old is None:
            lines.append(f"| {name} | {count} | | |")
        else:
            before = sum(old[part] for part in parts)
            lines.append(f"| {name} | {count} | {before} | {count - before:+d} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(now(), then(sys.argv[1]) if len(sys.argv) > 1 else None))
