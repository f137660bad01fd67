"""What every cost offers."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from rlprune.arrays import FloatArray, IntArray


@runtime_checkable
class CostModel(Protocol):
    """A cost of many plans at once. It never falls when a level rises: budgets are searched on that promise.

    Attributes:
        metric: ``macs``, ``params``, ``weights`` (that remain), ``size`` (as stored), ``latency``, ``latency_p50``,
            ``latency_p95``, ``latency_p99`` or ``energy``.
        unit: ``macs``, ``params``, ``weights``, ``B``, ``ms`` or ``mJ``.
    """

    metric: str
    unit: str

    def __call__(self, levels: IntArray) -> FloatArray:
        """Cost of plans, ``[N, K] -> [N]``; see :class:`rlprune.choices.space.Space`."""
        ...
