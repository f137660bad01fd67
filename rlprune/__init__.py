"""Learned, layer-by-layer pruning of torch networks for one device.

Importing this package is silent and quick: torch loads with the first name that needs it, and gymnasium and
stable-baselines3 only with :mod:`rlprune.envs` and :mod:`rlprune.agents`.
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
