"""Times plans of many networks in batches, each batch beside one inference that is the same in all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from rlprune.arrays import IntArray
from rlprune.devices.grid.probes import Probe
from rlprune.devices.profiling.measuring import Effort, Stage, Timed
from rlprune.devices.profiling.partial import PartialProfile
from rlprune.devices.runtimes.base import Inference, Runtime
from rlprune.networks.network import Network

BATCH = 6
"""Networks that are loaded at a time."""
Job = tuple[Probe, IntArray]
"""A network and its plans ``[P, G]``, dense first."""


class Batches:
    """Latencies that compare across batches: scaled by an inference that is timed in every round of each.

    Minutes pass between batches, in which clocks and neighbours change; the ratio to the same inference does not.

    Args:
        anchor: that inference.
        effort: of each batch.
    """

    def __init__(
        self, runtime: Runtime, stored: PartialProfile, effort: Effort, anchor: Callable[[], Inference]
    ) -> None:
        self._runtime, self._stored, self._effort, self._anchor = runtime, stored, effort, anchor
        self._anchor_ms: float | None = None

    def measure(self, phase: str, jobs: Sequence[Job], done: Callable[[int], object]) -> list[Timed]:
        """Time the plans of all jobs; ``done`` is told how many were finished after each batch.

        Raises:
            DeviceError: the device stopped answering; finished rounds are kept.
            NetworkError: a network cannot be exported.
        """
        found: list[Timed] = []
        for start in range(0, len(jobs), BATCH):
            batch = jobs[start : start + BATCH]
            found += self._batch(f"{phase} {start // BATCH}", batch)
            done(len(batch))
        return found

    def _batch(self, phase: str, jobs: Sequence[Job]) -> list[Timed]:
        rows = [(probe.network, widths) for probe, plans in jobs for widths in plans]
        stage = _Rows(self._runtime, self._stored, self._effort, self._anchor, rows)
        timed = stage.measure(phase, np.arange(len(rows) + 1)[:, None])
        anchor_ms = float(timed.latency_ms[0])
        self._anchor_ms = self._anchor_ms or anchor_ms
        cube = timed.cube * (self._anchor_ms / anchor_ms)
        ends = np.cumsum([len(plans) for _, plans in jobs])[:-1]
        parts = np.split(cube[:, 1:], ends, axis=1)
        return [replace(timed, plans=plans, cube=part) for (_, plans), part in zip(jobs, parts, strict=True)]


class _Rows(Stage):
    """A stage whose plans are numbers of rows: 0 is the anchor, the others a network and its widths each."""

    def __init__(
        self,
        runtime: Runtime,
        stored: PartialProfile,
        effort: Effort,
        anchor: Callable[[], Inference],
        rows: Sequence[tuple[Network, IntArray]],
    ) -> None:
        super().__init__(rows[0][0], runtime, stored, effort, progress=False)
        self._anchor, self._rows = anchor, rows

    def _load(self, widths: IntArray) -> Inference:
        row = int(widths[0])
        return self._anchor() if row == 0 else self._runtime.load(*self._rows[row - 1])
