"""What tasks tell beside the score: how a result keeps it, and as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlprune.evaluation.quality import Quality
from rlprune.experiments.runs.shapes import mismatches
from rlprune.experiments.runs.tables import print_table
from rlprune.tasks.base import Task
from rlprune.tasks.measures import Details

Splits = Mapping[str, Details]
"""Name of a split to the details on it."""

NUMBER = (float, None)
SHAPE = {"lower_is_better": [str], "networks": {str: {str: {str: (NUMBER, [NUMBER], [[NUMBER]])}}}}
"""See :mod:`rlprune.experiments.runs.shapes`."""
PER_CLASS = {"class_precision": [NUMBER], "class_recall": [NUMBER], "class_f1": [NUMBER], "class_support": [int]}
TOLD_OF_CLASSES = {**PER_CLASS, "confusion": [[int]], "confused": [[int]]}
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
LESS, LOWER = "lower_is_better", " ↓"


def details_of(task: Task, networks: Mapping[str, Splits]) -> dict[str, Any]:
    """What ``result.json`` keeps: details of each network on each split, and of which of them less is better."""
    told = {name for splits in networks.values() for details in splits.values() for name in details}
    return {
        LESS: sorted(told & task.lower_is_better),
        "networks": {name: dict(splits) for name, splits in networks.items()},
    }


def splits_of(validation: Quality, test: Details | None) -> dict[str, Details]:
    """Details by split; without the test samples where they were not touched."""
    return {"validation": validation.details, **({} if test is None else {"test": test})}


def wrong_details(details: Mapping[str, Any], rows: Sequence[str]) -> str | None:
    """What cannot be true of details that are of :data:`SHAPE`; None where nothing is wrong."""
    if not set(rows) <= set(details["networks"]):
        return "details must be of every network in rows"
    known: dict[str, int] = {}
    for splits in details["networks"].values():
        for told in splits.values():
            if (wrong := _wrong_classes(told, known)) is not None:
                return f"details: {wrong}"
    return None


def _wrong_classes(told: Details, classes: dict[str, int]) -> str | None:
    for name in TOLD_OF_CLASSES.keys() & told.keys():
        wrong = next(mismatches(told[name], TOLD_OF_CLASSES[name], name), None)
        if wrong is not None:
            return wrong
    counts = {len(told[name]) for name in (*PER_CLASS, "confusion") if name in told}
    matrix = told.get("confusion", [])
    if len(counts) > 1 or any(classes.setdefault("count", count) != count for count in counts):
        return "all lists of classes must be as long as each other"
    if any(len(line) != len(matrix) or min(line) < 0 for line in matrix):
        return "confusion must be a square of counts"
    return None if all(len(pair) == 3 for pair in told.get("confused", [])) else "confused must hold three numbers each"


def told_of(result: Mapping[str, Any], network: str, split: str) -> Details:
    """The details of a network; empty where the result has none."""
    details = result.get("details") or {"networks": {}}
    found: Details = details["networks"].get(network, {}).get(split, {})
    return found


def last_split(result: Mapping[str, Any], network: str) -> str:
    """The test where it was touched, else the validation."""
    return "test" if told_of(result, network, "test") else "validation"


def label_of(name: str, lower_is_better: Sequence[str]) -> str:
    """A measure's name for people; an arrow down where less is better."""
    return LABELS.get(name, name.replace("_", " ")) + (LOWER if name in lower_is_better else "")


def measure_text(name: str, value: float | None) -> str:
    """A measure for people: shares as percentages, counts as they are."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    return f"{100 * value:.2f}%" if name.partition("@")[0] in SHARES else f"{value:.4g}"


def numbers_table(result: Mapping[str, Any], split: str) -> tuple[list[str], list[list[str]]]:
    """Heads and cells: a line a measure, a column a network. No lines where nothing is told."""
    networks = [row["name"] for row in result["rows"]]
    told = {network: told_of(result, network, split) for network in networks}
    names = [name for name in told[networks[0]] if not any(isinstance(told[one].get(name), list) for one in networks)]
    lower = (result.get("details") or {LESS: []})[LESS]
    lines = [[label_of(name, lower), *(measure_text(name, told[one].get(name)) for one in networks)] for name in names]
    return [split, *networks], lines


def print_details(result: Mapping[str, Any]) -> None:
    """Print the measures on stdout, those of the test where it was touched; nothing where a task tells none."""
    heads, lines = numbers_table(result, last_split(result, result["rows"][0]["name"]))
    if lines:
        print_table("In detail", heads, lines)
