from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from rlprune.agents.loss_model import AdditiveLoss, LossModel
from rlprune.agents.proposals import Neighbourhood, climb
from rlprune.agents.rounds import Proposal, Rounds
from rlprune.agents.searcher import EpisodeLog
from rlprune.agents.surrogate import Known, Surrogate, SurrogateSettings
from rlprune.agents.surrogate_search import SurrogateSearcher
from rlprune.arrays import FloatArray, IntArray
from rlprune.budgets.completion import FITS
from rlprune.budgets.limits import Budget
from rlprune.envs import LayerPruningEnv
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


def played(problem: PruningProblem, settings: SurrogateSettings, count: int) -> list[tuple[int, ...]]:
    """Plans of a search by the surrogate alone."""
    episodes = SurrogateSearcher(settings).search(LayerPruningEnv(problem), count, 0).episodes
    return [tuple(episode.outcome.levels.tolist()) for episode in episodes]


def possible(problem: PruningProblem) -> set[tuple[int, ...]]:
    """Every plan that meets the budget and makes use of it; few, on so small a network."""
    plans = np.array(list(itertools.product(*(group.widths for group in problem.network.groups))))
    used = problem.planner.usage(plans)
    return {tuple(plan.tolist()) for plan in plans[(used <= FITS) & (used >= problem.planner.target)]}


def test_the_first_plans_need_no_search_and_all_there_are_are_found(problem: PruningProblem) -> None:
    plans, every = played(problem, SurrogateSettings(), 40), possible(problem)
    assert plans[:2] == [tuple(problem.planner.filled.tolist()), tuple(problem.probe.tolist())]
    assert len(every) > 5
    assert set(plans) >= every


@pytest.mark.parametrize(
    "settings", [SurrogateSettings(model=False), SurrogateSettings(residuals=False), SurrogateSettings(restarts=1.0)]
)
def test_every_part_can_be_switched_off(problem: PruningProblem, settings: SurrogateSettings) -> None:
    assert set(played(problem, settings, 40)) >= possible(problem)


def test_plans_of_one_round_are_different_and_budgets_take_turns(problem: PruningProblem) -> None:
    problems = [problem.within([Budget("macs", share)]) for share in (0.4, 0.6)]
    log = EpisodeLog(problem, method="surrogate")
    surrogate = Surrogate(problems, SurrogateSettings(), 0)
    rounds = Rounds(problems, surrogate, log, 20)
    rounds.start()
    assert [episode.origin for episode in log.episodes] == ["filled", "probe"] * 2
    proposed: list[int] = []

    def propose(at: int, known: Known) -> Proposal:
        proposed.append(at)
        plan = surrogate.proposed(at, known)
        assert tuple(plan.tolist()) not in known
        assert problems[at].planner.usage(plan[None])[0] <= FITS
        return Proposal(at, plan, "surrogate")

    rounds.play(6, propose)
    assert proposed == [0, 1, 0, 1, 0, 1]
    assert rounds.left == 10


def test_a_plan_without_a_reward_is_not_tried_again_and_worth_less_than_any(problem: PruningProblem) -> None:
    surrogate = Surrogate([problem], SurrogateSettings(), 0)
    surrogate.record(problem.filled)
    before = surrogate.expected(problem.probe[None])
    surrogate.record(replace(problem.outcome(problem.probe), reward=-1e6, loss=math.nan))
    assert tuple(problem.probe.tolist()) in surrogate.known
    assert surrogate.log_loss(problem.probe) == math.inf
    assert surrogate.expected(problem.probe[None]) == before


@pytest.mark.parametrize(
    "settings", [{"restarts": -0.1}, {"elites": -1.0}, {"optimism": -1.0}, {"prior_weight": 0.0}, {"rows": 0}]
)
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        SurrogateSettings(**settings)  # type: ignore[arg-type]
