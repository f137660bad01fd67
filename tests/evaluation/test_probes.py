"""Probes: tables pass through what was measured, and never fall with less of a choice."""

from __future__ import annotations

import numpy as np
import pytest

from rlprune.budgets.limits import Budget
from rlprune.costs import MacsCost
from rlprune.evaluation.evaluator import Evaluator
from rlprune.evaluation.probes import PROBE_SAMPLES, error_tables
from rlprune.evaluation.problem import PruningProblem
from rlprune.networks.network import Network
from rlprune.pruning.tables import PruningTables
from rlprune.tasks import load_task
from rlprune.zoo import load_zoo, zoo_entry


@pytest.fixture(scope="module")
def problem() -> PruningProblem:
    network, task = Network(load_zoo("digits-resnet"), zoo_entry("digits-resnet").example_inputs()), load_task("digits")
    evaluator = Evaluator(PruningTables(network, task.calibration), task, samples=120)
    return PruningProblem(network, evaluator, {"macs": MacsCost(network)}, [Budget.parse("macs=0.5")])


def test_tables_hold_what_was_measured_alone_on_calibration_samples(problem: PruningProblem) -> None:
    evaluator, choices = problem.evaluator, problem.space.choices
    tables = evaluator.loss_tables
    calibration = evaluator.on_samples(PROBE_SAMPLES, evaluator.task.calibration)
    for at, choice in enumerate(choices):
        row = problem.space.full.copy()
        lower = np.array(choice.levels[:-1])
        levels = sorted({int(lower[np.abs(lower / choice.full - share).argmin()]) for share in (0.5, 0.25)})
        measured = []
        for level in levels:
            row[at] = level
            measured.append(calibration(row).divergence)
        np.testing.assert_allclose(tables.losses[at, levels], measured, rtol=0.05)
        assert tables.measured[at] == pytest.approx(np.exp(np.log(measured).mean()), rel=1e-6)
        assert tables.losses[at, choice.full] == 0
        assert (np.diff(tables.losses[at, list(choice.levels)]) <= 1e-12).all()


def test_sums_are_those_of_the_choices(problem: PruningProblem) -> None:
    tables, choices = problem.evaluator.loss_tables, problem.space.choices
    plans = np.array([[random.levels[0] for random in choices], [choice.full for choice in choices], problem.probe])
    wanted = [sum(tables.losses[at, level] for at, level in enumerate(plan)) for plan in plans]
    np.testing.assert_allclose(tables(plans), wanted)
    by_place = tables.of(choices)
    assert all(by_place[at, place] == tables.losses[at, level]
               for at, choice in enumerate(choices) for place, level in enumerate(choice.levels))  # fmt: skip


def test_shrinkage_draws_losses_to_their_mean_and_keeps_their_order(problem: PruningProblem) -> None:
    tables = problem.evaluator.loss_tables
    shrunk = tables.shrunk(0.2)
    logs = np.log(tables.measured)
    np.testing.assert_allclose(shrunk.losses, tables.losses * np.exp(-0.2 * (logs - logs.mean()))[:, None])
    np.testing.assert_array_equal(tables.shrunk(0.0).losses, tables.losses)


def test_probes_are_run_once_for_all_budgets_and_counted(problem: PruningProblem) -> None:
    fresh = problem.fresh()
    before = fresh.evaluator.images
    fresh.probe  # noqa: B018
    probed = fresh.evaluator.images - before
    assert 0 < probed <= 2 * len(problem.space.choices) * PROBE_SAMPLES
    fresh.within([Budget.parse("macs=0.7")]).probe  # noqa: B018
    assert fresh.evaluator.images - before - probed <= fresh.evaluator.samples  # the other filled plan alone


def test_the_plan_of_probes_fits_and_loses_least_of_the_plans_that_are_known(problem: PruningProblem) -> None:
    tables = problem.evaluator.loss_tables
    plans = np.stack([problem.probe, problem.planner.filled, problem.planner.uniform])
    assert problem.planner.usage(plans[:1])[0] <= 1 + 1e-9
    assert tables(plans).argmin() == 0
    prior = error_tables(problem.space.choices, problem.evaluator.error_curve)
    assert prior.losses.shape == tables.losses.shape
