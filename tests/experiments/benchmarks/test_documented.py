"""Every command of a benchmark that a page or a script prints is one that the benchmark understands."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

from rlprune.experiments.benchmarks.harness import Benchmark, Case
from tests.imports import ROOT
from tests.test_docs import PAGES

MODULE = "rlprune.experiments.benchmarks"
SCRIPTS = sorted((ROOT / "experiments" / "benchmarks").glob("*.py"))
PRINTED = [
    re.compile(rf"`(?:python -m {re.escape(MODULE)}\.|\.\.\. )([a-z]\w*)([^`]*)`"),  # in a sentence, on one line or two
    re.compile(rf"^ *python -m {re.escape(MODULE)}\.(\w+)((?:\\\\?\n|[^#\n])*)", re.M),  # on lines of its own
]
FOR_EXAMPLE = {"NETWORK": "digits-resnet", "BUDGET": "macs=0.5", "SHARE": "0.1", "NAME": "digits-resnet"}


def commands(path: Path) -> list[tuple[str, list[str]]]:
    """Benchmark and arguments of every command in a file, placeholders filled in."""
    text = path.read_text(encoding="utf-8")
    found = [(name, re.sub(r"\\+\n", " ", words)) for form in PRINTED for name, words in form.findall(text)]
    return [(name, [filled(word) for word in shlex.split(words) if word != "..."]) for name, words in found]


def filled(word: str) -> str:
    for placeholder, value in FOR_EXAMPLE.items():
        word = re.sub(rf"\b{placeholder}$", value, word)
    return word


WITH_COMMANDS = [path for path in (*PAGES, ROOT / "CONTRIBUTING.md", *SCRIPTS) if commands(path)]


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=lambda path: path.name)
def test_documented_commands_are_understood(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_check(benchmark: Benchmark, options: Case) -> None:
        benchmark.check(options)

    monkeypatch.setattr(Benchmark, "_execute", only_check)
    for name, words in commands(path):
        script = importlib.import_module(f"{MODULE}.{name}")
        if name == "ready_profiles":
            monkeypatch.setattr(script, "execute", lambda options: None)
        assert script.main(words) == 0, (name, words)
