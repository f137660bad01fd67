"""Costs of a plan: one file for each metric, and one registry of all."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__all__ = ["CostModel", "EnergyCost", "LatencyCost", "MacsCost", "ParamsCost", "SizeCost", "TailCost", "WeightsCost"]

if TYPE_CHECKING:
    from rlprune.costs.base import CostModel
    from rlprune.costs.energy import EnergyCost
    from rlprune.costs.latency import LatencyCost, TailCost
    from rlprune.costs.macs import MacsCost
    from rlprune.costs.params import ParamsCost
    from rlprune.costs.size import SizeCost
    from rlprune.costs.weights import WeightsCost
else:  # the registry is read without torch, which every model loads
    _HOMES = {"CostModel": "base", "TailCost": "latency"}

    def __getattr__(name: str) -> object:
        """Load a model from its file on first use (PEP 562)."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = _HOMES.get(name, name.removesuffix("Cost").lower())
        return getattr(importlib.import_module(f"{__name__}.{home}"), name)
