"""One seed, one result: for every method, in one process or several, and where a search is repeated from memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rlprune.agents import METHODS, SearchResult, make_searcher, search_range
from rlprune.budgets.limits import Budget
from rlprune.costs import MacsCost, ParamsCost
from rlprune.evaluation.batchnorm_choice import StatisticsChoice
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import PruningProblem
from rlprune.evaluation.workers import ParallelEvaluator, Workers
from rlprune.experiments.runs.journal import FILE, Journal
from rlprune.support.threads import torch_threads
from tests.agents.conftest import make_tables

EPISODES = 36
BUDGETS = ("macs=0.5", "macs=0.7")
Problems = Callable[[bool], list[PruningProblem]]


@pytest.fixture(scope="module")
def problems() -> Iterator[Problems]:
    """The same problem at two budgets, evaluated here or in two processes."""
    tables, task = make_tables("residual")
    network = tables.network
    costs = {"macs": MacsCost(network), "params": ParamsCost(network)}
    with torch_threads(1), Workers(2, tables, task, 64, StatisticsChoice(1.0)) as pool:

        def make(several: bool) -> list[PruningProblem]:
            alone = Evaluator(tables, task, samples=64, statistics=StatisticsChoice(1.0))
            together = ParallelEvaluator(pool, tables, task, samples=64)
            evaluator = together if several else alone
            problem = PruningProblem(network, evaluator, costs, [Budget.parse(BUDGETS[-1])])
            return [problem.within([Budget.parse(text)]) for text in BUDGETS]

        yield make


def found(result: SearchResult) -> tuple[list[object], object]:
    """Everything but the time it took, to the last bit."""
    episodes = [
        (episode.outcome.levels.tolist(), episode.outcome.quality, episode.outcome.reward, episode.evaluations)
        for episode in result.episodes
    ]
    weights = None if result.policy is None else [value.tolist() for value in result.policy.state_dict().values()]
    return episodes, weights


@pytest.mark.parametrize("method", METHODS)
def test_several_processes_find_what_one_finds(method: str, problems: Problems) -> None:
    one, several = (search_range(make_searcher(method), problems(ways), EPISODES, 3) for ways in (False, True))
    assert found(one) == found(several)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("share", [0.8, pytest.param(0.3, marks=pytest.mark.slow)])
def test_a_search_goes_on_from_its_journal(method: str, share: float, problems: Problems, tmp_path: Path) -> None:
    whole = found(search_range(make_searcher(method), _remembering(problems, tmp_path, method), EPISODES, 3))
    lines = (tmp_path / FILE).read_text().splitlines(keepends=True)
    known = int(share * (len(lines) - 1))
    (tmp_path / FILE).write_text("".join(lines[: 1 + known]))
    again = _remembering(problems, tmp_path, method)
    assert found(search_range(make_searcher(method), again, EPISODES, 3)) == whole
    rest = (tmp_path / FILE).read_text().splitlines()
    assert len(rest) == len(lines), "only what was not known is evaluated"
    assert (tmp_path / FILE).read_text().startswith("".join(lines[: 1 + known]))


def _remembering(problems: Problems, folder: Path, method: str) -> list[PruningProblem]:
    made = problems(False)
    made[0].evaluator.memory = Journal(folder).memory_of(method)
    return made
