"""Budgets: how they are written, and that every walk meets and uses them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rlprune.arrays import FloatArray, IntArray
from rlprune.budgets.limits import Budget, cost_name, format_cost
from rlprune.budgets.planner import MIN_USAGE, BudgetPlanner, BudgetWalk
from rlprune.choices.choice import Choice
from rlprune.choices.space import Space
from rlprune.costs import CostModel, MacsCost, ParamsCost
from rlprune.errors import BudgetError
from rlprune.networks.network import Network

Levels = IntArray
ROUNDING = 1 + 1e-9


class SyntheticCost:
    """Positive products of neighbouring levels, and a positive price for each level: never falls."""

    def __init__(self, choices: Sequence[Choice], random: np.random.Generator, metric: str = "macs") -> None:
        self.metric = metric
        self.unit = "ms" if metric == "latency" else metric
        self._pairs = random.uniform(0.0, 1.0, len(choices) + 1) ** 2
        self._single = random.uniform(0.0, 20.0, len(choices))

    def __call__(self, widths: Levels) -> FloatArray:
        chain = np.pad(widths.astype(float), ((0, 0), (1, 1)), constant_values=3.0)
        return np.asarray((chain[:, 1:] * chain[:, :-1]) @ self._pairs + np.sqrt(widths) @ self._single)


def make_choice(name: str, levels: Sequence[int]) -> Choice:
    return Choice(name, "channels", tuple(levels), name)


def random_choices(random: np.random.Generator, count: int, levels: int) -> list[Choice]:
    choices = []
    for index in range(count):
        full = int(random.choice([8, 16, 24, 64]))
        drawn = {int(w) for w in random.integers(1, full, size=levels - 1)} | {full}
        choices.append(make_choice(f"g{index}", sorted(drawn)))
    return choices


def every_plan(choices: Sequence[Choice]) -> Levels:
    return np.array(list(itertools.product(*(choice.levels for choice in choices))), dtype=np.int64)


def random_walk(planner: BudgetPlanner, random: np.random.Generator, *, within: bool) -> BudgetWalk:
    walk = planner.start()
    while not walk.done:
        allowed = walk.options() if within else planner.choices[walk.index].levels
        walk.decide(int(random.choice(np.asarray(allowed))))
    return walk


# --- writing budgets ---


@pytest.mark.parametrize(
    ("text", "metric", "value", "unit"),
    [
        ("latency=0.5", "latency", 0.5, None),
        ("macs=1", "macs", 1.0, None),
        ("latency=8ms", "latency", 8.0, "ms"),
        ("latency = 250 us", "latency", 0.25, "ms"),
        ("latency=0.002s", "latency", 2.0, "ms"),
        ("energy=2mJ", "energy", 2.0, "mJ"),
        ("energy=1.5J", "energy", 1500.0, "mJ"),
        ("energy=30uJ", "energy", 0.03, "mJ"),
        ("macs=20M", "macs", 20e6, "macs"),
        ("macs=1.5G", "macs", 1.5e9, "macs"),
        ("params=300k", "params", 3e5, "params"),
        ("params=250000", "params", 250000.0, "params"),
        ("params=2.5e5", "params", 250000.0, "params"),
    ],
)
def test_parse(text: str, metric: str, value: float, unit: str | None) -> None:
    budget = Budget.parse(text)
    assert (budget.metric, budget.unit) == (metric, unit)
    assert budget.value == pytest.approx(value, rel=1e-12)
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("latensy=0.5", "Did you mean 'latency'"),
        ("latency", "metric=value"),
        ("latency=", "not a number"),
        ("latency=fast", "not a number"),
        ("latency=0", "over 0"),
        ("latency=-3ms", "over 0"),
        ("macs=nan", "finite"),
        ("macs=inf", "finite"),
        ("macs=1e999", "finite"),
        ("latency=1.5", "at most 1"),
        ("latency=8", "at most 1"),
        ("macs=2.5", "at most 1"),
        ("latency=8mJ", "no unit 'mJ'"),
        ("macs=20ms", "no unit 'ms'"),
        ("latency=8MS", "no unit 'MS'"),
        ("params=3K5", "not a number"),
    ],
)
def test_parse_refuses(text: str, says: str) -> None:
    with pytest.raises(BudgetError, match=says):
        Budget.parse(text)


def test_a_budget_made_by_hand_is_checked_too() -> None:
    with pytest.raises(BudgetError, match="kept in 'ms'"):
        Budget("latency", 8.0, "us")
    with pytest.raises(BudgetError, match="finite"):
        Budget("macs", math.nan)


def test_costs_for_people() -> None:
    assert format_cost("macs", 61_300_000) == "61.3 M"
    assert format_cost("params", 900) == "900"
    assert format_cost("latency", 8.2) == "8.2 ms"
    assert [cost_name(m) for m in ("macs", "latency", "energy")] == ["macs", "latency_ms", "energy_mj"]


# --- refusing budgets ---


class Priced:
    """A fixed price for each channel of each group."""

    metric = unit = "macs"

    def __init__(self, *prices: float) -> None:
        self._prices = np.array(prices)

    def __call__(self, widths: Levels) -> FloatArray:
        return np.asarray(widths @ self._prices, dtype=np.float64)


TEN_AND_ONE = Priced(10e6, 1e6)


def two_choices() -> list[Choice]:
    return [make_choice("layer1.conv", (4, 8)), make_choice("layer2.conv", (2, 4, 8))]


def test_an_impossible_budget_names_the_cheapest_cost_and_the_largest_group() -> None:
    with pytest.raises(BudgetError) as caught:
        BudgetPlanner(two_choices(), {"macs": TEN_AND_ONE}, [Budget.parse("macs=30M")])
    assert str(caught.value) == (
        "Budget macs=30000000 cannot be met: it allows 30.0 M, and the smallest plan needs 42.0 M (95% of it in "
        "`layer1.conv`), 47.7% of the dense network's 88.0 M. Ask for macs=42M or more."
    )


def test_the_smallest_possible_budget_leaves_one_plan() -> None:
    planner = BudgetPlanner(two_choices(), {"macs": TEN_AND_ONE}, [Budget.parse("macs=42M")])
    assert planner.filled.tolist() == planner.uniform.tolist() == [4, 2]
    assert planner.count(10) == 1
    assert random_walk(planner, np.random.default_rng(0), within=False).levels.tolist() == [4, 2]


def test_one_budget_a_metric_and_a_cost_for_each() -> None:
    with pytest.raises(BudgetError, match="one budget"):
        BudgetPlanner(two_choices(), {"macs": TEN_AND_ONE}, [Budget.parse("macs=0.9"), Budget.parse("macs=0.8")])
    with pytest.raises(BudgetError, match="device profile"):
        BudgetPlanner(two_choices(), {"macs": TEN_AND_ONE}, [Budget.parse("latency=0.9")])


def test_a_finished_walk_is_over() -> None:
    planner = BudgetPlanner(two_choices(), {"macs": TEN_AND_ONE}, [])
    walk = random_walk(planner, np.random.default_rng(0), within=True)
    with pytest.raises(BudgetError, match="Start a new one"):
        walk.decide(4)


# --- walks ---


@given(seed=st.integers(0, 2**32 - 1), fraction=st.floats(0.05, 1.0), metrics=st.integers(1, 2))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_walks_against_every_plan(seed: int, fraction: float, metrics: int) -> None:
    random = np.random.default_rng(seed)
    choices = random_choices(random, int(random.integers(1, 5)), 6)
    costs = {metric: SyntheticCost(choices, random, metric) for metric in ("macs", "latency")[:metrics]}
    plans = every_plan(choices)
    lowest, full = plans[:1], plans[-1:]
    room = {m: (1 - fraction) * float(c(lowest)[0]) + fraction * float(c(full)[0]) for m, c in costs.items()}
    budgets = [Budget(m, limit, costs[m].unit) for m, limit in room.items()]

    planner = BudgetPlanner(choices, costs, budgets)
    used = np.max([cost(plans) / room[metric] for metric, cost in costs.items()], axis=0)
    reachable = used[used <= ROUNDING].max()
    assert planner.target == pytest.approx(min(MIN_USAGE, reachable), abs=1e-9)  # few plans: all were tried
    for within in (True, False):
        walk = random_walk(planner, random, within=within)
        spent = {metric: float(cost(walk.levels[None])[0]) / room[metric] for metric, cost in costs.items()}
        assert max(spent.values()) <= ROUNDING
        assert max(spent.values()) >= planner.target - 1e-9
        assert all(level in choice.levels for level, choice in zip(walk.levels.tolist(), choices, strict=True))


def test_every_option_can_be_completed_and_most_possible_widths_are_options() -> None:
    offered = possible = 0
    for seed in range(25):
        random = np.random.default_rng(seed)
        choices = random_choices(random, 4, 6)
        cost = SyntheticCost(choices, random)
        planner = BudgetPlanner(choices, {"macs": cost}, [Budget("macs", 0.6)])
        plans = every_plan(choices)
        used = cost(plans) / planner.limits["macs"]
        good = plans[(used <= ROUNDING) & (used >= planner.target - 1e-9)]
        walk = planner.start()
        while not walk.done:
            completable = set(
                good[(good[:, : walk.index] == walk.levels[: walk.index]).all(axis=1), walk.index].tolist()
            )
            options = set(walk.options().tolist())
            assert options <= completable
            offered, possible = offered + len(options), possible + len(completable)
            walk.decide(int(random.choice(walk.options())))
    assert offered >= 0.75 * possible  # few, irregular widths: the hardest case


def test_more_plans_than_can_be_tried() -> None:
    for seed in range(15):
        random = np.random.default_rng(seed)
        choices = random_choices(random, 12, 5)
        cost = SyntheticCost(choices, random)
        planner = BudgetPlanner(choices, {"macs": cost}, [Budget("macs", 0.5)])
        assert planner.target == MIN_USAGE
        for _ in range(3):
            used = planner.usage(random_walk(planner, random, within=False).levels[None])[0]
            assert MIN_USAGE - 1e-9 <= used <= ROUNDING


def test_coarse_widths_use_what_they_can() -> None:
    choices = [make_choice("a", (1, 8)), make_choice("b", (1, 8))]
    planner = BudgetPlanner(choices, {"macs": Priced(1, 1)}, [Budget("macs", 12.0, "macs")])
    assert planner.target == 9 / 12
    ends = {tuple(random_walk(planner, np.random.default_rng(s), within=True).levels.tolist()) for s in range(10)}
    assert ends == {(1, 8), (8, 1)}


def test_without_budgets_everything_is_an_option() -> None:
    choices = [make_choice("a", (2, 4, 8)), make_choice("b", (1, 3))]
    planner = BudgetPlanner(choices, {"macs": SyntheticCost(choices, np.random.default_rng(0))}, [])
    assert planner.limits == {}
    assert planner.filled.tolist() == [8, 3]
    walk = planner.start()
    assert walk.options().tolist() == [2, 4, 8]
    walk.decide(2)
    assert walk.options().tolist() == [1, 3]


def test_a_budget_over_the_dense_cost_is_the_dense_cost() -> None:
    choices = [make_choice("a", (2, 4, 8)), make_choice("b", (1, 3))]
    cost = SyntheticCost(choices, np.random.default_rng(0))
    planner = BudgetPlanner(choices, {"macs": cost}, [Budget.parse("macs=1G")])
    assert planner.limits == planner.dense_costs
    assert planner.filled.tolist() == [8, 3]


def test_the_tighter_of_two_budgets_binds() -> None:
    random = np.random.default_rng(3)
    choices = random_choices(random, 6, 6)
    costs = {metric: SyntheticCost(choices, random, metric) for metric in ("macs", "latency")}
    planner = BudgetPlanner(choices, costs, [Budget("macs", 0.9), Budget("latency", 0.5)])
    widths = random_walk(planner, random, within=False).levels[None]
    assert costs["macs"](widths)[0] <= planner.limits["macs"] * ROUNDING
    assert MIN_USAGE - 1e-9 <= costs["latency"](widths)[0] / planner.limits["latency"] <= ROUNDING


def test_decide_takes_the_nearest_option_and_follows_the_uniform_plan() -> None:
    random = np.random.default_rng(5)
    choices = random_choices(random, 8, 6)
    planner = BudgetPlanner(choices, {"macs": SyntheticCost(choices, random)}, [Budget("macs", 0.5)])
    walk = planner.start()
    while not walk.done:
        index, options = walk.index, walk.options()
        asked = int(random.integers(0, choices[index].full + 1))
        executed = walk.decide(asked)
        assert executed == walk.levels[index]
        assert abs(executed - asked) == np.abs(options - asked).min()
    follower = planner.start()
    for width in planner.filled:
        assert follower.decide(int(width)) == width


def test_cheapest_and_dearest_enclose_the_plan_and_close_in() -> None:
    random = np.random.default_rng(7)
    choices = random_choices(random, 5, 6)
    costs = {metric: SyntheticCost(choices, random, metric) for metric in ("macs", "latency")}
    planner = BudgetPlanner(choices, costs, [Budget("macs", 0.5)])
    walk = planner.start()
    room = [(walk.cheapest, walk.dearest)]
    while not walk.done:
        walk.decide(int(random.choice(walk.options())))
        room.append((walk.cheapest, walk.dearest))
    for metric, cost in costs.items():
        end = float(cost(walk.levels[None])[0])
        low, high = [r[0][metric] for r in room], [r[1][metric] for r in room]
        assert low == sorted(low)
        assert high == sorted(high, reverse=True)
        assert low[-1] == pytest.approx(end) == high[-1]
    assert room[0][1] == pytest.approx(planner.dense_costs)


def test_uniform_keeps_equal_shares_and_nothing_more_fits() -> None:
    choices = [make_choice(f"g{i}", range(1, 65)) for i in range(6)]
    cost = SyntheticCost(choices, np.random.default_rng(1))
    planner = BudgetPlanner(choices, {"macs": cost}, [Budget("macs", 0.5)])
    keep = planner.filled / 64
    assert keep.max() - keep.min() <= 2 / 64
    wider = planner.filled + np.eye(6, dtype=np.int64)
    assert (cost(wider) > planner.limits["macs"]).all()


def kinds_of(widths: Sequence[int]) -> list[Choice]:
    densities, bits = Choice("w", "weights", (25, 50, 100), "w"), Choice("b", "bits", (4, 8, 32), "w")
    return [*(make_choice(f"g{i}", range(8, w + 1, 8)) for i, w in enumerate(widths)), densities, bits,
            Choice("d", "depth", (0, 1), "w")]  # fmt: skip


class PlainCost:
    """A price for each level: full is ``sum(prices)``."""

    metric, unit = "macs", "macs"

    def __init__(self, choices: Sequence[Choice], prices: Sequence[float]) -> None:
        self._full, self._prices = np.array([choice.full for choice in choices]), np.array(prices)

    def __call__(self, levels: Levels) -> FloatArray:
        return np.asarray(levels / self._full @ self._prices)


@pytest.mark.parametrize(
    ("widths", "budget", "uniform"),
    [
        ((64, 64, 64), 0.5, [32, 32, 32]),
        ((64, 64, 64), 0.55, [32, 32, 32]),  # where 40 does not fit anywhere it is given to nobody
        ((64, 24, 64), 0.58, [40, 8, 40]),  # each width is rounded down: 0.625 of 24 is 15
        ((64, 24, 64), 0.65, [40, 16, 40]),
        ((64, 24, 64), 0.99, [56, 16, 56]),
    ],
)
def test_uniform_is_one_ratio_rounded_down_and_nothing_is_filled_up(
    widths: tuple[int, ...], budget: float, uniform: list[int]
) -> None:
    choices = [make_choice(f"g{i}", range(8, width + 1, 8)) for i, width in enumerate(widths)]
    planner = BudgetPlanner(choices, {"macs": PlainCost(choices, widths)}, [Budget("macs", budget)])
    assert planner.uniform.tolist() == uniform
    assert (planner.filled >= planner.uniform).all()


@pytest.mark.parametrize(
    ("budget", "uniform"),
    [
        (0.33, [8, 8, 25, 4, 1]),  # a block before all else
        (0.4, [16, 16, 25, 8, 1]),  # then eight bits, then widths and densities together
        (0.56, [32, 32, 50, 8, 1]),
        (0.86, [64, 64, 100, 8, 1]),
        (1.0, [64, 64, 100, 32, 1]),  # full precision last
    ],
)
def test_uniform_of_a_mix_gives_each_kind_the_same_share_of_its_scale(budget: float, uniform: list[int]) -> None:
    choices = kinds_of((64, 64))
    planner = BudgetPlanner(choices, {"macs": PlainCost(choices, [1, 1, 1, 1, 1])}, [Budget("macs", budget)])
    assert planner.uniform.tolist() == uniform


@given(st.integers(0, 10_000), st.floats(0.2, 1.0))
@settings(max_examples=40, deadline=None)
def test_plans_are_counted_as_all_of_them_tell(seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    choices = random_choices(random, 4, 5)
    cost = SyntheticCost(choices, random)
    low, full = (float(cost(np.array([[c.levels[end] for c in choices]]))[0]) for end in (0, -1))
    planner = BudgetPlanner(choices, {"macs": cost}, [Budget("macs", min(1.0, (low + share * (full - low)) / full))])
    used = planner.usage(every_plan(choices))
    there = int(((used <= ROUNDING) & (used >= planner.target)).sum())
    assert planner.count(625) == there
    assert planner.count(there - 1) is None


def test_a_walk_repeats_exactly() -> None:
    def ends(planner: BudgetPlanner) -> list[list[int]]:
        random = np.random.default_rng(11)
        return [random_walk(planner, random, within=False).levels.tolist() for _ in range(5)]

    choices = random_choices(np.random.default_rng(2), 7, 6)
    make: Callable[[], BudgetPlanner] = lambda: BudgetPlanner(  # noqa: E731
        choices, {"macs": SyntheticCost(choices, np.random.default_rng(2))}, [Budget("macs", 0.4)]
    )
    planner = make()
    first = ends(planner)
    assert ends(planner) == first  # from the remembered steps
    assert ends(make()) == first


@given(seed=st.integers(0, 2**32 - 1), fraction=st.floats(0.2, 0.9))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_a_walk_depends_on_what_was_decided_and_on_nothing_else(seed: int, fraction: float) -> None:
    choices = random_choices(np.random.default_rng(seed), 5, 6)
    cost = SyntheticCost(choices, np.random.default_rng(seed))
    ends = cost(np.array([[choice.levels[0] for choice in choices], [choice.full for choice in choices]]))
    budget = Budget("macs", float(ends @ [1 - fraction, fraction]), "macs")
    used = BudgetPlanner(choices, {"macs": cost}, [budget])
    random = np.random.default_rng(seed)
    for _ in range(10):
        random_walk(used, random, within=True)
    asked = [int(random.choice(choice.levels)) for choice in choices]
    here, there = used.start(), BudgetPlanner(choices, {"macs": cost}, [budget]).start()
    for level in asked:
        np.testing.assert_array_equal(here.options(), there.options())
        np.testing.assert_array_equal(here.levels, there.levels)
        assert here.decide(level) == there.decide(level)
    np.testing.assert_array_equal(here.levels, there.levels)


# --- a real network: residual sums and depthwise layers share widths ---


class SharedAndDepthwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, padding=1)
        self.expand = nn.Conv2d(24, 48, 1)
        self.depthwise = nn.Conv2d(48, 48, 3, padding=1, groups=48)
        self.project = nn.Conv2d(48, 24, 1)
        self.last = nn.Conv2d(24, 40, 3, stride=2, padding=1)
        self.head = nn.Linear(40, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = x + self.project(torch.relu(self.depthwise(torch.relu(self.expand(x)))))
        out: torch.Tensor = self.head(torch.relu(self.last(x)).mean(dim=(2, 3)))
        return out


def macs_counted(widths: dict[str, int]) -> int:
    """By hand, for :class:`SharedAndDepthwise` on 8 x 8 images."""
    shared, wide, last = widths["stem"], widths["expand"], widths["last"]
    return 64 * (3 * shared * 9 + 2 * shared * wide + wide * 9) + 16 * shared * last * 9 + last * 5


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(SharedAndDepthwise(), torch.zeros(1, 3, 8, 8), multiple=4)


@given(seed=st.integers(0, 2**32 - 1), fraction=st.floats(0.05, 1.0), and_params=st.booleans())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_never_over_on_a_network_with_shared_and_depthwise_layers(
    network: Network, seed: int, fraction: float, and_params: bool
) -> None:
    random = np.random.default_rng(seed)
    costs: dict[str, CostModel] = {"macs": MacsCost(network), "params": ParamsCost(network)}
    budgets = [Budget("macs", fraction)] + ([Budget("params", 0.6)] if and_params else [])
    planner = BudgetPlanner(Space(network).choices, costs, budgets)
    walk = random_walk(planner, random, within=False)
    names = [group.name for group in network.groups]
    macs = macs_counted(dict(zip(names, walk.levels.tolist(), strict=True)))
    dense = macs_counted(dict(zip(names, network.dense_widths.tolist(), strict=True)))
    assert macs <= fraction * dense * ROUNDING
    assert planner.target - 1e-9 <= planner.usage(walk.levels[None])[0] <= ROUNDING
