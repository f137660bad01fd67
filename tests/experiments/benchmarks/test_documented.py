"""Every command of a benchmark that the documentation prints is one that the benchmark understands."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

from rlprune.experiments.benchmarks.harness import Benchmark, Case

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = sorted((ROOT / "experiments" / "benchmarks").glob("*.py"))
MODULE = "rlprune.experiments.benchmarks"
COMMAND = re.compile(rf"python -m {re.escape(MODULE)}\.([a-z]\w*)((?:\\\n|[^`#\n]|\n(?=[^\n`]*`))*)")
FOR_EXAMPLE = {"NETWORK": "digits-resnet", "BUDGET": "macs=0.5", "SHARE": "0.1", "NAME": "digits-resnet"}


def commands(path: Path) -> list[tuple[str, list[str]]]:
    """Benchmark and arguments of every command in a file, placeholders filled in."""
    text = path.read_text(encoding="utf-8")
    found = [
        (name, shlex.split(re.sub(r"\\+\n", " ", rest).replace("\\\\", ""))) for name, rest in COMMAND.findall(text)
    ]
    return [(name, [filled(word) for word in words]) for name, words in found]


def filled(word: str) -> str:
    for placeholder, value in FOR_EXAMPLE.items():
        word = re.sub(rf"\b{placeholder}$", value, word)
    return word


@pytest.mark.parametrize("path", [path for path in (*PAGES, *SCRIPTS) if commands(path)], ids=lambda path: path.name)
def test_documented_commands_are_understood(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_check(benchmark: Benchmark, options: Case) -> None:
        benchmark.check(options)

    monkeypatch.setattr(Benchmark, "_execute", only_check)
    for name, words in commands(path):
        script = importlib.import_module(f"{MODULE}.{name}")
        if name == "ready_profiles":
            monkeypatch.setattr(script, "execute", lambda options: None)
        assert script.main(words) == 0, (name, words)
