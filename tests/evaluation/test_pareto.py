"""Dominance, knees and weighted distances of tables that are known, and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rlprune.arrays import FloatArray
from rlprune.evaluation.pareto import dominated, knee, nearest, repeated_columns, scaled, undominated

GRID = st.integers(0, 5).map(float)
TABLES = st.tuples(st.integers(1, 25), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=GRID)
)


def beats(one: FloatArray, other: FloatArray) -> bool:
    return bool((one <= other).all() and (one < other).any())


@given(TABLES)
def test_dominated_rows_are_those_that_brute_force_finds(table: FloatArray) -> None:
    assert dominated(table).tolist() == [any(beats(other, row) for other in table) for row in table]


@given(TABLES)
def test_the_front_holds_every_undominated_row_once_and_in_order(table: FloatArray) -> None:
    front = table[undominated(table)]
    wanted = {tuple(row) for row in table if not any(beats(other, row) for other in table)}
    assert [tuple(row) for row in front] == sorted(wanted)


def test_of_equal_rows_the_first_stays() -> None:
    assert undominated(np.array([[2.0, 2.0], [1.0, 1.0], [1.0, 1.0]])).tolist() == [1]
    assert undominated(np.empty((0, 3))).tolist() == []


def test_columns_that_say_the_same_are_told() -> None:
    table = np.array([[0.5, 1.0, 0.5, 1.0], [0.2, 3.0, 0.2 * (1 + 1e-9), 3.1]])
    assert repeated_columns(table) == {2: 0}
    assert repeated_columns(table[:1]) == {}


def test_the_knee_of_a_bend_is_its_corner() -> None:
    corner = np.array([[0.0, 10.0], [1.0, 1.0], [4.0, 0.9], [10.0, 0.0]])
    found = knee(corner)
    assert found.row == 1
    assert found.distance == pytest.approx((1 - 0.1 - 0.1) / np.sqrt(2))


def test_the_knee_of_a_quarter_circle_is_at_45_degrees() -> None:
    angles = np.linspace(0, np.pi / 2, 91)
    circle = 1 - np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = knee(circle * [7.0, 0.01])
    assert found.row == 45
    assert found.distance == pytest.approx(1 - 1 / np.sqrt(2))


def test_the_knee_of_an_eighth_of_a_sphere_lies_in_its_middle() -> None:
    axis = np.linspace(0.05, 1, 20)
    directions = np.array([(a, b, c) for a in axis for b in axis for c in axis] + np.eye(3).tolist())
    sphere = 1 - directions / np.linalg.norm(directions, axis=1, keepdims=True)
    found = knee(sphere)
    assert sphere[found.row] == pytest.approx(np.full(3, 1 - 1 / np.sqrt(3)))


def test_a_repeated_objective_does_not_move_the_knee() -> None:
    table = np.array([[0.0, 10.0], [1.0, 1.0], [4.0, 0.9], [10.0, 0.0]])
    assert knee(table[:, [0, 1, 1]]).row == knee(table).row == 1


def test_a_front_that_bends_outwards_has_no_knee_but_an_extreme() -> None:
    angles = np.linspace(0, np.pi / 2, 11)
    outwards = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = knee(outwards)
    assert found.row in (0, 10)
    assert found.distance == pytest.approx(0)


def test_of_a_front_without_a_bend_a_little_cheaper_and_far_worse_is_not_the_knee() -> None:
    assert knee(np.array([[0.06, 0.764, 0.15], [0.40, 0.739, 0.14]])).row == 0


@pytest.mark.parametrize("rows", [1, 2])
def test_small_fronts_have_a_knee_too(rows: int) -> None:
    assert knee(np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])[:rows]).row == 0


@given(TABLES)
def test_preferences_can_choose_every_plan_of_every_front(table: FloatArray) -> None:
    front = table[undominated(table)]
    heights = scaled(front)
    for row, own in enumerate(heights):
        weights = 1 / (own + 1e-7)
        assert nearest(front, weights.tolist()) == row


@given(TABLES, st.integers(0, 4))
def test_a_single_preference_takes_the_best_in_it(table: FloatArray, column: int) -> None:
    column %= table.shape[1]
    weights = [float(place == column) for place in range(table.shape[1])]
    assert table[nearest(table, weights), column] == table[:, column].min()


def test_a_greater_weight_leads_nearer_to_the_best_of_it() -> None:
    line = np.stack([np.linspace(0, 1, 101), np.linspace(1, 0, 101)], axis=1)
    assert [nearest(line, [weight, 1.0]) for weight in (0.25, 1.0, 4.0)] == [80, 50, 20]
