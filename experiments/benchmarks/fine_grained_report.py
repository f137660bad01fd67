"""Tables and picture of densities per layer, from the report alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlprune.envs.plan_figure import new_figure
from rlprune.errors import RlpruneError
from rlprune.experiments.presenting.styles import save_figure
from rlprune.experiments.runs.tables import markdown, print_table
from rlprune.support.files import write_atomic

SCHEMA = "rlprune-fine-grained/1"
HEADS = ("method", "weights left", "as pruned", "refitted", "KL refitted", "test", "tuned", "tuned, test")

Rows = Sequence[Mapping[str, Any]]


def spread(values: Sequence[float], factor: float = 100, digits: int = 2) -> str:
    """Mean, and standard deviation where there are several."""
    deviation = f" ± {factor * np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{factor * np.mean(values):.{digits}f}{deviation}" if values else "-"


def groups(rows: Rows, *keys: str) -> dict[tuple[Any, ...], Rows]:
    """Rows that agree in some keys, in the order in which they came."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return dict(found)


def cells(rows: Rows, entries: float) -> list[list[str]]:
    """A line a method: means over seeds, in percent."""

    def of(own: Rows, key: str) -> list[float]:
        return [row[key] for row in own if key in row]

    return [
        [
            name,
            spread([value / entries for value in of(own, "remaining")]),
            spread(of(own, "bare")),
            spread(of(own, "refitted")),
            spread(of(own, "refitted_divergence"), 1, 3),
            *(spread(of(own, key)) for key in ("test", "tuned", "tuned_test")),
        ]
        for (name,), own in groups(rows, "method").items()
    ]


def print_report(report: Mapping[str, Any], path: str | None) -> None:
    """Print a table for each network and budget; as Markdown too, where a file is named."""
    parts = []
    for network in report["networks"]:
        for (budget,), rows in groups(network["rows"], "budget").items():
            dense = network["dense"]
            title = f"{network['network']}, {budget} (dense {dense['validation']:.2%}, test {dense['test']:.2%})"
            lines = cells(rows, network["entries"])
            print_table(title, HEADS, lines)
            parts.append(f"{title}\n\n{markdown(HEADS, lines)}\n")
    if path:
        write_atomic(path, "\n".join(parts), RlpruneError)


def draw(report: Mapping[str, Any], path: str) -> None:
    """Bars of validation accuracy, as pruned and refitted, a panel for each network and budget."""
    panels = [
        (network, budget, rows)
        for network in report["networks"]
        for (budget,), rows in groups(network["rows"], "budget").items()
        if budget != "2:4"
    ]
    figure, places = new_figure(len(panels), 3.4 * len(panels), 3.6)
    for axes, (network, budget, rows) in zip(places, panels, strict=True):
        methods = groups(rows, "method")
        for shift, (key, label) in enumerate((("bare", "as pruned"), ("refitted", "refitted"))):
            means = [100 * float(np.mean([row[key] for row in own])) for own in methods.values()]
            spreads = [100 * float(np.std([row[key] for row in own])) for own in methods.values()]
            axes.bar(np.arange(len(means)) + 0.4 * shift - 0.2, means, 0.38, yerr=spreads, label=label)
        axes.axhline(100 * network["dense"]["validation"], color="black", linewidth=0.8, linestyle=":")
        axes.set_xticks(range(len(methods)), [name for (name,) in methods], rotation=40, ha="right")
        axes.set_title(f"{network['network']}, {budget}", fontsize=9)
    places[0].set_ylabel("validation accuracy, %")
    places[0].legend(loc="lower right", fontsize=8)
    save_figure(figure, Path(path))
