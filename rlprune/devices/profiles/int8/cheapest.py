"""Labels of linked nodes that cost least: every node is 0 or 1, and a link costs where its ends differ.

Exact, by eliminating one node after the other: a node is decided once all it is linked with stand in the table, for
every combination of the nodes that are still open (Bertele and Brioschi, Nonserial Dynamic Programming, 1972).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlprune.arrays import BoolArray, FloatArray

MOST_OPEN = 8
"""Nodes that are open at once; beyond it the oldest loses its later links, whose ends then count as 0."""


class CheapestLabels:
    """Finds labels for many rows of costs.

    Args:
        nodes: V of them.
        links: E pairs of different nodes; -1 is a node that is always 0.
    """

    def __init__(self, nodes: int, links: Sequence[tuple[int, int]]) -> None:
        whole = _without_long_links(nodes, links)
        self._back: list[list[tuple[int, int]]] = [[] for _ in range(nodes)]
        self._single: list[tuple[int, int]] = []
        for link, ends in enumerate(links):
            if link in whole:
                self._back[max(ends)].append((min(ends), link))
            else:
                self._single += [(node, link) for node in ends if node >= 0]
        last = _last_links(nodes, [links[link] for link in sorted(whole)])
        self._closing = [[node for node in range(nodes) if last[node] == at] for at in range(nodes)]

    def __call__(self, nodes: FloatArray, links: FloatArray) -> tuple[BoolArray, FloatArray]:
        """Labels of least cost, ``[N, V]``, 0 where both cost the same, and that cost, ``[N]``.

        Args:
            nodes: cost of each label, ``[N, V, 2]``; infinite where it is not allowed.
            links: cost of each link where its ends differ, ``[N, E]``.
        """
        own, of_links = np.moveaxis(nodes, 0, -1).copy(), np.ascontiguousarray(links.T)
        for node, link in self._single:
            own[node, 1] += of_links[link]
        table, standing, found = np.zeros(len(nodes)), list[int](), list[tuple[int, list[int], BoolArray]]()
        for node, back in enumerate(self._back):
            table = table[..., None, :] + own[node]
            standing.append(node)
            for other, link in back:
                differing = of_links[link] * (1.0 - np.eye(2))[..., None]
                table = table + _along(differing, [standing.index(other), len(standing) - 1], len(standing))
            for done in self._closing[node]:
                zero, one = np.moveaxis(table, standing.index(done), 0)
                standing.remove(done)
                found.append((done, standing.copy(), np.asarray(one < zero)))
                table = np.minimum(zero, one)
        labels = np.zeros((len(own), len(nodes)), dtype=np.int64)
        every = np.arange(len(nodes))
        for node, others, better in reversed(found):
            labels[node] = better[(*labels[others], every)]
        return labels.T > 0, table


def _along(costs: FloatArray, axes: Sequence[int], count: int) -> FloatArray:
    """``[2, ..., N]`` with its axes before the last at ``axes`` of ``count``, to be added to a table."""
    return costs.reshape(*(2 if axis in axes else 1 for axis in range(count)), costs.shape[-1])


def _last_links(nodes: int, links: Sequence[tuple[int, int]]) -> list[int]:
    """The last node that each node is linked with, or itself."""
    last = list(range(nodes))
    for ends in links:
        last[min(ends)] = max(last[min(ends)], max(ends))
    return last


def _without_long_links(nodes: int, links: Sequence[tuple[int, int]]) -> set[int]:
    """Links between two nodes, such that no more than ``MOST_OPEN`` nodes are open at once."""
    whole = {link for link, ends in enumerate(links) if min(ends) >= 0}
    standing: list[int] = []
    for node in range(nodes):
        last = _last_links(nodes, [links[link] for link in whole])
        standing = [other for other in standing if last[other] >= node]
        standing.append(node)
        while len(standing) > MOST_OPEN:
            oldest = standing.pop(0)
            whole -= {link for link in whole if oldest == min(links[link]) and max(links[link]) >= node}
    return whole
