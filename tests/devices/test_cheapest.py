"""Least labels against all labels, one by one."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from rlprune.arrays import FloatArray
from rlprune.devices.profiles.int8 import cheapest as labelling
from rlprune.devices.profiles.int8.cheapest import CheapestLabels


def cost_of(labels: tuple[int, ...], nodes: FloatArray, links: FloatArray, ends: list[tuple[int, int]]) -> float:
    whole = (*labels, 0)  # the last one is the node -1
    own = sum(float(nodes[place, int(label)]) for place, label in enumerate(labels))
    return own + sum(float(cost) for cost, (a, b) in zip(links, ends, strict=True) if whole[a] != whole[b])


def random_links(random: np.random.Generator, nodes: int) -> list[tuple[int, int]]:
    pairs = random.integers(-1, nodes, (int(random.integers(1, 2 * nodes)), 2)).tolist()
    return [(a, b) for a, b in pairs if a != b]


@pytest.mark.parametrize("seed", range(20))
def test_labels_cost_least(seed: int) -> None:
    random = np.random.default_rng(seed)
    count = int(random.integers(2, 8))
    ends = random_links(random, count)
    nodes, links = random.normal(size=(5, count, 2)), random.random((5, len(ends)))
    nodes[random.random(nodes.shape[:2]) < 0.2, 1] = np.inf
    labels, least = CheapestLabels(count, ends)(nodes, links)
    for row in range(5):
        told = [cost_of(each, nodes[row], links[row], ends) for each in product((0, 1), repeat=count)]
        assert least[row] == pytest.approx(min(told))
        assert cost_of(tuple(labels[row].tolist()), nodes[row], links[row], ends) == pytest.approx(min(told))


def test_what_costs_the_same_is_zero() -> None:
    labels, least = CheapestLabels(3, [(0, 1), (1, 2)])(np.zeros((1, 3, 2)), np.ones((1, 2)))
    assert not labels.any()
    assert least == 0


def test_a_chain_of_many_nodes_is_quick_and_right() -> None:
    """Every node wants the other label than its neighbour, by less than their link costs: all take the first one's."""
    ends = list(pairwise(range(200)))
    nodes = np.zeros((1, 200, 2))
    nodes[0, 0::2, 0], nodes[0, 1::2, 1] = 1.01, 1.0
    labels, least = CheapestLabels(200, ends)(nodes, np.full((1, len(ends)), 10.0))
    assert labels.all()
    assert least == pytest.approx(100.0)


def test_where_too_many_nodes_are_open_labels_cost_at_most_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Links that are left out cost wherever an end is 1, so the least is never below the true one."""
    random = np.random.default_rng(1)
    ends = [(a, b) for a in range(7) for b in range(a + 1, 7)]
    nodes, links = random.normal(size=(30, 7, 2)), random.random((30, len(ends))) * 0.2
    _, exact = CheapestLabels(7, ends)(nodes, links)
    monkeypatch.setattr(labelling, "MOST_OPEN", 3)
    labels, found = CheapestLabels(7, ends)(nodes, links)
    assert (found >= exact - 1e-12).all()
    assert (found > exact + 1e-6).any()
    for row in range(30):
        assert cost_of(tuple(labels[row].tolist()), nodes[row], links[row], ends) <= found[row] + 1e-12
