"""The columns of the table at the end: what a network is worth and what it costs, for people."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rlprune.budgets.limits import plain
from rlprune.costs.registry import METRICS, Metric
from rlprune.experiments.runs.row import LEARNED, Row

P99_NOTE = (
    "p99, as measured, rests on the slowest hundredth of a network's own timings, which of 300 timings are three: it "
    "differs from one measurement to the next. What a profile promises of it rests on all plans that were measured."
)


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        head, unit: its head in two lines.
        cell: a row's text.
        spare: what is left out first of all where the table is too wide for a terminal; 0 never.
    """

    head: str
    unit: str
    cell: Callable[[Row], str]
    spare: int = 0

    @property
    def title(self) -> str:
        """Head and unit in one line."""
        return f"{self.head} ({self.unit})" if self.unit else self.head


def columns(metric: str, rows: Sequence[Row]) -> list[Column]:
    """The columns of the table; those without any value are left out, except the measured ones."""
    ms, macs = _latency_form(rows), _macs_unit(rows)
    call = "" if rows[0].batch == 1 else f" for {rows[0].batch}"
    known = {column for row in rows for column in row.costs}
    found = [
        Column("network", "", lambda row: row.name if row.role != LEARNED else f"{row.name} (learned)"),
        Column("plans", "evaluated", lambda row: _number(row.evaluations, "d")),
        Column(metric, "test", lambda row: score_text(row.score_test, metric)),
        Column(metric, "validation", lambda row: score_text(row.score_validation, metric)),
        Column("latency", f"promised, ms{call}", lambda row: _number(row.latency_promised_ms, ms)),
        Column("latency", f"measured, ms{call}", lambda row: _number(row.latency_measured_ms, ms)),
        Column("latency", f"p99, ms{call}", lambda row: _number(row.latency_p99_measured_ms, ms), 3),
        Column("speed", "samples/s", lambda row: _number(row.speed, ".0f")),
        Column("energy", f"promised, mJ{call}", lambda row: _number(_checked_promise(row), ".3g"), 5),
        Column("energy", f"mJ{call}", lambda row: _number(row.energy_mj, ".3g")),
        Column("energy", f"above idle, mJ{call}", lambda row: _number(row.energy_above_idle_mj, ".3g"), 6),
        Column("MACs", macs, lambda row: f"{row.macs / 1e6:.2f}" if macs == "M" else f"{row.macs / 1e3:.1f}"),
        Column("params", "k", lambda row: f"{row.params / 1e3:.1f}", 1),
        Column("size", "kB", lambda row: in_kilobytes(row.size_bytes), 2),
        *(_cost_column(metric, call) for metric in METRICS.values() if metric.column in known),
        Column("memory", "peak, kB", lambda row: "-" if row.peak_bytes is None else f"{row.peak_bytes / 1e3:.0f}", 4),
    ]
    return [column for column in found if any(column.cell(row) != "-" for row in rows)]


def _cost_column(metric: Metric, call: str) -> Column:
    unit, scale = metric.shown
    said = f"promised, {unit}{call}" if metric.is_timed else unit
    return Column(metric.label, said, lambda row: plain(row.costs[metric.column] / scale, 4))


def _latency_form(rows: Sequence[Row]) -> str:
    """Three decimals of a millisecond, or more where the shortest latency has less than two digits then."""
    known = [row.latency_ms for row in rows if row.latency_ms is not None]
    return f".{max(3, 1 - math.floor(math.log10(min(known)))) if known else 3}f"


def _macs_unit(rows: Sequence[Row]) -> str:
    """Millions, or thousands where the largest network has less than one million."""
    return "M" if max(row.macs for row in rows) >= 1e6 else "k"


def _checked_promise(row: Row) -> float | None:
    """The promised energy, where a meter lets one compare; of a stated power it says nothing new."""
    return None if row.energy_above_idle_mj is None else row.energy_promised_mj


def in_kilobytes(size: float) -> str:
    """Bytes in kB: below 100 with a decimal, so that what keeps to a budget also looks it."""
    return f"{size / 1e3:.{int(size < 1e5)}f}"


NO_SHARES = {"r2", "mae", "rmse", "log_loss"}
"""Metrics that are no shares, though they may lie between 0 and 1."""


def is_share(score: float, metric: str) -> bool:
    """Whether a score reads as a percentage: one in [0, 1], but of metrics that are no shares."""
    return 0 <= score <= 1 and metric not in NO_SHARES


def score_text(value: float | None, metric: str) -> str:
    """A score for people: as a percentage where it is a share."""
    if value is None:
        return "-"
    return f"{100 * value:.2f}%" if is_share(value, metric) else f"{value:.4f}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
