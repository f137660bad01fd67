"""Tables and picture of mixes of decisions, from the report alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rlprune.envs.plan_figure import new_figure
from rlprune.errors import RlpruneError
from rlprune.experiments.benchmarks.fine_grained_report import Rows, groups, spread
from rlprune.experiments.presenting.styles import save_figure
from rlprune.experiments.runs.tables import markdown, print_table
from rlprune.support.files import write_atomic

SCHEMA = "rlprune-mixes/1"
HEADS = ("decided", "choices", "validation", "KL", "KL in the search", "test", "promised, ms", "measured, ms")


def cells(rows: Rows) -> list[list[str]]:
    """A line for each set of kinds: means over seeds; latencies of the first seed."""
    lines = []
    for (kinds,), own in groups(rows, "kinds").items():
        if "cannot" in own[0]:
            lines.append([kinds, "-", "cannot", *["-"] * (len(HEADS) - 3)])
            continue
        measured = own[0].get("measured_ms")
        lines.append(
            [
                kinds,
                str(own[0]["choices"]),
                spread([row["validation"] for row in own]),
                spread([row["divergence"] for row in own], 1, 4),
                spread([row["searched_divergence"] for row in own], 1, 4),
                spread([row["test"] for row in own]),
                "-" if measured is None else f"{own[0]['costs']['latency']:.4f}",
                "-" if measured is None else f"{measured:.4f}",
            ]
        )
    return lines


def title_of(case: Mapping[str, Any]) -> str:
    """What a table is of."""
    dense = case["dense"]
    latency = "" if case["dense_ms"] is None else f", {case['dense_ms']:.4f} ms"
    return f"{case['network']}, {case['budget']} (dense {dense['validation']:.2%}, test {dense['test']:.2%}{latency})"


def print_report(report: Mapping[str, Any], path: str | None) -> None:
    """Print a table for each case; as Markdown too, where a file is named."""
    parts = []
    for case in report["cases"]:
        lines = cells(case["rows"])
        print_table(title_of(case), HEADS, lines)
        parts.append(f"{title_of(case)}\n\n{markdown(HEADS, lines)}\n")
    if path:
        write_atomic(path, "\n".join(parts), RlpruneError)


def draw(report: Mapping[str, Any], path: str) -> None:
    """Best divergence so far against evaluations, a panel for each case: geometric means over seeds."""
    figure, places = new_figure(len(report["cases"]), 4.2 * len(report["cases"]), 3.8)
    seen = dict.fromkeys(row["kinds"] for case in report["cases"] for row in case["rows"])
    colours = {kinds: f"C{number % 10}" for number, kinds in enumerate(seen)}
    for axes, case in zip(places, report["cases"], strict=True):
        for (kinds,), own in groups(case["rows"], "kinds").items():
            if "cannot" not in own[0]:
                width, colour = 2 if "," in kinds else 1, colours[kinds]
                axes.plot(*mean_curve([row["curve"] for row in own]), label=kinds, linewidth=width, color=colour)
        axes.set_yscale("log")
        axes.set_title(f"{case['network']}, {case['budget']}", fontsize=9)
        axes.set_xlabel("evaluations")
        axes.legend(fontsize=7)
    places[0].set_ylabel("best KL from the dense network")
    save_figure(figure, Path(path))


def mean_curve(curves: list[list[float | None]]) -> tuple[range, np.ndarray[Any, np.dtype[np.float64]]]:
    """Evaluations and geometric means over curves; a shorter one stays at its last value, None is no plan yet."""
    longest = max(map(len, curves))
    rows = [[np.nan if value is None else max(value, 1e-9) for value in own] for own in curves]
    full = np.array([own + own[-1:] * (longest - len(own)) for own in rows])
    return range(1, longest + 1), np.exp(np.log(full).mean(axis=0))
