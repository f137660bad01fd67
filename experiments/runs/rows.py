"""One line of the table at the end: what a network is worth and what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, get_type_hints

from rlprune.errors import RunError
from rlprune.experiments.runs.ranking import Standing
from rlprune.experiments.settings.options import fits

DENSE, UNIFORM, FILLED, BASELINE, AGENT, LEARNED = "dense", "uniform", "filled", "baseline", "agent", "learned"
"""Roles. The agent is the method that a run is about; what is learned was decided by a learned policy by itself."""
POLICY_ALONE = "policy"
"""Method and role of what a learned policy decides by itself at a budget of a range: one walk, no search."""
UNSEARCHED = (UNIFORM, FILLED)
"""Methods that search nothing: they stand in every run."""
SHORTEST_MS = 1e-9
"""Less than a tick of any clock; its reciprocal is still a number."""


@dataclass(frozen=True)
class Row:
    """A network in the table.

    Attributes:
        name: dense, uniform, filled, or the method that found it.
        role: dense, uniform, filled, baseline, agent, learned (decided by a learned policy alone), policy or plan.
        score_test: the task's metric on the test samples; None where they were not touched.
        score_validation: on all validation samples, as it is delivered.
        divergence: from the dense network's outputs on the same samples.
        latency_promised_ms: of one inference, as the profile predicts.
        latency_measured_ms: of the exported network, timed beside the other rows.
        latency_corrected_ms: the same with the machine's drift since the profile taken out.
        latency_p99_promised_ms, latency_p99_measured_ms: 99 of 100 inferences are at least as fast.
        energy_promised_mj: of one inference, as the profile predicts.
        energy_mj: of one inference: metered, else that of the latency as measured, else promised.
        energy_above_idle_mj: the same less what an idle device would use in that time; None where that is not known.
        peak_bytes: memory that one inference takes at most, weights included.
        batch: samples in one inference.
        macs: multiply-adds of one sample.
        params: parameters.
        size_bytes: of all tensors as stored, which is what a budget on size counts; the header of a file comes on top.
        widths: channels of each group.
        reward: in the search; None where the row was not searched.
        evaluations: new plans that the method evaluated; None where nothing was searched.
        behind_low, behind_high: 95% interval of how far the validation score is behind the best one's of the table;
            None where it is not known.
    """

    name: str
    role: str
    score_validation: float
    divergence: float
    macs: float
    params: float
    size_bytes: int
    widths: tuple[int, ...]
    score_test: float | None = None
    latency_promised_ms: float | None = None
    latency_measured_ms: float | None = None
    latency_corrected_ms: float | None = None
    latency_p99_promised_ms: float | None = None
    latency_p99_measured_ms: float | None = None
    energy_promised_mj: float | None = None
    energy_mj: float | None = None
    energy_above_idle_mj: float | None = None
    peak_bytes: int | None = None
    batch: int = 1
    reward: float | None = None
    evaluations: int | None = None
    behind_low: float | None = None
    behind_high: float | None = None

    @property
    def standing(self) -> Standing:
        """What the row is ranked by."""
        known = self.behind_low is not None and self.behind_high is not None
        behind = (self.behind_low, self.behind_high) if known else None
        return Standing(self.score_validation, self.divergence, behind)  # type: ignore[arg-type]

    @property
    def latency_ms(self) -> float | None:
        """Measured where it was measured, else promised."""
        return self.latency_promised_ms if self.latency_measured_ms is None else self.latency_measured_ms

    @property
    def images_per_second(self) -> float | None:
        """Speed S = 1/T, for a batch of one; batch/T in general."""
        return None if self.latency_ms is None else 1e3 * self.batch / self.latency_ms

    def as_dict(self) -> dict[str, Any]:
        """Plain values, the derived ones among them."""
        return {**asdict(self), "widths": list(self.widths), "images_per_second": self.images_per_second}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Row:
        """The row that :meth:`as_dict` wrote.

        Raises:
            RunError: it is malformed.
        """
        known = {name: (values[name], kind) for name, kind in get_type_hints(cls).items() if name in values}
        widths = values.get("widths")
        missing = [item.name for item in fields(cls) if item.default is MISSING and item.name not in known]
        wrong = [name for name, (value, kind) in known.items() if name != "widths" and not fits(value, kind)]
        if not isinstance(widths, list | tuple) or not all(type(width) is int for width in widths):
            wrong.append("widths")
        if missing or wrong:
            raise RunError(f"A row of the result is malformed ({', '.join([*missing, *wrong])}). Train again.")
        row = cls(**{**{name: value for name, (value, _) in known.items()}, "widths": tuple(widths or ())})
        if row.latency_ms is not None and row.latency_ms < SHORTEST_MS:
            raise RunError(f"A latency must be at least {SHORTEST_MS} ms; {row.latency_ms} came. Train again.")
        return row


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
    cell: Any
    spare: int = 0

    @property
    def title(self) -> str:
        """Head and unit in one line."""
        return f"{self.head} ({self.unit})" if self.unit else self.head


def columns(metric: str, rows: Sequence[Row]) -> list[Column]:
    """The columns of the table; those without any value are left out, except the measured ones."""
    ms, macs = _latency_form(rows), _macs_unit(rows)
    call = "" if rows[0].batch == 1 else f" for {rows[0].batch}"
    found = [
        Column("network", "", lambda row: row.name if row.role != LEARNED else f"{row.name} (learned)"),
        Column("plans", "evaluated", lambda row: _number(row.evaluations, "d")),
        Column(metric, "test", lambda row: score_text(row.score_test)),
        Column(metric, "validation", lambda row: score_text(row.score_validation)),
        Column("latency", f"promised, ms{call}", lambda row: _number(row.latency_promised_ms, ms)),
        Column("latency", f"measured, ms{call}", lambda row: _number(row.latency_measured_ms, ms)),
        Column("latency", f"p99, ms{call}", lambda row: _number(row.latency_p99_measured_ms, ms), 3),
        Column("speed", "samples/s", lambda row: _number(row.images_per_second, ".0f")),
        Column("energy", f"promised, mJ{call}", lambda row: _number(_checked_promise(row), ".3g"), 5),
        Column("energy", f"mJ{call}", lambda row: _number(row.energy_mj, ".3g")),
        Column("energy", f"above idle, mJ{call}", lambda row: _number(row.energy_above_idle_mj, ".3g"), 6),
        Column("MACs", macs, lambda row: f"{row.macs / 1e6:.2f}" if macs == "M" else f"{row.macs / 1e3:.1f}"),
        Column("params", "k", lambda row: f"{row.params / 1e3:.1f}", 1),
        Column("size", "kB", lambda row: in_kilobytes(row.size_bytes), 2),
        Column("memory", "peak, kB", lambda row: "-" if row.peak_bytes is None else f"{row.peak_bytes / 1e3:.0f}", 4),
    ]
    return [column for column in found if any(column.cell(row) != "-" for row in rows)]


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


def finalist_name(method: str, number: int) -> str:
    """What the file of a finalist's plan is called; the best has number 1."""
    return f"{method}-finalist{number}"


def score_text(value: float | None) -> str:
    """A score for people: as a percentage where it is in [0, 1]."""
    if value is None:
        return "-"
    return f"{100 * value:.2f}%" if 0 <= value <= 1 else f"{value:.4f}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
