"""Tables of rows: groups of rows that agree are lines, columns say what is told of a group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rlprune.experiments.benchmarks.harness import Rows
from rlprune.experiments.presenting.document import Table

Column = Callable[[Rows], str]
"""What is told of the rows of one line."""


def groups(rows: Rows, *keys: str) -> dict[tuple[Any, ...], Rows]:
    """Rows that agree in some keys, in the order in which they came."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return dict(found)


def table(rows: Rows, keys: Sequence[str], columns: Mapping[str, Column]) -> Table:
    """A line for each group of rows that agree in ``keys``, which stand in front of the columns."""
    found = groups(rows, *keys).items()
    lines = [[*map(str, names), *(tell(own) for tell in columns.values())] for names, own in found]
    return Table([*keys, *columns], lines)


def values(rows: Rows, key: str) -> list[float]:
    """A figure of the rows that have it."""
    return [row[key] for row in rows if row.get(key) is not None]


def spread(sample: Sequence[float], form: str = ".2f", scale: float = 1.0) -> str:
    """Mean, and standard deviation where there are several; a dash for none."""
    scaled = scale * np.array(sample, dtype=np.float64)
    deviation = f" ± {scaled.std(ddof=1):{form}}" if len(scaled) > 1 else ""
    return f"{scaled.mean():{form}}{deviation}" if len(scaled) else "-"


def mean(key: str, form: str = ".2f", scale: float = 1.0) -> Column:
    """Of a figure over the rows of a line; see :func:`spread`."""
    return lambda rows: spread(values(rows, key), form, scale)


def percent(key: str) -> Column:
    """The same of a share, in percent."""
    return mean(key, scale=100)


def average(key: str, form: str) -> Column:
    """The mean alone."""
    return lambda rows: format(np.mean(values(rows, key)), form)


def first(key: str, form: str = "") -> Column:
    """A value of the first row of a line; a dash where it has none."""
    return lambda rows: "-" if rows[0].get(key) is None else format(rows[0][key], form)
