"""The table at the end, for the terminal and for Markdown."""

from __future__ import annotations

import csv
import io
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rlprune.experiments.runs.columns import columns
from rlprune.experiments.runs.row import AGENT, LEARNED, Row

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


UNBOUNDED = 10_000
"""Columns of a console that has no edge."""


def print_rows(title: str, metric: str, rows: Sequence[Row]) -> None:
    """Print the table on stdout; the row of the agent or its policy stands out.

    Of a table that is too wide for the terminal, columns that can be spared are left out; reports have them all.
    """
    shown = columns(metric, rows)
    bold = [row.role in (AGENT, LEARNED) for row in rows]
    console, spare = _console(), max(column.spare for column in shown)
    while True:
        heads = [f"{column.head}\n{column.unit}" if column.unit else column.head for column in shown]
        table = _table(title, heads, [[column.cell(row) for column in shown] for row in rows], bold)
        if spare == 0 or _width(console, table) <= console.width:
            break
        shown, spare = [column for column in shown if column.spare < spare], spare - 1
    console.print(table)


def print_table(
    title: str,
    heads: Sequence[str],
    cells: Sequence[Sequence[str]],
    bold: Sequence[bool] | None = None,
    compact: bool = False,
) -> None:
    """Print a table on stdout; the first column is text, the others are numbers.

    Args:
        bold: for each line, whether it stands out.
        compact: without lines between columns, which leaves room for more of them.
    """
    _console().print(_table(title, heads, cells, bold or [False] * len(cells), compact))


def _table(
    title: str, heads: Sequence[str], cells: Sequence[Sequence[str]], bold: Sequence[bool], compact: bool = False
) -> Table:
    from rich.box import HEAVY_HEAD, SIMPLE_HEAD
    from rich.table import Table

    box = SIMPLE_HEAD if compact else HEAVY_HEAD
    table = Table(title=title, title_justify="left", box=box, pad_edge=not compact, collapse_padding=compact)
    for index, head in enumerate(heads):
        table.add_column(head, justify="right" if index else "left", no_wrap=index > 0, overflow="fold")
    for line, stands_out in zip(cells, bold, strict=True):
        table.add_row(*line, style="bold" if stands_out else None)
    return table


def _console() -> Console:
    """As wide as the terminal; elsewhere as wide as what is printed, of which nothing is cut or folded."""
    from rich.console import Console

    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else UNBOUNDED, highlight=False, markup=False)


def _width(console: Console, table: Table) -> int:
    """Characters of a table that nothing is folded in."""
    return table.__rich_measure__(console, console.options.update(max_width=UNBOUNDED)).maximum


def wrapped(text: str) -> str:
    """Folded at 120 columns; but for a text with a command, which is copied as it stands."""
    if "rlprune " in text:
        return text
    return textwrap.fill(text, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def print_facts(title: str, facts: Mapping[str, str]) -> None:
    """Print names and values on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False)
    for name, value in facts.items():
        table.add_row(name, value)
    Console(file=sys.stdout, highlight=False, markup=False, width=120).print(table)


def csv_text(records: Sequence[Mapping[str, object]]) -> str:
    """Records as CSV: a column for every name that comes up, empty where a record lacks it."""
    text = io.StringIO()
    names = dict.fromkeys(name for record in records for name in record)
    writer = csv.DictWriter(text, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def markdown_rows(metric: str, rows: Sequence[Row]) -> str:
    """The same as a Markdown table."""
    shown = columns(metric, rows)
    cells = [[column.cell(row) for column in shown] for row in rows]
    return markdown([column.title for column in shown], cells)


def markdown(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    rules = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [heads, rules, *cells])


def markdown_mapping(heads: tuple[str, str], values: Mapping[str, object]) -> str:
    """Two columns: names and values."""
    return markdown(heads, [[name, str(value)] for name, value in values.items()])
