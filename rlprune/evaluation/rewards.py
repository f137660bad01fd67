"""Rewards: pure functions from what a plan does to one number, and the named terms it is made of.

The budget is a hard limit that every plan meets (:mod:`rlprune.budgets.planner`), so the default reward is quality
alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlprune.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from rlprune.evaluation.evaluator import Quality

WORST = 100.0  # a loss is at most exp of this
EPSILON = 1e-5  # nats; keeps the logarithm finite for a plan that changes nothing


@dataclass(frozen=True)
class Reward:
    """What an episode earns.

    Attributes:
        total: what is maximised.
        terms: what it is made of; "score" (validation score) and "divergence" (nats) are always among them.
        loss: over 0, falls as the total rises, and means the same at every budget: what plans are compared by where
            budgets differ.
    """

    total: float
    terms: dict[str, float]
    loss: float


@dataclass(frozen=True)
class Yardstick:
    """What a plan is compared with.

    Attributes:
        filled: quality of the filled uniform plan at the same budget.
        dense_costs: metric to cost of the dense network.
        metric: the cost that counts where a reward takes one: the first budget's, or "macs".
    """

    filled: Quality
    dense_costs: Mapping[str, float]
    metric: str = "macs"


@dataclass(frozen=True)
class Weights:
    """How much each term of :func:`weighted` counts; none may be negative."""

    accuracy: float = 1.0
    latency: float = 0.1
    energy: float = 0.1

    def __post_init__(self) -> None:
        for name in ("accuracy", "latency", "energy"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ConfigError(
                    f"The reward's weight of {name} must be finite and at least 0, not {getattr(self, name)}."
                )


RewardFunction = Callable[["Quality", Mapping[str, float], Yardstick], Reward]


def agreement(quality: Quality, costs: Mapping[str, float], yardstick: Yardstick) -> Reward:
    """``log(divergence of filled / divergence of the plan)``: 0 for the filled uniform plan, 1 for e times closer."""
    gain = math.log((yardstick.filled.divergence + EPSILON) / (quality.divergence + EPSILON))
    return Reward(gain, _terms(quality), quality.divergence + EPSILON)


def accuracy(quality: Quality, costs: Mapping[str, float], yardstick: Yardstick) -> Reward:
    """The validation score, inside the hard budget."""
    return _reward(quality, quality.score)


def amc(quality: Quality, costs: Mapping[str, float], yardstick: Yardstick) -> Reward:
    """``-error``, with error = 1 - score: AMC's reward for a given budget (He et al. 2018, "Search Protocols")."""
    return _reward(quality, quality.score - 1.0, error=1.0 - quality.score)


def amc_cost(quality: Quality, costs: Mapping[str, float], yardstick: Yardstick) -> Reward:
    """``-error * log(cost)``: AMC's R_FLOPs and R_Param, for a given accuracy (He et al. 2018, "Search Protocols").

    For MACs (AMC's FLOPs) and parameters the cost is the count itself. Latency and energy come in milliseconds and
    millijoules, whose logarithm would change sign at 1; they count as the dense network's MACs times their fraction
    of the dense cost. The score must be at most 1.

    Raises:
        ConfigError: the cost is not there.
    """
    metric = yardstick.metric
    for needed in (metric, "macs"):
        _require(needed, costs, "amc-cost")
    share = costs[metric] / yardstick.dense_costs[metric]
    counted = metric if metric in ("macs", "params") else "macs"
    log_cost = math.log(max(share * yardstick.dense_costs[counted], 1.0))
    error = 1.0 - quality.score
    return _reward(quality, -error * log_cost, error=error, log_cost=log_cost)


def weighted(
    quality: Quality, costs: Mapping[str, float], yardstick: Yardstick, weights: Weights = Weights()
) -> Reward:
    """``w_accuracy score - w_latency latency / dense latency - w_energy energy / dense energy``.

    Other weights: ``functools.partial(weighted, weights=Weights(1.0, 0.5, 0.0))``.

    Raises:
        ConfigError: a cost with a weight over 0 is not there.
    """
    terms = {"weighted_accuracy": weights.accuracy * quality.score}
    for metric, weight in (("latency", weights.latency), ("energy", weights.energy)):
        if weight == 0:
            continue
        _require(metric, costs, "weighted")
        terms[f"weighted_{metric}"] = -weight * costs[metric] / yardstick.dense_costs[metric]
    return _reward(quality, sum(terms.values()), **terms)


def _require(metric: str, costs: Mapping[str, float], reward: str) -> None:
    if metric not in costs:
        raise ConfigError(
            f"Reward {reward!r} needs a cost for {metric}; there are {', '.join(costs) or 'none'}. "
            "Give a device profile that has it, or choose another reward."
        )


def _reward(quality: Quality, total: float, **terms: float) -> Reward:
    return Reward(total, _terms(quality) | terms, math.exp(min(max(-total, -WORST), WORST)))


def _terms(quality: Quality) -> dict[str, float]:
    return {"score": quality.score, "divergence": quality.divergence}


REWARDS: dict[str, RewardFunction] = {
    "agreement": agreement,
    "accuracy": accuracy,
    "amc": amc,
    "amc-cost": amc_cost,
    "weighted": weighted,
}


def reward_function(name: str) -> RewardFunction:
    """The reward of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in REWARDS:
        raise ConfigError(unknown_name("reward", name, REWARDS))
    return REWARDS[name]
