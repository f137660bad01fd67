"""README and docs: links lead somewhere, commands are ones that there are, and the stories run as they stand."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlprune.experiments.cli import main
from tests import rooms
from tests.imports import ROOT, sources

PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "experiments").rglob("*.md")),
]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
SMALL = {
    "train": ["--episodes", "24", "--profile-plans", "24", "--profile-checks", "8", "--profile-samples", "60"],
    "search": ["--episodes", "24", "--profile-samples", "60"],
    "validate": ["--evaluations", "2", "--no-timing"],
    "apply": ["--samples", "60"],
}
"""What makes a verb quick; the last of a flag counts."""


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower().replace("`", "")).replace(" ", "-")


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in FENCED.findall(page.read_text(encoding="utf-8")) if kind == language]


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each ``rlprune`` command in the page's shell blocks."""
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0].endswith("rlprune"):
                yield words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]*(?:#[^)\s]*)?)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), f"{target} leads nowhere"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.M)
            assert anchor in map(slug, headings), f"{target}: no such heading"


def test_pages_name_files_that_there_are() -> None:
    made = {"mine.py"}
    every = [*sources(ROOT), *(ROOT / "tests").rglob("*.py")]
    files = [f"/{path.relative_to(ROOT).as_posix()}" for path in every]
    pages = [page for page in PAGES if page.name != "CHANGELOG.md"]  # tells of files that there were
    named = {name for page in pages for name in re.findall(r"`([\w/-]+\.py)`", page.read_text("utf-8"))} - made
    assert named
    assert {name for name in named if not any(file.endswith(f"/{name}") for file in files)} == set()


def test_code_names_pages_that_there_are() -> None:
    named = {name for path in sources(ROOT) for name in re.findall(r"docs/[\w/-]+\.md", path.read_text("utf-8"))}
    assert named
    assert {name for name in named if not (ROOT / name).is_file()} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_are_ones_that_there_are(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands(page):
        assert main([*words[1:], "--print-config"]) == 0, f"{shlex.join(words)}: {capsys.readouterr().err}"
    for block in blocks(page, "sh"):
        for module in re.findall(r"python -m ([\w.]+)", block):
            assert importlib.util.find_spec(module) is not None, module


def test_the_picture_of_the_rooms_is_drawn_from_the_imports() -> None:
    assert rooms.picture() in rooms.PAGE.read_text(encoding="utf-8"), "run: python -m tests.rooms"


def run_as_printed(page: Path, place: Path) -> None:
    """Run every command of a page in order, made quick, in a folder of its own."""
    programs = Path(sys.executable).parent
    for words in commands(page):
        if "--processes" in words or "--resume" in words:
            continue
        quick = [*words[1:], *SMALL.get(words[1], [])]
        done = subprocess.run([programs / "rlprune", *quick], cwd=place, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{shlex.join(words)}: {done.stderr[-2000:]}"


@pytest.mark.slow
def test_the_quickstart_runs_as_printed(tmp_path: Path) -> None:
    run_as_printed(ROOT / "docs" / "quickstart.md", tmp_path)


@pytest.mark.slow
def test_the_own_network_runs_as_printed(tmp_path: Path) -> None:
    page = ROOT / "docs" / "own-network.md"
    mine, from_python = blocks(page, "python")
    for name, code in (("mine.py", mine), ("from_python.py", from_python)):
        (tmp_path / name).write_text(code, encoding="utf-8")
        subprocess.run([sys.executable, name], cwd=tmp_path, check=True, timeout=600)
    run_as_printed(page, tmp_path)
    assert (tmp_path / "plan.json").is_file()
