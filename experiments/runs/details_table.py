"""What tasks tell beside the score, as a table for people."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rlprune.experiments.runs.details import ToldDetails
from rlprune.experiments.runs.row import Row
from rlprune.experiments.runs.tables import print_table

LABELS = {
    "top_1": "top-1",
    "top_5": "top-5",
    "accuracy": "(TP + TN) / (TP + TN + FP + FN)",
    "tp": "true positives, TP",
    "tn": "true negatives, TN",
    "fp": "false positives, FP",
    "fn": "false negatives, FN",
    "precision": "precision of class 1",
    "recall": "recall of class 1",
    "f1": "F1 of class 1",
    "auc": "area under ROC curve",
    "macro_precision": "precision, mean over classes",
    "macro_recall": "recall, mean over classes",
    "macro_f1": "F1, mean over classes",
    "log_loss": "log loss, nats",
    "r2": "R2",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "mrr": "mean reciprocal rank",
}
SHARES = {"top_1", "top_5", "accuracy", "precision", "recall", "f1", "auc", "balanced_accuracy", "calibration_error"}
SHARES |= {"macro_precision", "macro_recall", "macro_f1", "ndcg", "hit_rate", "mrr"}
LOWER = " ↓"


def label_of(name: str, lower_is_better: Collection[str]) -> str:
    """A measure's name for people; an arrow down where less is better."""
    return LABELS.get(name, name.replace("_", " ")) + (LOWER if name in lower_is_better else "")


def measure_text(name: str, value: float | None) -> str:
    """A measure for people: shares as percentages, counts as they are."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    return f"{100 * value:.2f}%" if name.partition("@")[0] in SHARES else f"{value:.4g}"


def numbers_table(
    details: ToldDetails | None, networks: Sequence[str], split: str
) -> tuple[list[str], list[list[str]]]:
    """Heads and cells: a line a measure, a column a network. No lines where nothing is told."""
    details = details or ToldDetails([], {})
    told = {network: details.of(network, split) for network in networks}
    names = [name for name in told[networks[0]] if not any(isinstance(told[one].get(name), list) for one in networks)]
    lower = details.lower_is_better
    lines = [[label_of(name, lower), *(measure_text(name, told[one].get(name)) for one in networks)] for name in names]
    return [split, *networks], lines


def print_details(details: ToldDetails | None, rows: Sequence[Row]) -> None:
    """Print the measures on stdout, those of the test where it was touched; nothing where a task tells none."""
    if details is not None:
        networks = [row.name for row in rows]
        heads, lines = numbers_table(details, networks, details.last_split(networks[0]))
        if lines:
            print_table("In detail", heads, lines)
