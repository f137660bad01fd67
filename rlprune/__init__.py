"""Learned, layer-by-layer pruning of torch networks for one device.

A network and a task, the tables of its pruned weights, and a plan that keeps half of the MACs:

>>> from rlprune import Budget, Evaluator, Network, PruningPlan
>>> from rlprune.costs import MacsCost
>>> from rlprune.evaluation.problem import PruningProblem
>>> from rlprune.pruning.tables import PruningTables
>>> from rlprune.tasks import load_task
>>> from rlprune.zoo import resolve_network
>>> loaded, task = resolve_network("digits-resnet"), load_task("digits")
>>> network = Network(loaded.model, loaded.example_inputs)
>>> tables = PruningTables(network, task.calibration)
>>> evaluator = Evaluator(tables, task)
>>> problem = PruningProblem(network, evaluator, {"macs": MacsCost(network)}, [Budget.parse("macs=0.5")])
>>> plan = PruningPlan.from_widths(network, problem.planner.filled)

An agent searches for a better one in an environment of Gymnasium:

>>> from rlprune.agents import best_outcomes, make_searcher
>>> from rlprune.envs import LayerPruningEnv
>>> result = make_searcher("random").search(LayerPruningEnv(problem), episodes=3, seed=0)
>>> best = best_outcomes(result.episodes, 1)[0]
>>> pruned = evaluator.repaired(best.levels)  # a plain, smaller module

Importing this package is silent and quick: torch loads with the first name that needs it, and gymnasium and
stable-baselines3 only with :mod:`rlprune.envs` and :mod:`rlprune.agents`. Examples of other docstrings go on with the
names of this one.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = ["Budget", "Decision", "DeviceProfile", "Evaluator", "Network", "PruningPlan", "Task", "__version__"]

if TYPE_CHECKING:
    from rlprune.budgets.limits import Budget
    from rlprune.devices.profiles.profile import DeviceProfile
    from rlprune.evaluation.evaluator import Evaluator
    from rlprune.networks.network import Network
    from rlprune.plans.decision import Decision
    from rlprune.plans.plan import PruningPlan
    from rlprune.tasks.base import Task
else:  # hidden from type checkers, which would otherwise accept every misspelt name
    _HOMES = {
        "Budget": "rlprune.budgets.limits",
        "Decision": "rlprune.plans.decision",
        "DeviceProfile": "rlprune.devices.profiles.profile",
        "Evaluator": "rlprune.evaluation.evaluator",
        "Network": "rlprune.networks.network",
        "PruningPlan": "rlprune.plans.plan",
        "Task": "rlprune.tasks.base",
    }

    def __getattr__(name: str) -> object:
        """Load a public name from its module on first use (PEP 562)."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
