"""Every method on decisions of all kinds, and policies that take them."""

from __future__ import annotations

import functools
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rlprune.agents import AGENTS, METHODS, Episode, Policy, make_searcher, replay, search_range
from rlprune.agents.loss_model import AdditiveLoss
from rlprune.agents.proposals import Neighbourhood
from rlprune.agents.replay import action_spread, replayed_plan
from rlprune.agents.surrogate import Surrogate, SurrogateSettings
from rlprune.budgets.completion import FITS
from rlprune.budgets.limits import Budget
from rlprune.choices.choice import KINDS, Kind
from rlprune.choices.scope import Scope
from rlprune.choices.space import Space
from rlprune.costs import MacsCost, SizeCost
from rlprune.envs import LayerPruningEnv
from rlprune.envs.slots import slots_of
from rlprune.errors import PolicyError
from rlprune.evaluation.problem import PruningProblem
from rlprune.pruning.quantization import int8_layers
from tests.mixed import prepare, random_rows

PREPARED = functools.cache(prepare)
EPISODES = 45
SPARSE = ("uniform", "filled", "prior", "probe", "probe-shrunk", "greedy", "sensitivity", "threshold")
DRAWING = ("random", "evolutionary", "tpe", "nsga2")


def make_env(budget: str = "size=0.3", *kinds: Kind, name: str = "residual") -> LayerPruningEnv:
    prepared = PREPARED(name)
    space = prepared.space(*kinds)
    costs = {"macs": MacsCost(space), "size": SizeCost(space)}
    return LayerPruningEnv(PruningProblem(space, prepared.evaluator(space), costs, [Budget.parse(budget)]))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_finds_plans_within_a_size(name: str) -> None:
    env = make_env()
    seen: list[Episode] = []
    searcher = make_searcher(name)
    episodes = max(EPISODES, searcher.fewest_episodes(len(env.problem.space.choices)))
    result = searcher.search(env, episodes, 0, seen.append)
    planner, space = env.problem.planner, env.problem.space
    assert seen == result.episodes
    assert len(seen) == episodes or name in (*SPARSE, *DRAWING)
    if name in DRAWING:  # as many new plans as any other method may evaluate
        assert seen[-1].evaluations == episodes <= len(seen)
    for episode in seen:
        levels = episode.outcome.levels
        assert episode.outcome.costs["size"] <= planner.limits["size"] * FITS
        assert all(level in choice.levels for level, choice in zip(levels.tolist(), space.choices, strict=True))
        np.testing.assert_array_equal(space.canonical(levels[None])[0], levels)
    assert seen[-1].evaluations <= episodes
    if name in AGENTS:
        assert max(episode.outcome.reward for episode in seen) > 0  # better than the filled plan
        assert result.policy is not None
        assert result.policy.spec.kinds == KINDS


@pytest.mark.parametrize("name", ["ddpg", "evolutionary"])
def test_the_same_seed_gives_the_same_plans(name: str) -> None:
    def plans(seed: int) -> list[list[int]]:
        return [e.outcome.levels.tolist() for e in make_searcher(name).search(make_env(), 12, seed).episodes]

    assert plans(1) == plans(1) != plans(2)


@pytest.mark.parametrize("name", ["ppo", "sac", "nsga2"])
def test_kinds_without_channels_and_a_range_of_sizes(name: str) -> None:
    problem = make_env("size=0.3", "weights", "bits").problem
    problems = [problem.within([Budget("size", share)]) for share in (0.2, 0.3)]
    episodes = search_range(make_searcher(name), problems, 20, 0).episodes
    costs = np.array([episode.outcome.costs["size"] for episode in episodes]) / problem.dense_costs["size"]
    assert costs.max() <= 0.3 * FITS
    assert costs.min() <= 0.2 * FITS


@pytest.mark.parametrize("name", list(AGENTS))
def test_a_policy_survives_its_files_and_replays_on_another_network(name: str, tmp_path: Path) -> None:
    env = make_env()
    policy = make_searcher(name).search(env, 12, 0).policy
    assert policy is not None
    policy.save(tmp_path)
    again = Policy.load(tmp_path)
    assert again.spec == policy.spec
    assert again.spec.actions == tuple(f"price_of_{kind}" for kind in KINDS)
    assert replayed_plan(again, env.problem).tolist() == replayed_plan(policy, env.problem).tolist()
    assert action_spread(again, env.problem) >= 0
    other = make_env("size=0.4", name="transformer").problem
    assert replay(again, other).costs["size"] <= other.planner.limits["size"] * FITS


def policy_of(*kinds: Kind) -> Policy:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        linears = [nn.Linear(len(slots_of(kinds, "price")), 8), nn.Linear(8, len(kinds))]
    return Policy.from_layers("ddpg", linears, "tanh", True, kinds, "price")


@pytest.mark.parametrize(
    ("learned", "asked"),
    [
        (("channels",), KINDS),
        (KINDS, ("channels",)),
        (("channels", "bits"), ("channels", "weights")),
        (("bits",), ("weights", "bits")),
    ],
)
def test_a_policy_of_other_kinds_is_refused(learned: tuple[Kind, ...], asked: tuple[Kind, ...]) -> None:
    problem = make_env("size=0.5", *asked).problem
    before = problem.evaluations
    with pytest.raises(PolicyError, match=f"{', '.join(learned)}; {', '.join(asked)} was asked for"):
        replay(policy_of(*learned), problem)
    assert problem.evaluations == before


def test_a_policy_says_what_it_decides_and_reads(tmp_path: Path) -> None:
    policy_of("channels", "bits").save(tmp_path)
    data = json.loads((tmp_path / "policy.json").read_text())
    assert data["actions"] == ["price_of_channels", "price_of_bits"]
    assert data["observation"] == [slot.name for slot in slots_of(("channels", "bits"), "price")]
    assert Policy.load(tmp_path).spec.kinds == ("channels", "bits")


@pytest.mark.parametrize("sizes", [(3, 2), (len(slots_of(("bits",), "price")), 4, 2)])
def test_layers_that_do_not_fit_the_kinds_are_refused(sizes: tuple[int, ...]) -> None:
    linears = [nn.Linear(into, out) for into, out in itertools.pairwise(sizes)]
    with pytest.raises(PolicyError, match="observation slots to 1 actions"):
        Policy.from_layers("ddpg", linears, "relu", True, ("bits",), "price")


@pytest.mark.parametrize("name", ["residual", "transformer"])
def test_neighbours_are_plans_within_the_budget(name: str) -> None:
    problem = make_env("size=0.2", name=name).problem
    rows = Neighbourhood(problem, np.random.default_rng(0)).of(problem.planner.filled)
    assert len(rows) > 20
    used = problem.planner.usage(rows)
    assert (used <= FITS).all()
    assert (used >= problem.planner.target).all()
    np.testing.assert_array_equal(problem.space.canonical(rows), rows)
    for column, choice in zip(rows.T, problem.space.choices, strict=True):
        assert set(column.tolist()) <= set(choice.levels)
    changed = {c.kind for i, c in enumerate(problem.space.choices) if (rows[:, i] != problem.planner.filled[i]).any()}
    assert changed >= {"channels", "weights", "bits"}


def test_some_neighbours_change_the_precision_of_all_layers_or_of_a_run() -> None:
    prepared = PREPARED("residual")
    space = prepared.space("bits", int8=int8_layers(prepared.network))
    problem = PruningProblem(space, prepared.evaluator(space), {"size": SizeCost(space)}, [])
    few = Neighbourhood(problem, np.random.default_rng(0), most=1).of(space.full) <= 8
    counts, ends = few.sum(axis=1), np.diff(few.astype(int), axis=1, prepend=0, append=0)
    runs = (ends > 0).sum(axis=1)
    assert (counts == few.shape[1]).any()
    assert ((counts > 2) & (counts < few.shape[1]) & (runs == 1)).any()
    assert runs.max() <= 2  # the run, and the one choice that changes anyway


def test_neighbours_have_levels_of_theirs_where_no_precision_permits_int8() -> None:
    prepared = PREPARED("residual")
    decisions = Scope(("channels", "bits"), bits=(16,))
    space = Space(prepared.network, decisions, int8=int8_layers(prepared.network))
    problem = PruningProblem(space, prepared.evaluator(space), {"size": SizeCost(space)}, [])
    rows = Neighbourhood(problem, np.random.default_rng(0)).of(space.full)
    for column, choice in zip(rows.T, space.choices, strict=True):
        assert set(column.tolist()) <= set(choice.levels)


def test_the_additive_loss_never_rises_with_a_level() -> None:
    problem = make_env().problem
    model = AdditiveLoss(problem.space.choices, problem.evaluator.loss_tables)
    plans = random_rows(problem.space, 60)
    model.fit(plans, np.random.default_rng(1).uniform(0.1, 2.0, 60))
    for plan in random_rows(problem.space, 10, seed=2):
        for index, choice in enumerate(problem.space.choices):
            row = np.repeat(plan[None], len(choice.levels), axis=0)
            row[:, index] = choice.levels
            assert (np.diff(model(row)) <= 1e-12).all()


def test_proposed_plans_are_new_and_fit() -> None:
    problem = make_env().problem
    surrogate, known, plans = Surrogate([problem], SurrogateSettings(), 0), set(), []
    for _ in range(10):
        plans.append(surrogate.proposed(0, known))
        known.add(tuple(plans[-1].tolist()))
    assert len(known) == 10
    assert (problem.planner.usage(np.stack(plans)) <= FITS).all()
