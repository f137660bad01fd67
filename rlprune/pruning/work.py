"""How much work preparing tables is, and how much of it is done: rough counts of multiply-adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rlprune.networks.groups import Group
from rlprune.networks.network import Network
from rlprune.pruning.coefficients import Coefficients

Tell = Callable[[float], None]
ROWS_PER_COLUMN = 4
RANKING = 4
"""Multiply-adds of an elimination, as a multiple of the cube of the columns; a factor with its judgement takes one."""


def cube(coefficients: Coefficients) -> float:
    """What everything that a layer's matrix is used for grows with."""
    return float(coefficients.groups * coefficients.columns**3)


class WorkDone:
    """Counts what is done of the work on some layers.

    Args:
        network: whose channels are cut.
        layers: what is refitted and ranked by its matrix.
        samples: for calibration.
        told: is given the share that is done, in [0, 1], again and again.
    """

    def __init__(
        self, network: Network, layers: Mapping[str, Coefficients], samples: int, told: Tell | None = None
    ) -> None:
        self._told = told
        self._cubes = {name: cube(item) for name, item in layers.items()}
        squares = sum(
            each.groups * each.columns**2 * max(ROWS_PER_COLUMN * each.columns, 4096) for each in layers.values()
        )
        self._sample = float(network.macs(network.dense_widths)[0]) + squares / samples
        ranking = sum(RANKING * self._cubes.get(name, 0.0) for group in network.groups for name in group.consumers)
        self._total = samples * self._sample + ranking + sum(self._cubes.values())
        self._done = 0.0

    def _add(self, operations: float) -> None:
        self._done = min(self._done + operations, self._total)
        if self._told is not None:
            self._told(self._done / self._total)

    def gathered(self, samples: int) -> None:
        """So many calibration samples were run."""
        self._add(samples * self._sample)

    def ranked(self, group: Group) -> None:
        """The channels of a group were put in order."""
        self._add(sum(RANKING * self._cubes.get(name, 0.0) for name in group.consumers))

    def factored(self, layer: str) -> None:
        """Count the work on a layer that has its solver now."""
        self._add(self._cubes.get(layer, 0.0))

    def finish(self) -> None:
        """Count all work as done."""
        self._add(self._total)
