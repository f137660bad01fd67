from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr

from rlprune.agents.exploration import Exploration, Explorer
from rlprune.agents.loss_model import AdditiveLoss, LossModel
from rlprune.agents.proposals import Neighbourhood, climb
from rlprune.arrays import FloatArray, IntArray
from rlprune.budgets.completion import FITS
from rlprune.budgets.limits import Budget
from rlprune.envs.episode import RunningEpisode
from rlprune.envs.observations import Observer
from rlprune.errors import ConfigError
from rlprune.evaluation.problem import PruningProblem
from tests.agents.conftest import MakeEnv


@pytest.fixture
def problem(make_env: MakeEnv) -> PruningProblem:
    return make_env().problem


def random_plans(problem: PruningProblem, count: int, seed: int = 0) -> IntArray:
    random = np.random.default_rng(seed)
    return np.stack([[random.choice(group.widths) for group in problem.network.groups] for _ in range(count)])


def made_up(problem: PruningProblem, plans: IntArray) -> FloatArray:
    """A loss that is a sum over groups, with weights that no error curve knows."""
    weights = np.array([3.0, 0.2, 1.0, 0.5])[: plans.shape[1]]
    return np.asarray(((1 - plans / problem.network.dense_widths) ** 2 @ weights) + 0.01)


def test_the_additive_loss_never_rises_with_a_width(problem: PruningProblem) -> None:
    model = AdditiveLoss(problem.space.choices, problem.evaluator.loss_tables)
    plans = random_plans(problem, 40)
    model.fit(plans, np.random.default_rng(1).uniform(0.1, 2.0, 40))
    for plan in random_plans(problem, 30, seed=2):
        for index, group in enumerate(problem.network.groups):
            row = np.repeat(plan[None], len(group.widths), axis=0)
            row[:, index] = group.widths
            assert (np.diff(model(row)) <= 1e-12).all()


def test_the_additive_loss_is_learned_from_few_plans(problem: PruningProblem) -> None:
    model, plans, unseen = (
        AdditiveLoss(problem.space.choices, problem.evaluator.loss_tables),
        random_plans(problem, 30),
        random_plans(problem, 200, seed=5),
    )
    before = spearmanr(model(unseen), made_up(problem, unseen)).statistic
    model.fit(plans, made_up(problem, plans))
    assert spearmanr(model(unseen), made_up(problem, unseen)).statistic > max(0.9, before)


def test_residuals_learn_what_is_no_sum(problem: PruningProblem) -> None:
    plans, unseen = random_plans(problem, 120), random_plans(problem, 200, seed=5)

    def loss(rows: IntArray) -> FloatArray:
        keep = rows / problem.network.dense_widths
        return np.asarray(0.05 + (1 - keep[:, 0]) * (1 - keep[:, 1]) + 0.1 * (1 - keep[:, 2]))

    errors = []
    for residuals in (False, True):
        model = LossModel(problem.space.choices, problem.evaluator.loss_tables, residuals=residuals)
        model.fit(plans, loss(plans))
        errors.append(float(np.std(model.predict(unseen)[0] - np.log(loss(unseen)))))
    assert errors[1] < 0.7 * errors[0]


def test_what_was_tried_is_known_better_than_what_was_not(problem: PruningProblem) -> None:
    plans = random_plans(problem, 40)
    model = LossModel(problem.space.choices, problem.evaluator.loss_tables)
    model.fit(plans, made_up(problem, plans) * np.random.default_rng(0).uniform(0.7, 1.4, 40))
    assert model.predict(plans)[1].mean() < model.predict(random_plans(problem, 100, seed=9))[1].mean()


def test_neighbours_fit_and_use_the_budget(problem: PruningProblem) -> None:
    planner = problem.planner
    rows = Neighbourhood(problem, np.random.default_rng(0)).of(planner.filled)
    assert len(rows) > 5
    used = planner.usage(rows)
    assert (used <= FITS).all()
    assert (used >= planner.target).all()
    assert all(set(rows[:, index]) <= set(choice.levels) for index, choice in enumerate(planner.choices))


def test_climbing_goes_downhill_and_ends_in_a_plan_that_is_new(problem: PruningProblem) -> None:
    planner, near = problem.planner, Neighbourhood(problem, np.random.default_rng(0))
    loss = lambda rows: made_up(problem, rows)  # noqa: E731
    known = {tuple(planner.filled.tolist())}
    for _ in range(5):
        found = climb(planner.filled, near, loss, known, rounds=6)
        assert found is not None
        assert tuple(found.tolist()) not in known
        known.add(tuple(found.tolist()))
    assert min(loss(np.array(list(known)))) < loss(planner.filled[None])[0]


def played(explorer: Explorer, rounds: int) -> list[tuple[int, ...]]:
    """Plans of some rounds, each evaluated."""
    found = []
    for _ in range(rounds):
        for at, plan in explorer.choose(1):
            assert plan is not None
            problem = explorer.problems[at]
            episode = RunningEpisode(problem, Observer(problem), plan)
            while not episode.walk.done:
                action = episode.next_action()
                assert action is not None
                episode.decide(action)
            np.testing.assert_array_equal(episode.walk.levels, plan)
            explorer.learn(at, episode, problem.outcome(plan))
            found.append(tuple(plan.tolist()))
    return found


def possible(problem: PruningProblem) -> set[tuple[int, ...]]:
    """Every plan that meets the budget and makes use of it; few, on so small a network."""
    plans = np.array(list(itertools.product(*(group.widths for group in problem.network.groups))))
    used = problem.planner.usage(plans)
    return {tuple(plan.tolist()) for plan in plans[(used <= FITS) & (used >= problem.planner.target)]}


def test_the_first_plan_is_uniform_and_all_there_are_are_found(problem: PruningProblem) -> None:
    plans, every = played(Explorer([problem], Exploration(), 0), 40), possible(problem)
    assert plans[0] == tuple(problem.planner.filled.tolist())
    assert len(every) > 5
    assert len(set(plans[:5])) == 5
    assert set(plans) == every


@pytest.mark.parametrize(
    "settings",
    [Exploration(model=False), Exploration(residuals=False), Exploration(warm_start=False), Exploration(restarts=1.0)],
)
def test_every_part_can_be_switched_off(problem: PruningProblem, settings: Exploration) -> None:
    assert set(played(Explorer([problem], settings, 0), 40)) == possible(problem)


def test_plans_of_one_round_are_different(problem: PruningProblem) -> None:
    plans = [tuple(plan) for _, plan in Explorer([problem], Exploration(), 0).choose(6) if plan is not None]
    assert len(set(plans)) == 6


def test_several_budgets_take_turns_and_share_what_was_learned(problem: PruningProblem) -> None:
    problems = [problem.within([Budget("macs", share)]) for share in (0.4, 0.6)]
    explorer = Explorer(problems, Exploration(), 0)
    assert [at for at, _ in explorer.choose(4)] == [0, 1, 0, 1]
    played(explorer, 10)
    for at, plan in explorer.choose(6):
        assert plan is not None
        assert problems[at].planner.usage(plan[None])[0] <= FITS


@pytest.mark.parametrize(
    "settings",
    [{"actor": 1.5}, {"restarts": -0.1}, {"elites": -1.0}, {"optimism": -1.0}, {"prior_weight": 0.0}, {"rows": 0}],
)
def test_impossible_exploration_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Exploration(**settings)  # type: ignore[arg-type]
