"""Rewards: signs, terms and what each needs."""

from __future__ import annotations

import functools
import math

import pytest

from rlprune.errors import ConfigError
from rlprune.evaluation.evaluator import Quality
from rlprune.evaluation.rewards import REWARDS, Reward, Weights, Yardstick, reward_function, weighted

DENSE = {"macs": 40e6, "params": 270e3, "latency": 1.3, "energy": 20.0}
HALF = {metric: cost / 2 for metric, cost in DENSE.items()}
UNIFORM = Quality(score=0.80, divergence=0.10, samples=256)
BETTER = Quality(score=0.85, divergence=0.05, samples=256)
WORSE = Quality(score=0.70, divergence=0.30, samples=256)
COST_REWARDS = [
    ("amc-cost", "macs"),
    ("amc-cost", "params"),
    ("amc-cost", "latency"),
    ("amc-cost", "energy"),
    ("weighted", "latency"),
    ("weighted", "energy"),
]


def reward(name: str, quality: Quality, costs: dict[str, float] = HALF, metric: str = "latency") -> Reward:
    return reward_function(name)(quality, costs, Yardstick(UNIFORM, DENSE, metric))


@pytest.mark.parametrize("name", REWARDS)
def test_better_quality_earns_more(name: str) -> None:
    assert reward(name, BETTER).total > reward(name, UNIFORM).total > reward(name, WORSE).total


@pytest.mark.parametrize("name", REWARDS)
@pytest.mark.parametrize("metric", DENSE)
def test_dearer_never_earns_more(name: str, metric: str) -> None:
    dearer = HALF | {metric: 0.9 * DENSE[metric]}
    assert reward(name, UNIFORM, dearer, metric).total <= reward(name, UNIFORM, HALF, metric).total


@pytest.mark.parametrize(("name", "metric"), COST_REWARDS)
def test_where_cost_counts_dearer_earns_less(name: str, metric: str) -> None:
    dearer = HALF | {metric: 0.9 * DENSE[metric]}
    assert reward(name, UNIFORM, dearer, metric).total < reward(name, UNIFORM, HALF, metric).total


@pytest.mark.parametrize("name", REWARDS)
def test_score_and_divergence_are_always_terms(name: str) -> None:
    earned = reward(name, BETTER)
    assert earned.terms["score"] == 0.85
    assert earned.terms["divergence"] == 0.05
    assert all(math.isfinite(value) for value in [earned.total, *earned.terms.values()])


def test_agreement_is_the_logarithm_of_the_gain_over_uniform() -> None:
    assert reward("agreement", UNIFORM).total == 0.0
    assert reward("agreement", BETTER).total == pytest.approx(math.log(2), rel=1e-3)
    assert reward("agreement", WORSE).total == pytest.approx(-math.log(3), rel=1e-3)
    assert math.isfinite(reward("agreement", Quality(1.0, 0.0, 256)).total)


def test_amc_rewards_are_its_formulas() -> None:
    assert reward("accuracy", BETTER).total == 0.85
    assert reward("amc", BETTER).total == pytest.approx(-0.15)
    assert reward("amc-cost", BETTER, metric="macs").total == pytest.approx(-0.15 * math.log(20e6))
    assert reward("amc-cost", BETTER, metric="params").total == pytest.approx(-0.15 * math.log(135e3))
    assert reward("amc-cost", BETTER, metric="latency").total == pytest.approx(
        -0.15 * math.log(20e6)
    )  # half the dense cost


def test_weighted_is_its_formula_and_its_terms_add_up() -> None:
    weigh = functools.partial(weighted, weights=Weights(accuracy=2.0, latency=0.5, energy=0.25))
    earned = weigh(BETTER, HALF | {"energy": 15.0}, Yardstick(UNIFORM, DENSE, "latency"))
    assert earned.total == pytest.approx(2 * 0.85 - 0.5 * 0.5 - 0.25 * 0.75)
    assert earned.total == pytest.approx(
        sum(value for name, value in earned.terms.items() if name.startswith("weighted_"))
    )


def test_an_absent_cost_is_told_unless_it_has_no_weight() -> None:
    costs = {"macs": 20e6, "latency": 0.6}
    with pytest.raises(ConfigError, match="needs a cost for energy"):
        reward("weighted", BETTER, costs)
    with pytest.raises(ConfigError, match="needs a cost for macs"):
        reward("amc-cost", BETTER, {"latency": 0.6})
    light = functools.partial(weighted, weights=Weights(energy=0.0))
    assert "weighted_energy" not in light(BETTER, costs, Yardstick(UNIFORM, DENSE)).terms


def test_unknown_names_and_bad_weights_are_refused() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'agreement'"):
        reward_function("agrement")
    for bad in (-0.1, math.nan, math.inf):
        with pytest.raises(ConfigError, match="weight of latency"):
            Weights(latency=bad)
