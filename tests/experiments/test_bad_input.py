"""Bad input: one clear error, the exit code of the table, nothing written; and the page that shows the table."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from rlprune import Budget, Evaluator, Network
from rlprune import errors as rlprune_errors
from rlprune.costs import MacsCost
from rlprune.evaluation.problem import PruningProblem
from rlprune.pruning.tables import PruningTables
from rlprune.tasks import load_task
from rlprune.zoo import resolve_network
from tests.experiments.bad_inputs import TOPICS
from tests.experiments.bad_inputs.table import NETWORK, TASK, BadCall, BadInput, matches, page
from tests.experiments.bad_inputs.workshop import furnish
from tests.experiments.conftest import Call, Called, Trained, inside

PAGE = Path(__file__).parent / "bad_inputs" / "bad-input.md"
CASES = [(topic.title, case) for topic in TOPICS for case in topic.cases]
INPUTS = [pytest.param(case, id=f"{topic}-{case.title}") for topic, case in CASES if isinstance(case, BadInput)]
CALLS = [pytest.param(case, id=case.title) for _, case in CASES if isinstance(case, BadCall)]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, trained: Trained) -> Iterator[Path]:
    """A folder with files that are wrong in one way each; the run ``in-use`` is held by another lock."""
    place = tmp_path_factory.mktemp("workshop")
    furnish(place, trained.path.parent)
    with FileLock(place / "in-use" / ".lock"):
        yield place


@pytest.fixture(scope="module")
def problem(workshop: Path) -> PruningProblem:
    """The tiny network within half its MACs."""
    with inside(workshop):
        loaded, task = resolve_network(NETWORK[1]), load_task(TASK[1])
    network = Network(loaded.model, loaded.example_inputs, multiple=2)
    evaluator = Evaluator(PruningTables(network, task.calibration), task, samples=16)
    return PruningProblem(network, evaluator, {"macs": MacsCost(network)}, [Budget.parse("macs=0.5")])


def is_here(what: str) -> bool:
    """Whether this machine has a module, or a GPU."""
    return torch.cuda.is_available() if what == "cuda" else importlib.util.find_spec(what) is not None


def state_of(folder: Path, besides: str) -> dict[str, tuple[int, int]]:
    """Size and time of every file, but for what imports write, and what is ``besides``."""
    paths = [path for path in folder.rglob("*") if "__pycache__" not in path.parts and besides not in path.parts]
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in paths if not path.is_dir()} | {
        str(path): (0, 0) for path in paths if path.is_dir()
    }


def check_answer(called: Called, case: BadInput) -> None:
    """One line that says it, the last one on stderr, nothing on stdout."""
    assert called.code == case.code, called.err
    assert len(called.errors) == 1, called.err
    assert called.err.rstrip().splitlines()[-1] == called.errors[0], "the error is the last line"
    assert "Traceback" not in called.err
    assert called.out == ""
    message = called.errors[0].removeprefix("rlprune: ")
    assert matches(case.says, message), f"\nsaid:     {message}\nexpected: {case.says}"


@pytest.mark.parametrize("case", INPUTS)
def test_what_the_command_line_says(
    call: Call, workshop: Path, monkeypatch: pytest.MonkeyPatch, case: BadInput
) -> None:
    if case.without and is_here(case.without):
        pytest.skip(f"{case.without} is here")
    monkeypatch.chdir(workshop)
    before = state_of(workshop, case.writes)
    check_answer(call(*case.arguments), case)
    assert state_of(workshop, case.writes) == before


@pytest.mark.parametrize("case", CALLS)
def test_what_calls_raise(problem: PruningProblem, case: BadCall) -> None:
    with pytest.raises(getattr(rlprune_errors, case.answer)) as caught:
        case.call(problem)
    assert matches(case.says, str(caught.value)), f"\nsaid:     {caught.value}\nexpected: {case.says}"


def test_no_verb_at_all(call: Call) -> None:
    called = call()
    assert (called.code, called.errors) == (2, [])
    assert called.out.startswith("usage: rlprune VERB")


def test_every_case_stands_once() -> None:
    assert Counter(case.shown for _, case in CASES).most_common(1)[0][1] == 1
    assert len(CASES) >= 60


def test_the_page_is_the_table() -> None:
    assert PAGE.read_text() == page(TOPICS), (
        "python -m tests.experiments.bad_inputs > tests/experiments/bad_inputs/bad-input.md"
    )
