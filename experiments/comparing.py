"""Finished runs side by side: a table, and their learning curves in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlprune.errors import ConfigError, RlpruneError, RunError
from rlprune.experiments.pictures import OTHERS, UNIFORM, new_figure, save_figure
from rlprune.experiments.report import episode_tables
from rlprune.experiments.result_shape import MALFORMED
from rlprune.experiments.rows import Row, score_text
from rlprune.experiments.run_config import CompareConfig
from rlprune.experiments.run_folder import RESULT, RunFolder, check_free
from rlprune.experiments.tables import markdown, print_table
from rlprune.files import write_atomic, write_json
from rlprune.network import FloatArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAME = ("network", "task", "metric", "budgets", "reward", "samples")
HEADS = ("method", "runs", "score, validation", "score, test", "divergence", "best reward", "evaluations", "seconds")


@dataclass(frozen=True)
class Comparison:
    """What several runs found, method by method.

    Attributes:
        common: what all runs have in common.
        rows: for each method, its values in every run.
        curves: method to the best reward after each evaluation, one array a run.
        out: the folder that was written, if any.
    """

    common: dict[str, Any]
    rows: dict[str, list[dict[str, Any]]]
    curves: dict[str, list[FloatArray]]
    out: str | None

    def cells(self) -> list[list[str]]:
        """The table: mean and standard deviation over runs, best mean reward first."""
        lines = []
        for method, values in self.rows.items():
            texts = [_spread([value[key] for value in values], form) for key, form in _COLUMNS.items()]
            lines.append((-float(np.mean([value["reward"] for value in values])), [method, str(len(values)), *texts]))
        return [cells for _, cells in sorted(lines, key=lambda line: line[0])]

    def as_dict(self) -> dict[str, object]:
        """Plain values."""
        return {"schema": "rlprune-comparison/1", **self.common, "methods": self.rows, "out": self.out}

    def show(self) -> None:
        """Print the table."""
        title = f"{self.common['network']} on {self.common['task']}, {', '.join(self.common['budgets'])}"
        print_table(title, list(HEADS), self.cells())
        if self.out is not None:
            print(f"Picture: {Path(self.out) / 'learning-curves.png'}")


_COLUMNS = {
    "score_validation": "score",
    "score_test": "score",
    "divergence": ".4f",
    "reward": ".3f",
    "evaluations": ".0f",
    "seconds": ".1f",
}


def _spread(values: Sequence[float | None], form: str) -> str:
    known = np.array([value for value in values if value is not None])
    if not len(known):
        return "-"
    mean, std = float(known.mean()), float(known.std())
    if form == "score":
        return score_text(mean) + (f" ± {100 * std:.2f}" if len(known) > 1 else "")
    return f"{mean:{form}}" + (f" ± {std:{form}}" if len(known) > 1 else "")


def compare_runs(config: CompareConfig) -> Comparison:
    """Read runs that are complete and put them beside each other.

    Raises:
        ConfigError: no run was given.
        RunError: a run is not complete, or they are not comparable: other network, task, budget, reward or samples.
    """
    if not config.run:
        raise ConfigError("There is nothing to compare: no run came. Use --run runs/a --run runs/b.")
    if config.out is not None:
        check_free(config.out)
    runs = [RunFolder.open(path, RESULT) for path in config.run]
    results = [run.result() for run in runs]
    try:
        common = {key: results[0][key] for key in SAME}
        for run, result in zip(runs, results, strict=True):
            _check_comparable(common, run, result)
        rows: dict[str, list[dict[str, Any]]] = {}
        curves: dict[str, list[FloatArray]] = {}
        for run, result in zip(runs, results, strict=True):
            _collect(run, result, rows, curves)
    except RlpruneError:
        raise
    except MALFORMED as reason:
        raise RunError(f"A run holds a result that cannot be compared ({reason!r}). Train again.") from reason
    found = Comparison(common, rows, curves, config.out)
    if config.out is not None:
        _write(found, Path(config.out))
    return found


def _check_comparable(common: Mapping[str, Any], run: RunFolder, result: Mapping[str, Any]) -> None:
    for key in SAME:
        if result[key] != common[key]:
            raise RunError(
                f"Runs are comparable where they have the same {', '.join(SAME)}; {run.path} has {key} "
                f"{result[key]!r}, the first run {common[key]!r}. Compare them apart."
            )


def _collect(
    run: RunFolder,
    result: Mapping[str, Any],
    rows: dict[str, list[dict[str, Any]]],
    curves: dict[str, list[FloatArray]],
) -> None:
    """Each method once for each run and seed; uniform, which searches nothing, once for each run."""
    tables = episode_tables(run, result)
    for values in result["rows"]:
        row = Row.from_dict(values)
        if row.role == "dense":
            continue
        search = result["searches"].get(row.name, {"evaluations": 1, "seconds": 0.0})
        found = {"run": str(run.path), "seed": result["seed"], **row.as_dict()}
        found |= {"evaluations": search["evaluations"], "seconds": search["seconds"]}
        rows.setdefault(row.name, []).append(found)
        if row.name in tables:
            table = tables[row.name]
            curves.setdefault(row.name, []).append(best_so_far(table["evaluations"], table["reward"]))


def best_so_far(evaluations: FloatArray, rewards: FloatArray) -> FloatArray:
    """The best reward after 1, 2, ... evaluations, ``[last]``; -inf before the first plan was finished."""
    best = np.full(max(int(evaluations.max()), 1), -np.inf)
    np.maximum.at(best, np.maximum(evaluations.astype(np.int64), 1) - 1, rewards)
    return np.asarray(np.maximum.accumulate(best))


def learning_curves(found: Comparison) -> Figure:
    """Best reward against evaluations: mean and range over runs; uniform is a line."""
    figure, (axes,) = new_figure(1, 8.5, 5.0)
    colours = ("#0072b2", *OTHERS)
    for place, (method, runs) in enumerate(found.curves.items()):
        length = max(map(len, runs))
        table = np.array([np.concatenate([curve, np.full(length - len(curve), curve[-1])]) for curve in runs])
        table[np.isneginf(table)] = np.nan
        steps, colour = np.arange(1, length + 1), colours[place % len(colours)]
        axes.plot(steps, table.mean(axis=0), color=colour, label=f"{method} ({len(runs)})")
        axes.fill_between(steps, table.min(axis=0), table.max(axis=0), color=colour, alpha=0.15)
    for row in found.rows.get("uniform", [])[:1]:
        axes.axhline(row["reward"], color=UNIFORM, ls="--", label="uniform")
    axes.set_xlabel("evaluations")
    axes.set_ylabel(f"best reward so far ({found.common['reward']})")
    axes.set_title(f"{found.common['network']}, {', '.join(found.common['budgets'])}")
    axes.legend(fontsize=8, frameon=False)
    return figure


def _write(found: Comparison, folder: Path) -> None:
    save_figure(learning_curves(found), folder / "learning-curves.png")
    write_json(folder / "compare.json", found.as_dict(), RunError)
    text = [markdown(HEADS, found.cells()), "![Best reward against evaluations](learning-curves.png)"]
    write_atomic(folder / "compare.md", "\n\n".join(text) + "\n", RunError)
