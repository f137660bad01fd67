from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from rlprune.budgets.limits import Budget
from rlprune.costs import MacsCost, ParamsCost
from rlprune.envs import LayerPruningEnv
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import PruningProblem
from rlprune.networks.network import Network
from rlprune.pruning.tables import PruningTables
from rlprune.tasks.base import Task
from rlprune.tasks.split import Split
from tests.models import build, images

MakeEnv = Callable[..., LayerPruningEnv]


def make_tables(name: str) -> tuple[PruningTables, Task]:
    network = Network(build(name), images(1))

    def split(seed: int, count: int) -> Split:
        with torch.no_grad():
            return Split(images(count, seed), network.model(images(count, seed)).argmax(1))

    task = Task("toy", calibration=split(1, 128), validation=split(2, 64), test=split(3, 32), classes=10)
    return PruningTables(network, task.calibration), task


@pytest.fixture(scope="session")
def make_env() -> MakeEnv:
    """An environment with nothing evaluated yet, on a small network with random weights."""
    prepared = {}

    def make(name: str = "residual", budget: str = "macs=0.5") -> LayerPruningEnv:
        if name not in prepared:
            prepared[name] = make_tables(name)
        tables, task = prepared[name]
        network = tables.network
        costs = {"macs": MacsCost(network), "params": ParamsCost(network)}
        return LayerPruningEnv(PruningProblem(network, Evaluator(tables, task), costs, [Budget.parse(budget)]))

    return make
