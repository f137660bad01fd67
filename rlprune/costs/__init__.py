"""Costs of a plan: one file for each metric."""

from __future__ import annotations

from rlprune.costs.base import CostModel
from rlprune.costs.energy import EnergyCost
from rlprune.costs.latency import LatencyCost, TailCost
from rlprune.costs.macs import MacsCost
from rlprune.costs.params import ParamsCost
from rlprune.costs.size import SizeCost
from rlprune.costs.weights import WeightsCost

__all__ = ["CostModel", "EnergyCost", "LatencyCost", "MacsCost", "ParamsCost", "SizeCost", "TailCost", "WeightsCost"]
