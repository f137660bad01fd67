"""The exact hypervolume: known values, Monte Carlo, and what must hold of every one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rlprune.arrays import FloatArray
from rlprune.evaluation.pareto import contributions, hypervolume, undominated

SHAPES = st.tuples(st.integers(1, 8), st.integers(1, 5))
TABLES = SHAPES.flatmap(lambda shape: arrays(np.float64, shape, elements=st.integers(0, 8).map(lambda n: n / 8)))


def by_inclusion_and_exclusion(losses: FloatArray, reference: FloatArray) -> float:
    """The volume of a union as a sum over all subsets: right by definition, and slow."""
    gains, total = np.maximum(reference - losses, 0), 0.0
    for size in range(1, len(gains) + 1):
        for subset in itertools.combinations(gains, size):
            total -= (-1) ** size * float(np.min(subset, axis=0).prod())
    return total


@given(TABLES)
def test_it_is_the_volume_of_the_union(table: FloatArray) -> None:
    reference = np.ones(table.shape[1])
    assert hypervolume(table, reference) == pytest.approx(by_inclusion_and_exclusion(table, reference))


@pytest.mark.parametrize("objectives", [2, 3, 4, 5])
def test_it_agrees_with_monte_carlo(objectives: int) -> None:
    draw = np.random.default_rng(objectives)
    points = draw.random((30, objectives))
    samples = draw.random((200_000, objectives))
    hit = np.zeros(len(samples), dtype=bool)
    for point in points:
        hit |= (samples >= point).all(axis=1)
    assert hypervolume(points, np.ones(objectives)) == pytest.approx(hit.mean(), abs=5 * 0.5 / np.sqrt(len(samples)))


def test_known_values() -> None:
    ones = np.ones(3)
    assert hypervolume(np.array([[0.5, 0.5, 0.5]]), ones) == pytest.approx(0.125)
    corners = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
    assert hypervolume(corners, ones) == pytest.approx(4 / 8)
    assert hypervolume(np.array([[0.0, 0.5], [0.5, 0.0]]), ones[:2]) == pytest.approx(0.75)
    assert hypervolume(np.array([[1.0, 0.0, 0.0], [0.2, 2.0, 0.1]]), ones) == 0.0
    assert hypervolume(np.empty((0, 4)), np.ones(4)) == 0.0


@given(TABLES)
def test_one_more_point_never_lowers_it_and_a_beaten_one_adds_nothing(table: FloatArray) -> None:
    reference = np.ones(table.shape[1])
    volumes = [hypervolume(table[:count], reference) for count in range(len(table) + 1)]
    assert all(later >= earlier - 1e-12 for earlier, later in itertools.pairwise(volumes))
    assert hypervolume(table[undominated(table)], reference) == pytest.approx(volumes[-1])


@given(TABLES)
def test_a_contribution_is_what_the_volume_loses(table: FloatArray) -> None:
    reference = np.ones(table.shape[1])
    whole = hypervolume(table, reference)
    without = [hypervolume(np.delete(table, row, axis=0), reference) for row in range(len(table))]
    assert contributions(table, reference) == pytest.approx(whole - np.array(without), abs=1e-12)


@given(TABLES, st.integers(0, 99))
def test_neither_the_order_of_points_nor_that_of_objectives_matters(table: FloatArray, seed: int) -> None:
    draw = np.random.default_rng(seed)
    reference = np.ones(table.shape[1])
    turned = table[draw.permutation(len(table))][:, draw.permutation(table.shape[1])]
    assert hypervolume(turned, reference) == pytest.approx(hypervolume(table, reference))
