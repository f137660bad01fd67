"""The table at the end, for the terminal and for Markdown."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from rlprune.experiments.rows import Row, columns


def print_rows(title: str, metric: str, rows: Sequence[Row]) -> None:
    """Print the table on stdout; the learned row stands out."""
    from rich.console import Console
    from rich.table import Table

    shown = columns(metric, rows)
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(shown):
        head = f"{column.head}\n{column.unit}" if column.unit else column.head
        table.add_column(head, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(column.cell(row) for column in shown), style="bold" if row.role == "learned" else None)
    width = None if sys.stdout.isatty() else 140
    Console(file=sys.stdout, width=width, highlight=False).print(table)


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
