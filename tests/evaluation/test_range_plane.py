"""The plane of cost and loss of a range of budgets, of plans that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rlprune.evaluation.problem import Outcome
from rlprune.evaluation.quality import Quality
from rlprune.evaluation.range_plane import RangePlane


def outcome(macs: float, loss: float) -> Outcome:
    return Outcome(np.zeros(1, dtype=np.int64), Quality(0.5, loss, 1), {"macs": macs}, -loss, {}, loss)


def plane(most_cost: float) -> RangePlane:
    return RangePlane("macs", dense_cost=10.0, most_cost=most_cost, most_loss=1.0)


@pytest.mark.parametrize(
    ("plans", "volume"),
    [
        ([], 0.0),
        ([(5.0, 0.1)], 0.5 * np.log(10)),
        ([(5.0, 0.1), (2.5, np.exp(-1.0))], 0.25 * 1.0 + 0.5 * np.log(10)),
        ([(5.0, 0.1), (7.0, 0.5), (6.0, 3.0)], 0.5 * np.log(10)),
        ([(12.0, 0.1)], 0.0),
    ],
)
def test_the_hypervolume_is_the_area_that_plans_dominate(plans: list[tuple[float, float]], volume: float) -> None:
    assert plane(1.0).hypervolume(outcome(*plan) for plan in plans) == pytest.approx(volume)


def test_the_volume_is_that_of_undominated_plans() -> None:
    plans = [outcome(8.0, 0.2), outcome(4.0, 0.5), outcome(5.0, 0.6), outcome(4.0, 0.7), outcome(3.0, math.nan)]
    front = plane(0.9).undominated(plans)
    assert [(one.costs["macs"], one.loss) for one in front] == [(4.0, 0.5), (8.0, 0.2)]
    assert plane(0.9).hypervolume(front) == pytest.approx(plane(0.9).hypervolume(plans))
    assert plane(0.9).hypervolume(front) == pytest.approx(0.4 * np.log(2) + 0.1 * np.log(5))
