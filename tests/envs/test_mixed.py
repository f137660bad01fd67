"""Episodes in which all kinds of things are decided."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

from rlprune.budgets.limits import Budget
from rlprune.choices.choice import KINDS, Kind
from rlprune.costs import MacsCost, SizeCost, WeightsCost
from rlprune.envs import ENV_ID, LayerPruningEnv
from rlprune.envs.actions import action_names
from rlprune.envs.slots import slots_of
from rlprune.envs.vector import PruningVecEnv
from rlprune.errors import ActionError
from rlprune.evaluation.problem import PruningProblem
from tests.mixed import WITH_BLOCKS, Prepared, prepare, random_rows

PREPARED = functools.cache(prepare)


def make(*budgets: str, name: str = "residual", kinds: tuple[Kind, ...] = ()) -> LayerPruningEnv:
    prepared: Prepared = PREPARED(name)
    space = prepared.space(*kinds)
    costs = {"macs": MacsCost(space), "weights": WeightsCost(space), "size": SizeCost(space)}
    wanted = [Budget.parse(text) for text in budgets]
    return LayerPruningEnv(PruningProblem(space, prepared.evaluator(space), costs, wanted), render_mode="ansi")


def play(env: LayerPruningEnv, action: Callable[[], np.ndarray]) -> tuple[list[np.ndarray], list[dict[str, Any]]]:
    observation, info = env.reset(seed=0)
    assert info == {"unit": env.problem.space.units[0].name}
    observations, infos, terminated = [observation], [], False
    while not terminated:
        observation, _, terminated, _, info = env.step(action())
        observations.append(observation)
        infos.append(info)
    return observations, infos


def drawn(env: LayerPruningEnv, seed: int) -> Callable[[], np.ndarray]:
    random = np.random.default_rng(seed)
    return lambda: random.uniform(-1, 1, len(env.problem.space.kinds)).astype(np.float32)


@pytest.mark.parametrize(
    "kinds", [(), ("weights",), ("bits", "depth"), ("channels", "bits")], ids=lambda kinds: "+".join(kinds) or "all"
)
def test_passes_both_checkers_without_warnings(kinds: tuple[Kind, ...]) -> None:
    env = make(kinds=kinds)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sb3_check(env)
        gymnasium_check(gymnasium.make(ENV_ID, problem=env.problem).unwrapped)


@pytest.mark.parametrize("name", WITH_BLOCKS)
@pytest.mark.parametrize("budgets", [("size=0.3",), ("weights=0.2",), ("macs=0.5", "size=0.4"), ()])
def test_every_episode_is_within_budget_and_bounds(name: str, budgets: tuple[str, ...]) -> None:
    env = make(*budgets, name=name)
    planner = env.problem.planner
    for seed in range(8):
        observations, infos = play(env, drawn(env, seed))
        assert all(env.observation_space.contains(observation) for observation in observations)
        costs = infos[-1]["outcome"].costs
        used = [costs[metric] / limit for metric, limit in planner.limits.items()]
        assert not used or planner.target - 1e-9 <= max(used) <= 1 + 1e-9


def test_entries_without_a_choice_do_nothing_and_are_executed_as_zero() -> None:
    env = make("size=0.4")
    _, infos = play(env, drawn(env, 0))
    for unit, info in zip(env.problem.space.units, infos, strict=True):
        assert info["unit"] == unit.name
        assert list(info["levels"]) == list(unit.places)
        masked = [kind not in unit.places for kind in env.problem.space.kinds]
        assert not info["executed_action"][masked].any()
        assert ("width" in info) == ("channels" in unit.places)
    assert any("width" not in info for info in infos)
    masked_entries = iter(infos)

    def changed() -> np.ndarray:
        info = next(masked_entries)
        action = info["executed_action"].copy()
        action[[kind not in info["levels"] for kind in KINDS]] = 0.9
        return action

    again = play(env, changed)[1]
    assert [info["levels"] for info in again] == [info["levels"] for info in infos]
    assert all((one["executed_action"] == two["executed_action"]).all() for one, two in zip(again, infos, strict=True))


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_executed_actions_repeat_the_episode(name: str) -> None:
    env = make("size=0.35", name=name)
    for seed in range(6):
        _, infos = play(env, drawn(env, seed))
        executed = iter([info["executed_action"] for info in infos])
        _, again = play(env, executed.__next__)
        assert again[-1]["plan_levels"].tolist() == infos[-1]["plan_levels"].tolist()


def test_an_episode_is_the_outcome_of_its_levels() -> None:
    env = make("weights=0.3")
    space = env.problem.space
    _, infos = play(env, drawn(env, 4))
    row = space.full.copy()
    for unit, info in zip(space.units, infos, strict=True):
        row[list(unit.places.values())] = list(info["levels"].values())
    outcome, last = env.problem.outcome(row), infos[-1]
    assert last["plan_levels"].tolist() == space.canonical(row[None])[0].tolist() == outcome.levels.tolist()
    assert (last["score"], last["divergence"]) == (outcome.quality.score, outcome.quality.divergence)
    assert last["outcome"].reward == outcome.reward
    assert {key: last[key] for key in ("macs", "weights", "size_bytes")} == {
        "macs": outcome.costs["macs"],
        "weights": outcome.costs["weights"],
        "size_bytes": outcome.costs["size"],
    }


@pytest.mark.parametrize("budgets", [("size=0.4",), ("macs=0.6", "weights=0.3"), ()])
def test_zero_actions_are_exactly_the_uniform_plan(budgets: tuple[str, ...]) -> None:
    env = make(*budgets)
    _, infos = play(env, lambda: np.zeros(4, np.float32))
    uniform = env.problem.space.canonical(env.problem.planner.filled[None])[0]
    assert infos[-1]["plan_levels"].tolist() == uniform.tolist()
    assert infos[-1]["outcome"].reward == env.problem.filled.reward == 0.0
    assert not np.any([info["executed_action"] for info in infos])


def test_slots_have_names_of_their_own_and_tell_what_is_decided_where() -> None:
    env = make("size=0.4")
    slots = [slot.name for slot in slots_of(KINDS)]
    assert len(set(slots)) == len(slots) == env.observation_space.shape[0]
    assert set(slots) > {slot.name for slot in slots_of()}
    observations, infos = play(env, drawn(env, 1))
    seen = [dict(zip(slots, observation.tolist(), strict=True)) for observation in observations]
    for unit, before, after, info in zip(env.problem.space.units, seen, seen[1:], infos, strict=False):
        assert {kind for kind in KINDS if before[f"{kind}_here"]} == set(unit.places)
        assert before["size_budget"] == pytest.approx(0.4)
        for kind, place in unit.places.items():
            choice, uniform = env.problem.space.choices[place], env.problem.planner.filled[place]
            assert before[f"{kind}_lowest"] == pytest.approx(choice.lowest)
            assert before[f"{kind}_uniform"] == pytest.approx(choice.share(float(uniform)))
            assert after[f"{kind}_previous"] == pytest.approx(choice.share(info["levels"][kind]))
            assert before[f"{kind}_error_lowest"] >= before[f"{kind}_error_uniform"]


def test_a_mixed_episode_renders_every_choice() -> None:
    env = make("size=0.4")
    env.reset(seed=0)
    env.step(np.zeros(4, np.float32))
    lines = str(env.render()).splitlines()
    choices = env.problem.space.choices
    assert [line.split()[:2] for line in lines] == [[choice.name, choice.kind] for choice in choices]
    decided = len(env.problem.space.units[0].places)
    assert [line.split()[2] == "-" for line in lines] == [False] * decided + [True] * (len(choices) - decided)


@pytest.mark.parametrize("action", [[0.1], [0.1] * 5, [[0.1] * 4], [0.1, 0.1, 0.1, 1.5], [0.1, float("nan"), 0.1, 0.1]])
def test_bad_actions_are_refused_and_change_nothing(action: object) -> None:
    env = make("size=0.4")
    env.reset(seed=0)
    with pytest.raises(ActionError):
        env.step(np.array(action, dtype=np.float32))
    assert env.episode.at == 0


def test_walks_together_are_the_episodes_of_one_environment() -> None:
    env, problem = make("size=0.4"), make("size=0.4").problem
    vector = PruningVecEnv([problem], 3, 3)
    assert vector.action_space.shape == (len(action_names(KINDS)),)
    vector.reset()
    actions = np.random.default_rng(0).uniform(-1, 1, (len(problem.space.units), 3, 4)).astype(np.float32)
    for row in actions:
        _, rewards, _, infos = vector.step(row)
    for walk in range(3):
        _, alone = play(env, iter(actions[:, walk]).__next__)
        assert infos[walk]["plan_levels"].tolist() == alone[-1]["plan_levels"].tolist()
        assert rewards[walk] == np.float32(alone[-1]["outcome"].reward)


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_what_a_choice_loses_never_rises_with_its_level(name: str) -> None:
    prepared = PREPARED(name)
    space = prepared.space()
    evaluator = prepared.evaluator(space)
    for choice in space.choices:
        curve = evaluator.error_curve(choice)
        assert curve.shape == (len(choice.levels),)
        assert (np.diff(curve) <= 1e-9).all()
        assert curve[-1] == pytest.approx(0.0, abs=1e-9)
        assert 0 < curve[0] <= 1


def test_plans_are_told_apart_by_what_they_do() -> None:
    problem = make("size=0.5").problem
    rows = random_rows(problem.space, 40, seed=2)
    distinct = np.unique(problem.space.canonical(rows), axis=0)
    before = problem.evaluations
    problem.evaluator.many(list(rows))
    assert problem.evaluations - before == len(distinct)
