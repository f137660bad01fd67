"""Observations: bounds, what the slots say, and that they do not depend on names or sizes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from rlprune.envs import LayerPruningEnv
from rlprune.envs.slots import METRICS, observation_space, observation_table, slots_of

MakeEnv = Callable[..., LayerPruningEnv]
NAMES = [slot.name for slot in slots_of()]


def named(observation: npt.NDArray[np.float32]) -> dict[str, float]:
    return dict(zip(NAMES, observation.tolist(), strict=True))


def at_each_group(env: LayerPruningEnv, action: float = 0.0) -> list[dict[str, float]]:
    seen = [named(env.reset()[0])]
    while not env.episode.done:
        seen.append(named(env.step(np.array([action], dtype=np.float32))[0]))
    return seen


def test_slots_have_one_name_each_and_stand_in_the_manual() -> None:
    assert len(set(NAMES)) == len(NAMES)
    manual = LayerPruningEnv.__doc__ or ""
    assert all(f" {slot.name} " in manual and slot.meaning in manual for slot in slots_of())
    assert len({len(line) for line in observation_table().splitlines()}) == 1


@pytest.mark.parametrize("budgets", [("macs=0.5",), ("latency=0.3", "params=0.6"), (), ("macs=0.08",), ("energy=1",)])
def test_within_bounds_on_random_walks(make_env: MakeEnv, budgets: tuple[str, ...]) -> None:
    env = make_env(*budgets)
    space = observation_space()
    random = np.random.default_rng(0)
    for _ in range(10):
        observation, _ = env.reset()
        assert space.contains(observation)
        while not env.episode.done:
            observation, *_ = env.step(random.uniform(-1, 1, 1).astype(np.float32))
            assert space.contains(observation)


def test_what_describes_a_group(make_env: MakeEnv) -> None:
    env = make_env("macs=0.5")
    groups = {g.name: s for g, s in zip(env.problem.network.groups, at_each_group(env), strict=False)}
    assert list(groups) == ["stem", "expand", "last", "hidden"]
    assert [s["position"] for s in groups.values()] == [0, 0.25, 0.5, 0.75]
    assert [s["is_shared"] for s in groups.values()] == [1, 0, 0, 0]
    assert [s["has_depthwise"] for s in groups.values()] == [0, 1, 0, 0]
    assert [s["is_conv"] for s in groups.values()] == [1, 1, 1, 0]
    assert [s["is_linear"] for s in groups.values()] == [0, 0, 0, 1]
    assert groups["stem"]["width"] == pytest.approx(4 / 12)
    assert groups["stem"]["consumer_width"] == pytest.approx(math.log2(32 + 24) / 12)
    assert groups["stem"]["kernel"] == pytest.approx(3 / 7)
    assert groups["last"]["stride"] == pytest.approx(2 / 4)
    assert groups["last"]["positions"] == pytest.approx(4 / 16)


def test_shares_are_what_the_smallest_width_saves(make_env: MakeEnv) -> None:
    env = make_env("macs=0.5", metrics=("macs", "latency"))
    network = env.problem.network
    for index, slots in enumerate(at_each_group(env)[:-1]):
        narrow = network.dense_widths.copy()
        narrow[index] = network.groups[index].widths[0]
        saved = 1 - float(network.macs(narrow)[0]) / float(network.macs(network.dense_widths)[0])
        assert slots["macs_share"] == pytest.approx(saved, rel=1e-5) == slots["latency_share"]
        assert slots["params_share"] == slots["energy_share"] == 0.0  # the problem has no such costs


def test_budgets_and_room(make_env: MakeEnv) -> None:
    first = at_each_group(make_env("macs=0.5"))[0]
    assert [first[f"{m}_budget"] for m in METRICS] == pytest.approx([0.5, 1, 1, 1])
    assert first["macs_dearest"] == pytest.approx(1 / 6) == first["tightest_dearest"]  # dense is twice the limit
    assert first["params_dearest"] == pytest.approx(0.0, abs=1e-6)
    assert first["macs_cheapest"] < 0
    assert first["tightest_cheapest"] == first["macs_cheapest"]


def test_the_room_closes_on_the_budget(make_env: MakeEnv) -> None:
    seen = at_each_group(make_env("latency=0.5"))
    cheapest, dearest = [s["latency_cheapest"] for s in seen], [s["latency_dearest"] for s in seen]
    assert cheapest == sorted(cheapest)
    assert dearest == sorted(dearest, reverse=True)
    assert math.log2(0.97) / 6 - 1e-6 <= cheapest[-1] == dearest[-1] <= 1e-6


def test_the_same_relative_budget_reads_the_same(make_env: MakeEnv) -> None:
    """Latency that is proportional to MACs, in another unit: only the names of the slots differ."""
    macs, latency = at_each_group(make_env("macs=0.5")), at_each_group(make_env("latency=0.5"))
    for one, other in zip(macs, latency, strict=True):
        for kind in ("cheapest", "dearest", "budget"):
            assert one[f"macs_{kind}"] == pytest.approx(other[f"latency_{kind}"])
        changed = {f"{metric}_{kind}" for metric in ("macs", "latency") for kind in ("cheapest", "dearest", "budget")}
        rest = [name for name in NAMES if name not in changed]
        assert [one[name] for name in rest] == pytest.approx([other[name] for name in rest])


def test_errors_fall_along_the_curve_and_are_the_tables(make_env: MakeEnv) -> None:
    env = make_env("macs=0.5")
    seen = at_each_group(env)[:-1]
    for group, uniform, slots in zip(env.problem.network.groups, env.problem.planner.filled, seen, strict=True):
        curve = [slots[f"error_at_{k}_8"] for k in range(1, 8)]
        assert curve == sorted(curve, reverse=True)
        widths, errors = env.problem.evaluator.tables.error_curve(group.name)
        expected = 1 + math.log10(errors[list(widths).index(uniform)] + 1e-4) / 4
        assert slots["error_at_uniform"] == pytest.approx(min(max(expected, 0), 1), abs=1e-6)
    assert sum(slots["error_above_mean"] for slots in seen) == pytest.approx(0.0, abs=1e-5)


def test_decisions_are_remembered(make_env: MakeEnv) -> None:
    env = make_env("macs=0.5")
    first = named(env.reset()[0])
    assert (first["previous_action"], first["previous_keep"]) == (0.0, 1.0)
    assert first["planned_keep"] == first["uniform_keep"]
    observation, *_, info = env.step(np.array([-1.0], dtype=np.float32))
    second = named(observation)
    assert second["previous_action"] == info["executed_action"][0]
    assert second["previous_keep"] == pytest.approx(info["keep_ratio"])
    assert second["planned_keep"] == pytest.approx(env.episode.levels[1] / 32)
    assert second["lowest_option"] <= second["planned_keep"] <= second["highest_option"]
