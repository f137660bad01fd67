"""The comparison as tables: terminal, Markdown, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rlprune.budgets.limits import plain
from rlprune.experiments.comparing.bootstrap import Difference, Spread
from rlprune.experiments.comparing.conditions import key_of
from rlprune.experiments.comparing.sections import Line, Section
from rlprune.experiments.comparing.significance import MEASURES, Trial, p_text
from rlprune.experiments.runs.columns import in_kilobytes, score_text


@dataclass(frozen=True)
class Measure:
    """A column: the value's name, as in ``result.json``, its head, and a spread as text."""

    name: str
    head: str
    cell: Callable[[Spread], str]


def _score(found: Spread) -> str:
    return score_text(found.mean) + interval_text(found)


def interval_text(found: Spread) -> str:
    """An interval in brackets, in percent where the mean is; nothing where there is none."""
    if found.low is None or found.high is None:
        return ""
    scale, form = (100, ".2f") if 0 <= found.mean <= 1 else (1, ".4f")
    return f" [{scale * found.low:{form}}, {scale * found.high:{form}}]"


def _mean(form: str, scale: float = 1.0) -> Callable[[Spread], str]:
    return lambda found: format(found.mean / scale, form)


def _digits(digits: int, scale: float = 1.0) -> Callable[[Spread], str]:
    return lambda found: plain(found.mean / scale, digits)


def _mean_score(found: Spread) -> str:
    return score_text(found.mean)


FULL = (
    Measure("score_test", "{metric}, test", _score),
    Measure("score_validation", "{metric}, validation", _score),
    Measure("divergence", "divergence", _mean(".4f")),
    Measure("reward", "reward", _mean(".3f")),
    Measure("hypervolume", "hypervolume", _mean(".4f")),
    Measure("latency_promised_ms", "latency promised, ms", _digits(4)),
    Measure("latency_measured_ms", "latency measured, ms", _digits(4)),
    Measure("latency_p99_measured_ms", "latency p99, ms", _digits(4)),
    Measure("energy_promised_mj", "energy promised, mJ", _digits(3)),
    Measure("energy_mj", "energy, mJ", _digits(3)),
    Measure("macs", "MACs, M", _digits(4, 1e6)),
    Measure("params", "params, k", _mean(".1f", 1e3)),
    Measure("size_bytes", "size, kB", lambda found: in_kilobytes(found.mean)),
    Measure("peak_bytes", "memory peak, kB", _mean(".0f", 1e3)),
    Measure("evaluations_to_best", "evaluations to the best plan", _mean(".0f")),
    Measure("evaluations", "evaluations", _mean(".0f")),
    Measure("search_seconds", "search, s", _mean(".1f")),
)
BRIEF = (
    Measure("score_test", "{metric}\ntest", _score),
    Measure("score_validation", "{metric}\nvalidation", _mean_score),
    Measure("divergence", "diver-\ngence", _mean(".4f")),
    Measure("hypervolume", "hyper-\nvolume", _mean(".3f")),
    Measure("latency_promised_ms", "promised\nms", _digits(3)),
    Measure("latency_measured_ms", "measured\nms", _digits(3)),
    Measure("energy_mj", "energy\nmJ", _digits(3)),
    Measure("macs", "MACs\nM", _digits(3, 1e6)),
    Measure("params", "params\nk", _mean(".1f", 1e3)),
    Measure("evaluations_to_best", "plans\nto best", _mean(".0f")),
    Measure("evaluations", "plans\ntried", _mean(".0f")),
    Measure("search_seconds", "search\ns", _mean(".1f")),
)
"""What fits a terminal of 140 columns."""


def section_table(section: Section, measures: Sequence[Measure]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of ``FULL`` or ``BRIEF``; columns without any value are left out."""
    known = [one for one in measures if any(line.values(one.name) for line in section.lines)]
    heads = [one.head.format(metric=section.conditions["metric"]) for one in known]
    return ["method", "seeds", *heads], [_cells(line, known) for line in section.lines]


def _cells(line: Line, measures: Sequence[Measure]) -> list[str]:
    spreads = [line.spread(one.name) for one in measures]
    cells = ["-" if found is None else one.cell(found) for one, found in zip(measures, spreads, strict=True)]
    return [line.label, "-" if line.seedless else str(len(line.entries)), *cells]


def trial_table(section: Section, trials: Sequence[Trial], names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of the paired differences; a measure without any value is left out.

    Args:
        names: measures of ``MEASURES``.
    """
    percent = {"score_test"} if section.in_percent else set()
    known = [name for name in names if any(trial.found[name].mean is not None for trial in trials)]
    heads = ["first - second", *(MEASURES[name].format(metric=section.conditions["metric"]) for name in known)]
    cells = [
        [f"{trial.first} - {trial.second}", *(difference_text(trial.found[name], name in percent) for name in known)]
        for trial in trials
    ]
    return heads, cells


def difference_text(found: Difference, percent: bool) -> str:
    """Mean difference, its interval and p, or why there is none."""
    if found.mean is None:
        return p_text(found)
    scale, form, unit = (100, "+.2f", "%") if percent else (1, "+.4f", "")
    bounds = ""
    if found.low is not None and found.high is not None:
        bounds = f" [{scale * found.low:{form}}, {scale * found.high:{form}}]"
    return f"{scale * found.mean:{form}}{unit}{bounds}, {p_text(found)}"


def as_csv(sections: Sequence[Section]) -> str:
    """One line a method and section: conditions, settings, and mean, low and high of every measure."""
    rows = [_record(section, line) for section in sections for line in section.lines]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _record(section: Section, line: Line) -> dict[str, object]:
    record: dict[str, object] = {"section": section.name, "method": line.label}
    record |= {name: _plain(value) for name, value in section.conditions.items()}
    record |= {"budget": section.budget, "settings": key_of(line.settings)}
    record |= {"seeds": "" if line.seedless else len(line.entries)}
    record["runs"] = " ".join(entry.run for entry in line.entries)
    for measure in FULL:
        found = line.spread(measure.name)
        if found is not None:
            record |= {measure.name: found.mean}
            record |= {f"{measure.name}_low": found.low, f"{measure.name}_high": found.high}
    return record


def _plain(value: object) -> object:
    return " ".join(map(str, value)) if isinstance(value, list) else value
