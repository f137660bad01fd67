"""A new metric is a file and a line: a copy of the project with one more is asked for it by every verb."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.experiments.test_tensorboard import hparams, read
from tests.imports import ROOT

pytestmark = pytest.mark.slow

FILE = '''
import numpy as np

from rlprune.choices.space import Space


class ActivationsCost:
    """Values that the layers of a network put out for one sample."""

    metric = "activations"
    unit = "activations"

    def __init__(self, subject):
        self._network = Space.of(subject).network
        self._positions = np.array([layer.positions for layer in self._network.layers])

    def __call__(self, levels):
        out, _ = self._network.axis_widths(levels)
        return out @ self._positions
'''
LINE = """
        Metric("activations", "activation values", "activations", COUNTS, ("k", 1e3), "activations",
               "rlprune.costs.activations:ActivationsCost"),
"""
END = "    )\n}  # fmt: skip"
HEAD = "activation values"
QUICK = (
    *("--network", "digits-resnet", "--samples", "64", "--profile-samples", "10"),
    *("--agent", "random", "--episodes", "3", "--finalists", "1"),
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    for name in ("rlprune", "envs", "agents", "experiments"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, copy_function=os.link)
    registry = folder / "rlprune/costs/registry.py"
    code = registry.read_text()
    assert code.count(END) == 1
    registry.unlink()
    registry.write_text(code.replace(END, LINE.lstrip("\n") + END))
    (folder / "rlprune/costs/activations.py").write_text(FILE)
    return folder


CALLS = """
import json, sys
from rlprune.experiments.cli import main
for words in json.load(sys.stdin):
    print(words[0] + ":", flush=True)
    assert main(words) == 0
"""


def call(project: Path, *calls: tuple[str, ...]) -> str:
    """What the verbs print, one after the other in one process."""
    command, given = [sys.executable, "-c", CALLS], json.dumps(calls)
    done = subprocess.run(command, cwd=project, input=given, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def printed(project: Path) -> dict[str, str]:
    asked = ("--objective", "accuracy", "--objective", "activations", "--prefer", "activations=2")
    text = call(
        project,
        ("train", *QUICK, "--budget", "activations=0.6", "--out", "run"),
        ("compare", "run", "--out", "compared"),
        ("front", "run", *asked, "--within", "activations=0.6", "--out", "front"),
        ("validate", "run", "--no-timing", "--evaluations", "2", "--json"),
    )
    parts = re.split("^(train|compare|front|validate):$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_a_run_within_a_budget_on_a_new_metric_tells_it_everywhere(project: Path, printed: dict[str, str]) -> None:
    run = project / "run"
    assert HEAD in printed["train"]
    report = (run / "report.md").read_text()
    assert f"at most 60% of its {HEAD}" in report
    assert f"{HEAD} (k)" in report
    result = json.loads((run / "result.json").read_text())
    dense, *others = [row["costs"]["activations"] for row in result["rows"]]
    assert all(0 < cost <= 0.6 * dense for cost in others)
    assert result["limits"] == {"activations": pytest.approx(0.6 * dense)}
    events = read(run / "tensorboard/random-seed0")
    assert "tried/activations" in events.Tags()["scalars"]
    assert hparams(events)["plan_activations"] == others[-1]


def test_finished_runs_are_compared_and_checked_in_it(project: Path, printed: dict[str, str]) -> None:
    assert "values k" in printed["compare"]
    assert f"{HEAD}, k" in (project / "compared/compare.md").read_text()
    assert f"{HEAD}, k" in printed["front"]
    checked = json.loads(printed["validate"])["claims"]
    assert {claim["subject"] for claim in checked if claim["name"] == "activations"} >= {"dense", "random"}


def test_a_range_of_budgets_on_it_prefers_it(project: Path) -> None:
    asked = ("--budget", "activations=0.5..0.7", "--levels", "2", "--prefer", "activations=1")
    call(project, ("train", *QUICK, *asked, "--out", "range"))
    front = json.loads((project / "range/result.json").read_text())["front"]
    assert (front["cost"], front["chosen"]) == ("activations", "activations=0.5")
