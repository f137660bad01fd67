"""What is compared, and how means over seeds read in tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rlprune.budgets.limits import plain
from rlprune.costs.registry import METRICS, Metric
from rlprune.experiments.comparing.bootstrap import Spread
from rlprune.experiments.comparing.comparable import ComparableRuns, Line
from rlprune.experiments.runs.columns import in_kilobytes, is_share, score_text
from rlprune.experiments.runs.conditions import key_of
from rlprune.experiments.runs.tables import csv_text

Cell = Callable[[Spread, str], str]
"""From a spread and the metric of the task to a text."""


@dataclass(frozen=True)
class Measure:
    """A column of the comparison.

    Attributes:
        name: of the value, as in ``result.json``.
        head, cell: in files.
        brief: head and cell on a terminal of 140 columns; None where there is no room.
    """

    name: str
    head: str
    cell: Cell
    brief: tuple[str, Cell] | None = None


def _score(found: Spread, metric: str) -> str:
    return score_text(found.mean, metric) + interval_text(found, metric)


def interval_text(found: Spread, metric: str) -> str:
    """An interval in brackets, in percent where the mean is; nothing where there is none."""
    if found.low is None or found.high is None:
        return ""
    scale, form = (100, ".2f") if is_share(found.mean, metric) else (1, ".4f")
    return f" [{scale * found.low:{form}}, {scale * found.high:{form}}]"


def _mean(form: str, scale: float = 1.0) -> Cell:
    return lambda found, _: format(found.mean / scale, form)


def _digits(digits: int, scale: float = 1.0) -> Cell:
    return lambda found, _: plain(found.mean / scale, digits)


def _of_metric(metric: Metric) -> Measure:
    (unit, scale), label = metric.shown, metric.label
    brief = f"{label} {unit}".replace(" ", "\n", 1), _digits(3, scale)
    return Measure(metric.column, f"{label}, {unit}", _digits(4, scale), brief)


MEASURES = (
    Measure("score_test", "{metric}, test", _score, ("{metric}\ntest", _score)),
    Measure(
        "score_validation",
        "{metric}, validation",
        _score,
        ("{metric}\nvalidation", lambda found, metric: score_text(found.mean, metric)),
    ),
    Measure("divergence", "divergence", _mean(".4f"), ("diver-\ngence", _mean(".4f"))),
    Measure("reward", "reward", _mean(".3f")),
    Measure("hypervolume", "hypervolume", _mean(".4f"), ("hyper-\nvolume", _mean(".3f"))),
    Measure("latency_promised_ms", "latency promised, ms", _digits(4), ("promised\nms", _digits(3))),
    Measure("latency_measured_ms", "latency measured, ms", _digits(4), ("measured\nms", _digits(3))),
    Measure("latency_p99_measured_ms", "latency p99, ms", _digits(4)),
    Measure("energy_promised_mj", "energy promised, mJ", _digits(3)),
    Measure("energy_mj", "energy, mJ", _digits(3), ("energy\nmJ", _digits(3))),
    Measure("macs", "MACs, M", _digits(4, 1e6), ("MACs\nM", _digits(3, 1e6))),
    Measure("params", "params, k", _mean(".1f", 1e3), ("params\nk", _mean(".1f", 1e3))),
    Measure("size_bytes", "size, kB", lambda found, _: in_kilobytes(found.mean)),
    *(_of_metric(metric) for metric in METRICS.values() if not metric.fields),
    Measure("peak_bytes", "memory peak, kB", _mean(".0f", 1e3)),
    Measure("evaluations_to_best", "evaluations to the best plan", _mean(".0f"), ("plans\nto best", _mean(".0f"))),
    Measure("evaluations", "evaluations", _mean(".0f"), ("plans\ntried", _mean(".0f"))),
    Measure("search_seconds", "search, s", _mean(".1f"), ("search\ns", _mean(".1f"))),
)


def measure_table(runs: ComparableRuns, brief: bool = False) -> tuple[list[str], list[list[str]]]:
    """Heads and cells; columns without any value are left out, and what a terminal has no room for if ``brief``."""
    known = [one for one in MEASURES if any(line.values(one.name) for line in runs.lines)]
    shown = [(one.name, one.head, one.cell) for one in known]
    if brief:
        shown = [(one.name, *one.brief) for one in known if one.brief]
    metric = str(runs.conditions["metric"])
    heads = [head.format(metric=metric) for _, head, _ in shown]
    columns = [(name, cell) for name, _, cell in shown]
    return ["method", "seeds", *heads], [_cells(line, columns, metric) for line in runs.lines]


def _cells(line: Line, columns: Sequence[tuple[str, Cell]], metric: str) -> list[str]:
    spreads = [(line.spread(name), cell) for name, cell in columns]
    values = ["-" if found is None else cell(found, metric) for found, cell in spreads]
    return [line.label, "-" if line.seedless else str(len(line.results)), *values]


def as_csv(sections: Sequence[ComparableRuns]) -> str:
    """One line a method and section: conditions, settings, and mean, low and high of every measure."""
    return csv_text([_record(runs, line) for runs in sections for line in runs.lines])


def _record(runs: ComparableRuns, line: Line) -> dict[str, object]:
    record: dict[str, object] = {"section": runs.name, "method": line.label}
    record |= {name: _plain(value) for name, value in runs.conditions.items()}
    record |= {"budget": runs.budget, "settings": key_of(line.settings)}
    record |= {"seeds": "" if line.seedless else len(line.results)}
    record["runs"] = " ".join(one.run for one in line.results)
    for measure in MEASURES:
        found = line.spread(measure.name)
        if found is not None:
            name = measure.name
            record |= {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}
    return record


def _plain(value: object) -> object:
    return " ".join(map(str, value)) if isinstance(value, list) else value
