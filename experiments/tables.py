"""The table at the end, for the terminal and for Markdown."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from rlprune.experiments.rows import Row, columns


def print_rows(title: str, metric: str, rows: Sequence[Row]) -> None:
    """Print the table on stdout; the learned row stands out."""
    shown = columns(metric, rows)
    heads = [f"{column.head}\n{column.unit}" if column.unit else column.head for column in shown]
    cells = [[column.cell(row) for column in shown] for row in rows]
    print_table(title, heads, cells, bold=[row.role == "learned" for row in rows])


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
    from rich.box import HEAVY_HEAD, SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    box = SIMPLE_HEAD if compact else HEAVY_HEAD
    table = Table(title=title, title_justify="left", box=box, pad_edge=not compact, collapse_padding=compact)
    for index, head in enumerate(heads):
        table.add_column(head, justify="right" if index else "left", no_wrap=index > 0, overflow="fold")
    for line, stands_out in zip(cells, bold or [False] * len(cells), strict=True):
        table.add_row(*line, style="bold" if stands_out else None)
    width = None if sys.stdout.isatty() else 140
    Console(file=sys.stdout, width=width, highlight=False, markup=False).print(table)


def print_facts(title: str, facts: Mapping[str, str]) -> None:
    """Print names and values on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False)
    for name, value in facts.items():
        table.add_row(name, value)
    Console(file=sys.stdout, highlight=False, markup=False, width=120).print(table)


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
