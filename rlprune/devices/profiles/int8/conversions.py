"""Which layers compute in int8 where that costs least, conversions between float and int8 included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlprune.arrays import BoolArray, FloatArray
from rlprune.devices.profiles.int8.cheapest import CheapestLabels
from rlprune.devices.profiles.int8.links import find_links
from rlprune.networks.network import Network


class Conversions:
    """Where values are converted: on links whose ends differ (:mod:`rlprune.devices.profiles.int8.links`).

    Args:
        names: of all layers of the network, L of them.
    """

    def __init__(self, network: Network, names: Sequence[str]) -> None:
        found = find_links(network)
        self._labelling = CheapestLabels(len(found.nodes), [link.ends for link in found.links])
        self._ends = np.array([link.ends for link in found.links], dtype=np.int64).reshape(-1, 2)
        self._nodes = len(found.nodes)
        self._own = np.array([place for place, node in enumerate(found.nodes) if node is not None], dtype=np.int64)
        self._layers = np.array([names.index(node) for node in found.nodes if node is not None], dtype=np.int64)
        self._sources = np.array([names.index(link.layer) for link in found.links], dtype=np.int64)
        self._sides = np.array([0 if link.answered else 1 for link in found.links], dtype=np.int64)

    def elements(self, elements: FloatArray) -> FloatArray:
        """Elements on each link, from those that layers answer and read; ``[N, L, 2] -> [N, E]``."""
        return np.asarray(elements[:, self._sources, self._sides])

    def least(
        self, changes: FloatArray, links: FloatArray, must: BoolArray, present: BoolArray
    ) -> tuple[BoolArray, FloatArray]:
        """Which nodes are in int8 where that costs least, ``[N, V]``, and what it costs, ``[N]``.

        Args:
            changes: what each layer costs more in int8 than in float, ``[N, L]``; infinite where it must be in float.
            links: what a conversion on each link costs, ``[N, E]``.
            must: layers that are in int8 whatever it costs, ``[N, L]``.
            present: the other layers are dropped, ``[N, L]``.
        """
        nodes = np.zeros((len(changes), self._nodes, 2))
        there = present[:, self._layers]
        nodes[:, self._own, 0] = np.where(there & must[:, self._layers], np.inf, 0.0)
        nodes[:, self._own, 1] = np.where(there, changes[:, self._layers], 0.0)
        return self._labelling(nodes, links)

    def of_layers(self, nodes: BoolArray, layers: int) -> BoolArray:
        """Labels of the layers, ``[N, V] -> [N, L]``."""
        found = np.zeros((len(nodes), layers), dtype=bool)
        found[:, self._layers] = nodes[:, self._own]
        return found

    def converted(self, elements: FloatArray, in_int8: BoolArray, present: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Elements that are converted, and links that do it, with the layers ``in_int8`` (``[N, L]``); ``[N]`` each."""
        links = self.elements(elements)
        nodes, _ = self.least(np.where(in_int8, 0.0, np.inf), links, in_int8, present)
        ends = np.hstack([nodes, np.zeros((len(nodes), 1), dtype=bool)])[:, self._ends]
        differ = ends[..., 0] != ends[..., 1]
        return (links * differ).sum(axis=1), differ.sum(axis=1) * 1.0
