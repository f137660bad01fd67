"""Tables and picture of the article's case, from its report alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rlprune.arrays import FloatArray
from rlprune.experiments.reports.pictures import new_figure, save_figure
from rlprune.experiments.runs.tables import markdown, print_table

SCHEMA = "rlprune-article-case/1"
PRINTED = (0.9844, 0.9722, 0.9588, 0.9444, 0.9300)
"""Accuracies of five rounds as the article prints them, on MNIST; unverified."""
STATES = {"validation": "as pruned", "validation_tuned": "after one epoch of fine-tuning"}
STYLES = {
    "threshold": ("#d55e00", "o"),
    "threshold, mean": ("#e69f00", "s"),
    "uniform density": ("#999999", "v"),
    "densities searched": ("#cc79a7", "^"),
    "threshold, refitted": ("#56b4e9", "D"),
    "densities searched, refitted": ("#0072b2", "P"),
    "Wanda order, searched, refitted": ("#009e73", "X"),
    "agent": ("#8c510a", "<"),
    "agent, refitted": ("#000000", "*"),
}

Report = Mapping[str, Any]


def values(report: Report, method: str, key: str) -> FloatArray:
    """One figure of a method, ``[seeds, rounds]``."""
    rows = [row for row in report["rows"] if row["method"] == method]
    seeds = dict.fromkeys(row["seed"] for row in rows)
    return np.array([[row[key] for row in rows if row["seed"] == seed] for seed in seeds])


def dense(report: Report, key: str) -> FloatArray:
    """One figure of the dense networks, ``[seeds]``."""
    return np.array([network[key] for network in report["networks"]])


def methods(report: Report) -> list[str]:
    """In the order in which they ran."""
    return list(dict.fromkeys(row["method"] for row in report["rows"]))


def spread(sample: FloatArray) -> str:
    """Mean and standard deviation over seeds, in percent."""
    deviation = f" ± {100 * sample.std(ddof=1):.2f}" if len(sample) > 1 else ""
    return f"{100 * sample.mean():.2f}{deviation}"


def rounds_table(report: Report, key: str) -> tuple[list[str], list[list[str]]]:
    """Heads and cells: a column for each round, a line for each method."""
    shares = values(report, methods(report)[0], "remaining").mean(0) / dense(report, "entries").mean()
    heads = ["method", *(f"round {number}: {share:.1%} left" for number, share in enumerate(shares, 1))]
    cells = [[name, *map(spread, values(report, name, key).T)] for name in methods(report)]
    return heads, cells


def last_round(report: Report) -> tuple[list[str], list[list[str]]]:
    """What every method loses in the last round, in points of the dense network's own accuracy, and on test samples."""
    heads = ["method", "validation, loss", "fine-tuned, loss", "test, %", "test, loss", "test, fine-tuned, loss"]
    keys = ("validation", "validation_tuned", "test", "test_tuned")
    cells = []
    for name in methods(report):
        lost = {key: dense(report, key.removesuffix("_tuned")) - values(report, name, key)[:, -1] for key in keys}
        row = [spread(lost[key]) for key in keys]
        cells.append([name, *row[:2], spread(values(report, name, "test")[:, -1]), *row[2:]])
    return heads, cells


def facts(report: Report) -> str:
    """The dense networks, and how few weights are enough."""
    share = dense(report, "fewest") / dense(report, "entries")
    found = {key: spread(dense(report, key)) for key in ("validation", "test", "validation_tuned", "test_tuned")}
    return (
        f"Dense: validation {found['validation']}%, test {found['test']}%; after the same epoch of fine-tuning "
        f"{found['validation_tuned']}% and {found['test_tuned']}%. Searched and refitted, {spread(share)}% of the "
        "weights lose no more on validation samples than the loop's last round does."
    )


def print_report(report: Report) -> None:
    """All tables, on stdout."""
    for key, title in STATES.items():
        print_table(f"validation accuracy, %, {title}", *rounds_table(report, key), compact=True)
    print_table("last round: points lost", *last_round(report), compact=True)
    print(facts(report))


def markdown_report(report: Report) -> str:
    """The same as Markdown."""
    parts = [f"Validation accuracy, %, {STATES[key]}:\n\n{markdown(*rounds_table(report, key))}" for key in STATES]
    parts.append(f"Points lost in the last round:\n\n{markdown(*last_round(report))}")
    return "\n\n".join([*parts, facts(report)]) + "\n"


def draw(report: Report, path: Path) -> Path:
    """Accuracy by round for every method, before and after fine-tuning; the article's printed figures dotted."""
    figure, panels = new_figure(2, 12, 5)
    rounds = np.arange(1, values(report, methods(report)[0], "round").shape[1] + 1)
    for axes, (key, title) in zip(panels, STATES.items(), strict=True):
        axes.axhline(100 * dense(report, "validation").mean(), color="black", linewidth=1, label="dense")
        for name in methods(report):
            sample = 100 * values(report, name, key)
            deviation = sample.std(0, ddof=1) if len(sample) > 1 else np.zeros(len(rounds))
            colour, mark = STYLES.get(name, ("#000000", "*"))
            axes.errorbar(rounds, sample.mean(0), deviation, color=colour, marker=mark, capsize=3, label=name)
        axes.set(title=title, xlabel="round", xticks=rounds)
    printed = 100 * np.array(PRINTED)
    panels[0].plot(range(1, 6), printed, "k:", label="as the article prints, on MNIST, unverified")
    panels[0].set_ylabel("validation accuracy, %")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return save_figure(figure, path)
