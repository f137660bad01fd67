"""The environment: the rules of Gymnasium and SB3, and that it is the problem and nothing else."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check
from stable_baselines3.common.env_util import make_vec_env

from rlprune.budgets.limits import Budget
from rlprune.envs import ENV_ID, LayerPruningEnv
from rlprune.errors import ActionError, BudgetError, ConfigError
from rlprune.evaluation.problem import PruningProblem

MakeEnv = Callable[..., LayerPruningEnv]


def play(env: LayerPruningEnv, actions: Callable[[], float]) -> tuple[float, list[dict[str, Any]]]:
    env.reset(seed=0)
    total, infos, terminated = 0.0, [], False
    while not terminated:
        _, reward, terminated, truncated, info = env.step(np.array([actions()], dtype=np.float32))
        assert not truncated
        assert terminated or reward == 0.0
        total += reward
        infos.append(info)
    return total, infos


def test_passes_both_checkers_without_warnings(make_env: MakeEnv) -> None:
    env = make_env("macs=0.5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sb3_check(env)
        made = gymnasium.make(ENV_ID, problem=env.problem, render_mode="rgb_array")
        gymnasium_check(made.unwrapped)


def test_is_made_by_name(make_env: MakeEnv) -> None:
    problem = make_env("macs=0.5").problem
    for name in (ENV_ID, f"rlprune.envs:{ENV_ID}"):
        env = gymnasium.make(name, problem=problem)
        assert isinstance(env.unwrapped, LayerPruningEnv)
        assert env.unwrapped.problem is problem


def test_is_registered_on_import_and_the_core_does_without_gymnasium() -> None:
    code = (
        "import sys, rlprune.evaluation.problem, rlprune.budgets.planner; assert 'gymnasium' not in sys.modules; "
        f"import rlprune.envs, gymnasium; gymnasium.spec({ENV_ID!r}); assert 'stable_baselines3' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("budgets", [("macs=0.5",), ("latency=0.4",), ("params=0.5", "macs=0.6"), ()])
def test_zero_actions_are_exactly_the_uniform_plan(make_env: MakeEnv, budgets: tuple[str, ...]) -> None:
    env = make_env(*budgets)
    total, infos = play(env, lambda: 0.0)
    assert infos[-1]["plan_levels"].tolist() == env.problem.planner.filled.tolist()
    assert total == env.problem.filled.reward == 0.0
    assert [info["executed_action"].tolist() for info in infos] == [[0.0]] * len(infos)


@pytest.mark.parametrize("reward", ["agreement", "accuracy", "amc", "amc-cost", "weighted"])
def test_an_episode_is_the_outcome_of_its_widths(make_env: MakeEnv, reward: str) -> None:
    env, other = make_env("macs=0.5", reward=reward), make_env("macs=0.5", reward=reward).problem
    random = np.random.default_rng(1)
    for _ in range(5):
        total, infos = play(env, lambda: random.uniform(-1, 1))
        last = infos[-1]
        outcome = other.outcome(np.array([info["width"] for info in infos]))
        assert total == outcome.reward == last["outcome"].reward
        assert (last["score"], last["divergence"]) == (outcome.quality.score, outcome.quality.divergence)
        assert last["reward_terms"] == outcome.terms
        assert last["plan_levels"].tolist() == outcome.levels.tolist()
        named = {"macs": "macs", "params": "params", "latency": "latency_ms", "energy": "energy_mj"}
        assert {metric: last[key] for metric, key in named.items()} == outcome.costs


def test_only_the_last_step_tells_an_outcome(make_env: MakeEnv) -> None:
    _, infos = play(make_env("macs=0.5"), lambda: 0.3)
    steps = {"unit", "levels", "group", "width", "keep_ratio", "executed_action"}
    assert all(set(info) == steps for info in infos[:-1])
    assert set(infos[-1]) > steps


def test_executed_actions_repeat_the_episode(make_env: MakeEnv) -> None:
    env = make_env("macs=0.4")
    random = np.random.default_rng(2)
    for _ in range(10):
        total, infos = play(env, lambda: random.uniform(-1, 1))
        executed = iter([float(info["executed_action"][0]) for info in infos])
        again, repeated = play(env, executed.__next__)
        assert again == total
        assert [info["width"] for info in repeated] == [info["width"] for info in infos]


@pytest.mark.parametrize("budgets", [("macs=0.5",), ("params=0.5", "latency=0.4"), ("macs=0.25",)])
def test_every_episode_is_within_budget_and_uses_it(make_env: MakeEnv, budgets: tuple[str, ...]) -> None:
    env = make_env(*budgets)
    planner = env.problem.planner
    random = np.random.default_rng(3)
    for _ in range(20):
        _, infos = play(env, lambda: random.uniform(-1, 1))
        used = [infos[-1]["outcome"].costs[metric] / limit for metric, limit in planner.limits.items()]
        assert planner.target - 1e-9 <= max(used) <= 1 + 1e-9


def test_evaluations_are_counted_and_never_repeated(make_env: MakeEnv) -> None:
    env = make_env("macs=0.5")
    assert (env.problem.evaluations, env.problem.cache_hits) == (1, 0)  # the uniform plan
    _, infos = play(env, lambda: 0.0)
    assert (infos[-1]["evaluations"], infos[-1]["cache_hits"]) == (1, 1)
    _, infos = play(env, lambda: -1.0)
    assert (infos[-1]["evaluations"], infos[-1]["cache_hits"]) == (2, 1)


@pytest.mark.parametrize("action", [[math.nan], [1.5], [-1.01], [0.1, 0.1], 0.5])
def test_bad_actions_are_refused_and_change_nothing(make_env: MakeEnv, action: object) -> None:
    env = make_env("macs=0.5")
    env.reset(seed=0)
    with pytest.raises(ActionError):
        env.step(np.array(action, dtype=np.float32))
    assert env.episode.at == 0


def test_a_step_after_the_end_is_refused(make_env: MakeEnv) -> None:
    env = make_env("macs=0.5")
    play(env, lambda: 0.0)
    with pytest.raises(ActionError, match="reset"):
        env.step(np.zeros(1, dtype=np.float32))


def test_render(make_env: MakeEnv) -> None:
    env = make_env("macs=0.5")
    env.reset(seed=0)
    env.step(np.zeros(1, dtype=np.float32))
    lines = str(env.render()).splitlines()
    names = [group.name for group in env.problem.network.groups]
    assert [line.split()[0] for line in lines] == names
    assert lines[0].split()[1:4] == [str(env.problem.planner.filled[0]), "/", "16"]
    assert lines[1].split()[1:4] == ["-", "/", "32"]
    assert LayerPruningEnv(env.problem).render() is None
    with pytest.raises(ConfigError, match="ansi"):
        LayerPruningEnv(env.problem, render_mode="human")


def test_every_step_is_a_picture_of_the_same_size(make_env: MakeEnv) -> None:
    """What SB3's ``make_vec_env`` asks for without being told."""
    made = make_vec_env(ENV_ID, env_kwargs={"problem": make_env("macs=0.5").problem})
    made.reset()
    pictures = [made.render()]
    for _ in range(2):
        made.step(np.zeros((1, 1), dtype=np.float32))
        pictures.append(made.render())
    for picture in pictures:
        assert picture is not None
        assert (picture.dtype, picture.ndim, picture.shape) == (np.uint8, 3, (*picture.shape[:2], 3))
    first, second, third = pictures
    assert first.shape == second.shape == third.shape  # type: ignore[union-attr]
    assert (first != second).any()  # type: ignore[union-attr]
    assert (second != third).any()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("budget", "reward", "error"), [("macs=0.5", "agrement", ConfigError), ("macs=1e-9", "amc", BudgetError)]
)
def test_bad_problems_are_refused_before_anything_is_evaluated(
    make_env: MakeEnv, budget: str, reward: str, error: type[Exception]
) -> None:
    problem = make_env("macs=0.5").problem
    before = problem.evaluations
    with pytest.raises(error):
        PruningProblem(problem.network, problem.evaluator, problem.costs, [Budget.parse(budget)], reward)
    assert problem.evaluations == before
