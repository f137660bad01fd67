"""Prices: budgets are always met, zero is the probes' plan, and many walks at once are the episodes of one."""

from __future__ import annotations

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

from rlprune.agents.imagination import ImaginedVecEnv
from rlprune.arrays import FloatArray, IntArray
from rlprune.envs import ENV_ID, LayerPruningEnv
from rlprune.envs.pricing import PricedEpisode, Pricing
from rlprune.envs.slots import observation_table, slots_of
from rlprune.errors import ActionError, ConfigError
from rlprune.evaluation.problem import PruningProblem
from tests.envs.conftest import MakeEnv


@pytest.fixture
def problem(make_env: MakeEnv) -> PruningProblem:
    return make_env("macs=0.5").problem


def test_passes_both_checkers_without_warnings(problem: PruningProblem) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sb3_check(LayerPruningEnv(problem, actions="price"))
        made = gymnasium.make(ENV_ID, problem=problem, actions="price", render_mode="rgb_array")
        gymnasium_check(made.unwrapped)


def test_zero_is_the_reference_and_every_plan_fits(problem: PruningProblem) -> None:
    pricing, random = Pricing(problem), np.random.default_rng(0)
    shape = (50, pricing.length, len(problem.space.kinds))
    plans = pricing.plans(random.uniform(-1, 1, shape))
    assert (problem.planner.usage(plans) <= 1 + 1e-9).all()
    assert len(np.unique(plans, axis=0)) > 3
    np.testing.assert_array_equal(pricing.plans(np.zeros((1, *shape[1:])))[0], pricing.reference)


def test_what_is_priced_higher_keeps_more(problem: PruningProblem) -> None:
    pricing, changed = Pricing(problem), 0
    for at, unit in enumerate(problem.space.units):
        prices = np.zeros((5, pricing.length, 1))
        prices[:, at, 0] = np.linspace(-1, 1, 5)
        kept = pricing.plans(prices)[:, unit.places["channels"]]
        assert kept[0] <= kept[-1]
        changed += kept[0] < kept[-1]
    assert changed >= 2


def test_an_episode_is_its_prices_and_does_not_depend_on_earlier_ones(problem: PruningProblem) -> None:
    pricing, random = Pricing(problem), np.random.default_rng(1)
    prices = random.uniform(-1, 1, (1, pricing.length, 1)).astype(np.float32)
    env = LayerPruningEnv(problem, actions="price")
    for _ in range(2):
        env.reset()
        for action in prices[0]:
            *_, info = env.step(action)
        np.testing.assert_array_equal(info["plan_levels"], pricing.plans(prices)[0])
    episode = PricedEpisode(pricing)
    for at, action in enumerate(prices[0]):
        np.testing.assert_array_equal(
            episode.observation, pricing.observations(at, prices[:, max(at - 1, 0)] * (at > 0))[0]
        )
        episode.decide(action)
    with pytest.raises(ActionError, match="reset"):
        episode.decide([0.0])


@pytest.mark.parametrize("shaped", [True, False])
def test_imagined_returns_are_what_is_expected_of_plans(problem: PruningProblem, shaped: bool) -> None:
    def expected(plans: IntArray) -> FloatArray:
        return np.asarray(np.log(1.0 + np.square(plans - 9.0).sum(axis=1)))

    pricing, random = Pricing(problem), np.random.default_rng(2)
    env = ImaginedVecEnv([pricing], 6, expected, shaped)
    prices = random.uniform(-1, 1, (6, pricing.length, 1)).astype(np.float32)
    observations, total = env.reset(), np.zeros(6)
    for at in range(pricing.length):
        np.testing.assert_array_equal(observations, pricing.observations(at, prices[:, max(at - 1, 0)] * (at > 0)))
        observations, rewards, done, infos = env.step(prices[:, at])
        total += rewards
        assert done.all() == (at + 1 == pricing.length)
    wanted = expected(pricing.reference[None]) - expected(pricing.plans(prices))
    np.testing.assert_allclose(total, wanted, atol=1e-5)
    np.testing.assert_allclose([info["episode"]["r"] for info in infos], wanted, atol=1e-9)


def test_slots_have_names_of_their_own_and_unknown_actions_are_refused(problem: PruningProblem) -> None:
    names = [slot.name for slot in slots_of(meaning="price")]
    assert len(set(names)) == len(names)
    assert "channels_previous_price" in observation_table(meaning="price")
    with pytest.raises(ConfigError, match="Did you mean 'price'"):
        LayerPruningEnv(problem, actions="prices")  # type: ignore[arg-type]
