"""Tables of what repairs bring to mixes of decisions, from the report alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from rlprune.errors import RlpruneError
from rlprune.experiments.runs.tables import markdown, print_table
from rlprune.support.files import write_atomic

SCHEMA = "rlprune-mixed-repair/1"
SIGNAL_HEADS = ("steps", "rho", "better half", "KL seen / delivered (quartiles)", "ms", "time / none")
DROP_HEADS = ("dropped", "left", "KL, dense", "KL, shortened", "score, dense", "score, shortened")

Table = tuple[str, tuple[str, ...], list[list[str]]]
"""Title, heads, cells."""


def signal_table(result: Mapping[str, Any]) -> Table:
    """A line for each number of steps."""
    title = f"{result['network']}, {result['kinds']}, {result['budget']}: {len(result['delivered'])} plans"
    return f"{title}, {result['images']} images", SIGNAL_HEADS, [signal_cells(row) for row in result["rows"]]


def signal_cells(row: Mapping[str, Any]) -> list[str]:
    """Of one number of steps."""
    low, middle, high = (f"{value:.2f}" for value in row["seen_over_delivered"])
    rhos = [f"{row[name]:.3f}" for name in ("rho", "rho_better_half")]
    times = [f"{median(row['ms']):.0f}", f"{row['time_over_none']:.2f}"]
    return [row["steps"], *rhos, f"{middle} ({low} to {high})", *times]


def drop_table(result: Mapping[str, Any]) -> Table:
    """A line for each plan: what is delivered with moments of the dense and of the shortened network."""
    return f"{result['network']}, blocks dropped", DROP_HEADS, [drop_cells(row) for row in result["rows"]]


def drop_cells(row: Mapping[str, Any]) -> list[str]:
    """Of one plan."""
    ways = [row[way] for way in ("dense", "shortened")]
    figures = [f"{way['divergence']:.3f}" for way in ways] + [f"{way['score']:.2%}" for way in ways]
    return [", ".join(f"`{name}`" for name in row["dropped"]), row["kept"], *figures]


def tables(report: Mapping[str, Any]) -> Iterator[Table]:
    """All that have lines."""
    yield from map(signal_table, report["signals"])
    yield from (drop_table(result) for result in report["drops"] if result["rows"])


def print_report(report: Mapping[str, Any], path: str | None) -> None:
    """Print all tables; as Markdown too, where a file is named."""
    parts = []
    for title, heads, cells in tables(report):
        print_table(title, heads, cells)
        parts.append(f"{title}\n\n{markdown(heads, cells)}\n")
    if path:
        write_atomic(path, "\n".join(parts), RlpruneError)
