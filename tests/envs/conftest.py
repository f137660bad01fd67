"""A small real problem: residual sum, depthwise layer, random weights and images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.arrays import FloatArray, IntArray
from rlprune.budgets.limits import Budget
from rlprune.envs import LayerPruningEnv
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.problem import PruningProblem
from rlprune.networks.network import Network
from rlprune.pruning.tables import PruningTables
from rlprune.tasks import Split, Task

MakeEnv = Callable[..., LayerPruningEnv]


class SmallNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.expand = nn.Conv2d(16, 32, 1)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.project = nn.Conv2d(32, 16, 1)
        self.last = nn.Conv2d(16, 24, 3, stride=2, padding=1)
        self.hidden = nn.Linear(24, 24)
        self.head = nn.Linear(24, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = x + self.project(torch.relu(self.depthwise(torch.relu(self.expand(x)))))
        out: torch.Tensor = self.head(torch.relu(self.hidden(torch.relu(self.last(x)).mean(dim=(2, 3)))))
        return out


class CountCost:
    """A count of the network, scaled: stands in for latency and energy where no profile is needed."""

    def __init__(self, network: Network, metric: str, unit: str, scale: float = 1.0) -> None:
        self.metric, self.unit, self._scale = metric, unit, scale
        self._count = network.macs if metric in ("macs", "latency") else network.params

    def __call__(self, widths: IntArray) -> FloatArray:
        return np.asarray(self._count(widths) * self._scale, dtype=np.float64)


def random_task() -> Task:
    random = torch.Generator().manual_seed(1)

    def split(count: int) -> Split:
        return Split(torch.randn(count, 1, 8, 8, generator=random), torch.randint(0, 4, (count,), generator=random))

    return Task("noise", calibration=split(64), validation=split(32), test=split(8), classes=4)


@pytest.fixture(scope="session")
def network() -> Network:
    torch.manual_seed(0)
    return Network(SmallNet(), torch.zeros(1, 1, 8, 8), multiple=4)


@pytest.fixture(scope="session")
def tables(network: Network) -> PruningTables:
    return PruningTables(network, random_task().calibration)


@pytest.fixture
def make_env(network: Network, tables: PruningTables) -> MakeEnv:
    """Environments of the same network; ``metrics`` are the costs that the problem has."""

    def make(
        *budgets: str, metrics: tuple[str, ...] = ("macs", "params", "latency", "energy"), **settings: str
    ) -> LayerPruningEnv:
        every = {
            "macs": CountCost(network, "macs", "macs"),
            "params": CountCost(network, "params", "params"),
            "latency": CountCost(network, "latency", "ms", 1e-6),
            "energy": CountCost(network, "energy", "mJ", 1e-3),
        }
        costs = {metric: every[metric] for metric in metrics}
        evaluator = Evaluator(tables, random_task(), samples=32)
        problem = PruningProblem(network, evaluator, costs, [Budget.parse(text) for text in budgets], **settings)
        return LayerPruningEnv(problem, render_mode="ansi")

    return make
