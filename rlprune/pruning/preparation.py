"""What calibration samples tell of a network before any plan is tried: what its layers read, and which channels count.

Inputs of every consumer are sampled, the units of recurrent layers get an order of their own, and the channels of every
group are put in order of importance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch

from rlprune.errors import ConfigError, unknown_name
from rlprune.networks.network import Network
from rlprune.pruning.calibration import GIB, Statistics, gather, linear_consumers, too_large
from rlprune.pruning.importance import IMPORTANCES, Ranker, Ranking
from rlprune.pruning.statistics import ChannelMoments, LayerStatistics
from rlprune.pruning.strands import aligned
from rlprune.pruning.work import Tell, WorkDone
from rlprune.tasks.batches import batches
from rlprune.tasks.split import Split

FACTORS_SHARE, RANKING_SHARE = 0.75, 1.0
"""Of the memory that tables may take: what factors of layers may, and what the ranking of one group may for a while."""


@dataclass(frozen=True)
class Limits:
    """What tables may cost.

    Attributes:
        memory: bytes of all; infinite for any.
        operations: of one layer; infinite for any.
    """

    memory: float
    operations: float

    @classmethod
    def of(cls, memory_gib: float | None, most_operations: float | None) -> Limits:
        """Limits from numbers that may be missing.

        Raises:
            ConfigError: one is not above 0.
        """
        if memory_gib is not None and not memory_gib > 0:
            raise ConfigError(f"The memory of the tables must be above 0 GiB; {memory_gib!r} came. Use None for any.")
        if most_operations is not None and not most_operations > 0:
            raise ConfigError(f"The operations of a layer must be above 0; {most_operations!r} came. Use None for any.")
        return cls(
            math.inf if memory_gib is None else memory_gib * GIB,
            math.inf if most_operations is None else most_operations,
        )


@dataclass(frozen=True, eq=False)
class Preparation:
    """What is known of a network before any plan is tried.

    Attributes:
        network: the same, with the units of each recurrent layer in an order of its own
            (:mod:`rlprune.pruning.strands`).
        statistics: consumer -> what it reads.
        unrepaired: consumers that least squares cannot repair, or that are too large for it, and why.
        rankings: group name -> the order of its channels, most important first.
        work: what is done so far, and what is left.
    """

    network: Network
    statistics: dict[str, Statistics]
    unrepaired: dict[str, str]
    rankings: dict[str, Ranking]
    work: WorkDone


@dataclass(frozen=True, eq=False)
class Preparing:
    """Prepares networks on the same samples.

    Attributes:
        calibration, importance, seed, device, progress: see :class:`rlprune.pruning.tables.PruningTables`.
        limits: what the tables may cost.

    Raises:
        ConfigError: the importance is unknown.
    """

    calibration: Split
    importance: str
    seed: int
    device: torch.device
    limits: Limits
    progress: Tell | None

    def __post_init__(self) -> None:
        if self.importance not in IMPORTANCES:
            raise ConfigError(unknown_name("importance", self.importance, IMPORTANCES))

    def of(self, network: Network) -> Preparation:
        """What the samples tell of a network.

        Raises:
            NetworkError: it cannot take them.
        """
        ranker = partial(Ranker, measure=self.importance, memory=RANKING_SHARE * self.limits.memory)
        statistics, unrepaired, work = self._gathered(network)
        few = next(batches(self.calibration.take(4), 4, next(network.model.parameters()).device))
        found = aligned(network, few, lambda split: _orders(split, statistics, ranker))
        if found is not network:
            network, (statistics, unrepaired, work) = found, self._gathered(found)
        made, rankings = ranker(network, statistics), {}
        for group in network.groups:
            rankings[group.name] = made.rank(group)
            work.ranked(group)
        return Preparation(network, statistics, unrepaired, rankings, work)

    def _gathered(self, network: Network) -> tuple[dict[str, Statistics], dict[str, str], WorkDone]:
        coefficients, unrepaired = linear_consumers(network)
        large = too_large(coefficients, FACTORS_SHARE * self.limits.memory, self.limits.operations)
        exact = {name: item for name, item in coefficients.items() if name not in large}
        work = WorkDone(network, exact, len(self.calibration), self.progress)
        statistics: dict[str, Statistics] = {}
        for name, item in coefficients.items():
            if name in large:
                members = [(g.name, m) for g in network.groups for m in g.members]
                slots = {group: m.slots for group, m in members if m.layer == name and m.side == "in"}
                statistics[name] = ChannelMoments(item, slots)
            else:
                statistics[name] = LayerStatistics(item)
        failed = gather(network, statistics, self.calibration, self.seed, self.device, work.gathered)
        return statistics, unrepaired | large | failed, work


def _orders(
    network: Network, statistics: Mapping[str, Statistics], ranker: Callable[..., Ranker]
) -> dict[str, torch.Tensor]:
    """The order of every group by what is known of whole matrices."""
    exact = {name: item for name, item in statistics.items() if isinstance(item, LayerStatistics)}
    made = ranker(network, exact)
    return {group.name: made.rank(group).order for group in network.groups}
